"""What is right and wrong around lifelines here: looked at, never changed.

Each look gives findings (`good`, `note`, `warning`, `bad`); only `bad` ones are wrong.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

from . import doctor_cron, doctor_ticks
from .config import checking, reading
from .config.reading import Config, Entry
from .errors import LifelineError, StateUnusable, show
from .leases.port import BAD, GOOD, NOTE, WARNING, Finding
from .leases.stores import open_store
from .leases.urls import redact, resolve
from .processes.state import State
from .supervision.kernel import adopt_orphans

_INITIAL_PID_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of the kernel
_MEND = "mend that line; lifeline config check looks again"
_WITHOUT = "nothing is started without it: mend it, then lifeline doctor again"
_PSUTIL = (7, 1)
_YOUNGEST = 1_735_689_600  # 2025-01-01: a clock that shows less was never set
_ROOM = 16 * 2**20  # bytes


def examine() -> list[Finding]:
    """Every finding. Nothing raises: what cannot be looked at is a finding, too."""
    looks: list[Callable[[Config | None], Iterator[Finding]]] = [
        doctor_cron.daemon,
        doctor_cron.installed_lines,
        doctor_cron.programs,
        doctor_ticks.ticks,
        _others,
        _namespace,
        _state,
        _clock,
        _platform,
        _stores,
    ]
    config, findings = _config()
    for look in looks:
        try:
            findings += look(config)
        except (LifelineError, OSError) as error:
            findings.append(Finding(BAD, str(error), "mend that; lifeline doctor looks again"))
    return findings


def _config() -> tuple[Config | None, list[Finding]]:
    try:
        config = reading.here()
        wrong = checking.problems(config) + checking.scaler_problems(config) if config else []
    except LifelineError as error:
        return None, [Finding(BAD, str(error), _MEND)]
    if config is None:
        return None, [Finding(NOTE, "no lifeline.toml, pyproject.toml or Procfile here or above")]
    found = [Finding(BAD, line, _MEND) for line in wrong]
    if not wrong:
        found = [Finding(GOOD, f"{config.path}: all sound")]
    if secret := checking.open_secret(config):
        advice = f'chmod o-r {config.path}, or write "env:NAME" or "secret-file:PATH"'
        found.append(Finding(WARNING, f"{secret} is a secret that everybody can read", advice))
    return config, found


# --- what can be seen -------------------------------------------------------------------------


def _others(_config: Config | None) -> Iterator[Finding]:
    """proc(5): hidepid keeps the processes of others from being seen."""
    hidden = _proc_option("hidepid")
    seen = _is_seen(1) if os.getpid() != 1 else True
    if hidden in (None, "0", "off") and seen:
        yield Finding(GOOD, "processes of other users can be seen")
    elif seen:
        yield Finding(GOOD, f"/proc hides processes (hidepid={hidden}), but not from this user")
    else:
        yield Finding(
            NOTE,
            f"/proc hides the processes of other users (hidepid={hidden or 'unknown'})",
            "twins are of one user, so nothing is missed; run each lifeline as one user only",
        )


def _is_seen(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            file.read(1)
    except OSError:
        return False
    return True


def _proc_option(name: str) -> str | None:
    """An option that /proc is mounted with; mountinfo shows those of the file system last."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = [line.split() for line in file]
    except OSError:
        return None
    options = [words[-1] for words in mounts if len(words) > 4 and words[4] == "/proc"]
    found = (
        [each for each in options[-1].split(",") if each.startswith(f"{name}=")] if options else []
    )
    return found[0].partition("=")[2] if found else None


def _namespace(_config: Config | None) -> Iterator[Finding]:
    try:
        mine = os.readlink("/proc/self/ns/pid")
    except OSError:
        yield Finding(NOTE, "this system shows no pid namespace")
        return
    if mine == _INITIAL_PID_NAMESPACE:
        yield Finding(GOOD, "the pid namespace is the machine's own")
    else:
        advice = "what runs outside of it, or in another container, is no twin: use --lock for that"
        yield Finding(NOTE, f"this is a pid namespace of its own ({mine}): a container", advice)


# --- state, clock, platform -------------------------------------------------------------------


def _state(_config: Config | None) -> Iterator[Finding]:
    try:
        state = State()
        there = state.check()
    except StateUnusable as error:
        advice = "mend it, or point LIFELINE_STATE_DIR elsewhere"
        yield Finding(BAD, f"state directory {show(error.path)} {error.reason}", advice)
        return
    shown_path = show(state.directory)
    if not there:
        above = _nearest(state.directory)
        if not os.access(above, os.W_OK | os.X_OK):
            advice = f"make {shown_path} (mode 700), or point LIFELINE_STATE_DIR elsewhere"
            yield Finding(BAD, f"state directory {shown_path} cannot be made", advice)
        else:
            yield Finding(GOOD, f"state directory {shown_path} is made with the first run")
        return
    if not os.access(state.directory, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(BAD, f"state directory {shown_path} cannot be written", "see its file system")
        return
    disk = os.statvfs(state.directory)
    room = disk.f_bavail * disk.f_frsize
    if room < _ROOM:
        advice = "make room: runs go unrecorded"
        yield Finding(BAD, f"state directory {shown_path}: {room // 2**20} MiB left", advice)
    else:
        yield Finding(GOOD, f"state directory {shown_path} is ours alone and can be written")


def _nearest(path: bytes) -> bytes:
    """The nearest directory above that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _clock(_config: Config | None) -> Iterator[Finding]:
    now = time.time()
    if now < _YOUNGEST:
        advice = "set the clock, and keep it with NTP"
        yield Finding(BAD, f"the clock says {time.strftime('%F', time.gmtime(now))}", advice)
    elif (ahead := _newest_event() - now) > 1:
        advice = "it was set back: holds with an end last longer; keep it with NTP"
        yield Finding(WARNING, f"the clock is {ahead:.0f} s behind the newest event", advice)
    else:
        yield Finding(GOOD, "the clock is plausible; only holds and displays depend on it")
    if not hasattr(time, "CLOCK_BOOTTIME"):
        yield Finding(WARNING, "no clock that counts suspended time", "leases need one: use Linux")


def _newest_event() -> float:
    """When the newest line of the history was written, in wall seconds; 0 without any."""
    found = 0.0
    for name in (b"events", b"ticks"):
        try:
            found = max(found, os.stat(os.path.join(State().directory, name)).st_mtime)
        except (OSError, StateUnusable):
            continue
    return found


def _platform(_config: Config | None) -> Iterator[Finding]:
    try:
        psutil = version("psutil")
    except PackageNotFoundError:
        yield Finding(BAD, "psutil is not installed", "pip install 'psutil>=7.1'")
    else:
        numbers = tuple(int(part) for part in psutil.split(".")[:2] if part.isdigit())
        if numbers < _PSUTIL:
            advice = "pip install 'psutil>=7.1': before, identities move with the clock"
            yield Finding(BAD, f"psutil {psutil} is too old", advice)
        else:
            yield Finding(GOOD, f"psutil {psutil}")
    if sys.platform != "linux":
        advice = "lifeline works through psutil there, and is not tested"
        yield Finding(WARNING, f"the platform is {sys.platform}, not Linux", advice)
        return
    yield _feature("pidfd_open(2)", _has_pidfd(), "signals could meet a pid that is used again")
    yield _feature("child subreaper (prctl(2))", adopt_orphans(), "what escapes is not ended")


def _feature(name: str, there: bool, without: str) -> Finding:
    if there:
        return Finding(GOOD, f"{name} works")
    return Finding(WARNING, f"{name} does not work here: {without}", "a newer kernel has it")


def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


# --- stores -----------------------------------------------------------------------------------


def _stores(config: Config | None) -> Iterator[Finding]:
    """Each store that a lifeline or a scaler names, once, and what LIFELINE_LOCK names."""
    found: dict[str, tuple[list[str], Entry | None]] = {}
    for user, lock, entry in _locks(config):
        try:
            # What `env:NAME` names may be in the lifeline's own env_file, as may be credentials.
            with checking.in_environment(entry):
                found.setdefault(resolve(lock), ([], entry))[0].append(user)
        except LifelineError as error:
            yield Finding(BAD, f"{user}: {error}", _WITHOUT)
    for url, (users, entry) in found.items():
        with checking.in_environment(entry):
            yield from _store(url, ", ".join(users))


def _locks(config: Config | None) -> Iterator[tuple[str, str, Entry | None]]:
    """Who names a store, its URL, and whose environment that is read in."""
    if url := os.environ.get("LIFELINE_LOCK"):
        yield "LIFELINE_LOCK", url, None
    for entry in config.entries.values() if config else ():
        if isinstance(lock := entry.keys.get("lock"), str) and lock:
            yield entry.name, lock, entry
    for name, table in config.scalers.items() if config else ():
        if isinstance(table, dict) and isinstance(lock := table.get("lock"), str) and lock:
            yield f"scaler {name}", lock, None


def _store(url: str, users: str) -> Iterator[Finding]:
    try:
        label = redact(url)
        store = open_store(url)
    except LifelineError as error:
        yield Finding(BAD, f"{users}: {error}", _WITHOUT)
        return
    try:
        for each in store.check():
            advice = each.advice or (_WITHOUT if each.level == BAD else "")
            yield Finding(each.level, f"{_labelled(label, each.what)} ({users})", advice)
    except LifelineError as error:
        yield Finding(BAD, f"{_labelled(label, str(error))} ({users})", _WITHOUT)
    finally:
        store.close()


def _labelled(label: str, what: str) -> str:
    """Which store it is about, said once: most errors say it themselves."""
    return what if what.startswith(label) else f"{label}: {what}"
