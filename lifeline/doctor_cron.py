"""What `lifeline doctor` finds out about cron: is it there, does it read us, what does it find."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from . import cron, crontab
from .config.reading import Config
from .errors import CannotTell, LifelineError, show
from .leases.port import BAD, GOOD, NOTE, WARNING, Finding
from .processes.table import open_table, visible

# Not anacron and supercronic: they read files of their own, and never a user's crontab.
_DAEMONS = frozenset((b"cron", b"crond", b"fcron", b"dcron", b"cronie"))
_PATH = "/usr/bin:/bin"  # of vixie cron and cronie, if a crontab says nothing else
_ASSIGNMENT = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*\Z")
_SCHEDULE = re.compile(r"\s*(?:@\w+|(?:\S+\s+){4}\S+)\s+(.+)")


def daemon(config: Config | None) -> Iterator[Finding]:
    """Is a cron daemon running, and is the crontab that it reads the one that we write?"""
    found = _daemons()
    if not found:
        level = BAD if _is_in_crontab() else WARNING if config else NOTE
        yield Finding(level, "no cron daemon is running", "start it: service cron start, or crond")
        return
    # There may be one of a container's, too: what is said is said of the one that sees our files.
    pid, name = min(found, key=lambda each: _sees_other_files(each[0]) is True)
    yield Finding(GOOD, f"{show(name)} is running (pid {pid})")
    yield from _which_crontab(pid)


def _daemons() -> list[tuple[int, bytes]]:
    table = open_table()
    found = []
    for pid in table.pids():
        facts = visible(table, pid)
        if facts and not facts.is_dead and facts.name in _DAEMONS:
            found.append((pid, facts.name))
    return found


def _which_crontab(pid: int) -> Iterator[Finding]:
    """Shown by the spool as that process sees it, which root may look at; else by its mounts."""
    try:
        ours, theirs = crontab.read(), crontab.spooled(pid)
    except CannotTell:
        ours, theirs = b"", None
    elsewhere = _sees_other_files(pid)
    if ours and theirs == ours:
        yield Finding(GOOD, f"pid {pid} has this crontab in its spool")
    elif theirs is not None and theirs != ours:
        advice = "it runs in a container or a namespace: lifeline cron install has to run there"
        yield Finding(WARNING, f"pid {pid} has another crontab of this user in its spool", advice)
    elif elsewhere:
        advice = "lifeline cron install writes a crontab that it never reads; install in there"
        yield Finding(WARNING, f"pid {pid} sees other files than this process", advice)
    elif elsewhere is None:
        what = f"whether pid {pid} reads this crontab cannot be seen as this user"
        yield Finding(NOTE, what, "ticks show it: lifeline history --all")


def _sees_other_files(pid: int) -> bool | None:
    """True if a process is in another mount namespace, None if that may not be known."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
    except OSError:
        return None


def _is_in_crontab() -> bool:
    """True if a line of the crontab speaks of lifeline."""
    try:
        lines = crontab.read().splitlines()
    except LifelineError:
        return False
    return any(b"lifeline" in line and not line.lstrip().startswith(b"#") for line in lines)


def installed_lines(config: Config | None) -> Iterator[Finding]:
    """Can the crontab be read, and does it have what the configuration says?"""
    if crontab.program() is None:
        level = WARNING if config else NOTE
        yield Finding(level, "there is no crontab program", "Debian: apt-get install cron")
        return
    try:
        now = crontab.read()
        block = cron.installed(now)
    except CannotTell as error:
        yield Finding(BAD, str(error), "see cron.allow and cron.deny in crontab(1)")
        return
    if config is None:
        return
    part = cron.sources(block).get(os.fsencode(config.path))
    try:
        wanted = cron.lines(config)
    except LifelineError:
        return  # what is wrong with it is told already
    if part is None and wanted:
        yield Finding(NOTE, f"{config.path} is not in the crontab", "lifeline cron install")
    elif (part or []) != wanted:
        yield Finding(WARNING, f"{config.path} has changed since", "lifeline cron install")
    elif wanted:
        yield Finding(GOOD, "the crontab has the lines of the configuration")


def programs(config: Config | None) -> Iterator[Finding]:
    """Does cron find each program that it is to start?"""
    for entry in config.entries.values() if config else ():
        try:
            cron.check_found(config.entry(entry.name) if config else entry)
        except LifelineError as error:
            if "there is no program" in str(error):
                yield Finding(BAD, str(error), "install it, or write its absolute path")
            continue  # anything else is told already
        yield Finding(GOOD, f"{entry.name}: its program is found from cron")
    yield from _lines_of_crontab()


def _lines_of_crontab() -> Iterator[Finding]:
    """Each line that starts lifeline: is it found on the PATH that stands above it?"""
    try:
        text = crontab.read().decode("utf-8", "surrogateescape")
    except LifelineError:
        return
    path = _PATH
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        assignment = _ASSIGNMENT.match(line)
        if assignment:
            if assignment.group(1) == "PATH":
                path = assignment.group(2).strip("'\"")
            continue
        command = _SCHEDULE.match(line)
        if command and (problem := _problem(command.group(1), path)):
            advice = "write its absolute path, or set PATH above it; lifeline cron install does"
            yield Finding(BAD, f"crontab line {number}: {problem}", advice)


def _problem(command: str, path: str) -> str | None:
    """What is wrong with a crontab's command, if it starts lifeline and that is not found."""
    words = command.replace(r"\%", "%").split()
    while words and _ASSIGNMENT.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        path = value.strip("'\"") if name == "PATH" else path
    for at, word in enumerate(words):
        if os.path.basename(word) == "lifeline" and (at == 0 or words[at - 1] in ("&&", ";", "||")):
            there = os.access(word, os.X_OK) if "/" in word else cron.found_in(word, path)
            if not there:
                return f"cron does not find {word!a} (its PATH is {path!a})"
    return None
