"""The lines for cron: one managed block in a crontab, a part of it for each configuration.

What is outside of the block is bytes that are never looked into. Inside, everything between
`# from FILE` and the next such line belongs to that file, and is written anew by each install.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator

from .config import schedule, values
from .config.reading import Config, Entry
from .errors import CannotTell, UsageError, show
from .processes.places import read_shebang
from .processes.state import State

BEGIN = b"# >>> lifeline: written by `lifeline cron install`, changes in here are lost >>>"
END = b"# <<< lifeline <<<"
_FROM = b"# from "
_LONGEST = 998  # characters of a command: crontab(5) of Debian and macOS takes no more

#: Where commands are looked for at last; cron itself has only /usr/bin:/bin.
STANDARD_PATH = (*("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"),)


def lines(config: Config) -> list[bytes]:
    """The part of the block that a configuration makes, without line ends.

    Raises LifelineError if something in it is wrong: half of it helps nobody.
    """
    found = [_FROM + os.fsencode(config.path)]
    for name in config.entries:
        entry = config.entry(name)
        entry.check_keys()
        fields = schedule.fields(entry)
        if fields is not None:
            found.append(_line(fields, entry))
    return found if len(found) > 1 else []


def installed(crontab: bytes) -> bytes:
    """The block as it stands in a crontab, nothing if there is none."""
    start, end = _place(crontab)
    return crontab[start:end]


def sources(block: bytes) -> dict[bytes, list[bytes]]:
    """The lines of each part of a block, by the file that they are from."""
    found: dict[bytes, list[bytes]] = {}
    current: list[bytes] = []
    for line in block.splitlines()[1:-1]:
        if line.startswith(_FROM):
            current = found.setdefault(line[len(_FROM) :], [])
        current.append(line)
    return found


def changed(crontab: bytes, path: str, part: list[bytes]) -> bytes:
    """The crontab with `part` in place of what the block had from the file at `path`.

    The block goes with its last part; everything outside of it stays to the byte.
    """
    start, end = _place(crontab)
    parts = sources(crontab[start:end])
    if part:
        parts[os.fsencode(path)] = part
    else:
        parts.pop(os.fsencode(path), None)
    block = b""
    if parts:
        inside = [line for each in parts.values() for line in each]
        block = b"\n".join([BEGIN, *inside, END, b""])
    before = crontab[:start]
    if block and before and not before.endswith(b"\n"):
        before += b"\n"
    return before + block + crontab[end:]


def without(crontab: bytes) -> bytes:
    """The crontab without the block."""
    start, end = _place(crontab)
    return crontab[:start] + crontab[end:]


def _place(crontab: bytes) -> tuple[int, int]:
    """Where the block begins and ends; at the crontab's end if there is none.

    Raises CannotTell for marker lines that do not match: what is between them is not known.
    """
    begins, ends = [], []
    at = 0
    for line in crontab.splitlines(keepends=True):
        if line.rstrip().startswith(BEGIN[:15]):
            begins.append(at)
        elif line.rstrip() == END:
            ends.append(at + len(line))
        at += len(line)
    if not begins and not ends:
        return at, at
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        raise CannotTell(
            "the crontab's marker lines do not match: with crontab -e, leave one line "
            f"{BEGIN[:15].decode()!r} and, below, one line {END.decode()!r}, or neither"
        )
    return begins[0], ends[0]


# --- one line ---------------------------------------------------------------------------------


def _line(fields: str, entry: Entry) -> bytes:
    """The crontab line of a lifeline."""
    assignments = [("PATH", search_path(entry)), *_state()]
    words = [f"{name}={shlex.quote(value)}" for name, value in assignments]
    # A file that is found from `/` upwards only is not found by cron: it is named.
    arguments = [*program(), "run", entry.name, "--config", entry.path]
    command = " ".join([*words, *map(shlex.quote, arguments)])
    if "\n" in command:
        raise entry.wrong("", f"{entry.name}: a path in its line holds a line end")
    command = command.replace("%", r"\%")  # cron(8) takes a bare one for a line end
    if len(command.encode("utf-8", "surrogateescape")) > _LONGEST:
        raise entry.wrong("", f"{entry.name}: its line would be longer than crontabs allow")
    return os.fsencode(f"{fields} {command}")


def _state() -> list[tuple[str, str]]:
    """cron does not hand on where state lives, and two places would be two memories.

    Raises StateUnusable for a place that no tick would take.
    """
    if not os.environ.get("LIFELINE_STATE_DIR"):
        return []
    return [("LIFELINE_STATE_DIR", os.fsdecode(State().directory))]


def program() -> list[str]:
    """The words that start this very lifeline from anywhere."""
    script = os.path.abspath(sys.argv[0])
    if os.path.basename(script) == "lifeline" and os.access(script, os.X_OK):
        return [script]
    beside = os.path.join(os.path.dirname(sys.executable), "lifeline")
    if os.access(beside, os.X_OK):
        return [beside]
    return [sys.executable, "-m", "lifeline"]


def search_path(entry: Entry) -> str:
    """A PATH that finds lifeline and the command, as they are found now; the same each time."""
    found = [os.path.dirname(program()[0]), *_directories(entry), *STANDARD_PATH]
    if any(":" in each for each in found):
        raise entry.wrong("command", "a directory with a colon in its name cannot be on a PATH")
    return ":".join(dict.fromkeys(found))


def _directories(entry: Entry) -> Iterator[str]:
    """Where the command is found now, and the interpreter that its `#!` line asks `env` for."""
    word = values.command(entry)[0]
    path = values.environment(entry).get("PATH", os.environ.get("PATH", os.defpath))
    if "/" in word:
        script: str | None = os.path.join(values.directory(entry), word)
    else:
        script = found_in(word, path)
        if script:
            yield os.path.dirname(script)
    shebang = read_shebang(os.fsencode(script)) if script else ()
    if shebang and b"/" not in shebang[0]:
        interpreter = found_in(os.fsdecode(shebang[0]), path)
        if interpreter:
            yield os.path.dirname(interpreter)


def found_in(word: str, path: str) -> str | None:
    """The absolute path of a program in one of the absolute directories of `path`."""
    for directory in path.split(":"):
        candidate = os.path.join(directory, word)
        if (
            directory.startswith("/")
            and os.path.isfile(candidate)
            and os.access(candidate, os.X_OK)
        ):
            return candidate
    return None


def check_found(entry: Entry) -> None:
    """Raise UsageError if the command is not there, or would not be found from cron."""
    word = values.command(entry)[0]
    path = values.environment(entry).get("PATH") or search_path(entry)
    if "/" in word:
        full = os.path.join(values.directory(entry), word)
        there = os.path.isfile(full) and os.access(full, os.X_OK)
    else:
        there = found_in(word, path) is not None
    if not there:
        shown = show(os.fsencode(word))
        raise UsageError(f"{entry.where('command')}: {entry.name}: there is no program {shown}")
