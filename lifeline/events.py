"""What happened, one line of JSON each, in the state directory; bounded, and never in the way.

Written without `json`, whose import costs a tick half a bare interpreter. An event that cannot be
written is not worth failing for: `append` answers False, and a runner says so once.
"""

import os

from .clock import boottime, wall
from .errors import StateUnusable, show, show_words
from .processes.state import State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from .processes.identity import Identity

    Value: TypeAlias = str | int | float | None

STAND_DOWN = "stand-down"
HELD = "held"
LOST = "lost"

# What ticks write once a minute has a file of its own, or it would push out all else.
_BUSY = (STAND_DOWN, HELD)
_LIMIT = 1_000_000  # bytes; one older file of this size is kept beside


def append(
    state: State, kind: str, identity: "Identity", *, syslog: bool = False, **facts: "Value"
) -> bool:
    """Add one event to the history, and to `syslog` if asked; False if the history has no place."""
    titled = title(identity)
    if syslog:
        _to_syslog(kind, titled, facts)
    return add(state, kind, {**titled, **facts})


def add(state: State, kind: str, facts: "dict[str, Value]") -> bool:
    """Add one event, whose title is among its `facts`, to the history."""
    line = encode({"time": round(wall(), 6), "event": kind, **facts})
    path = os.path.join(state.directory, b"ticks" if kind in _BUSY else b"events")
    try:
        fd = state.open(
            path,
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK,
        )
        try:
            # One write to an appended file: lines of others stay whole.
            written = os.write(fd, line)
            if os.fstat(fd).st_size > _LIMIT:
                _put_aside(path, fd)
        finally:
            os.close(fd)
    except (OSError, StateUnusable):
        return False
    return written == len(line)


def begin(state: State, identity: "Identity") -> "Callable[[], None]":
    """Tell the start of a run that is this process itself; what is returned tells its end, once.

    A program does not know what exit code it is going to have, so its end has none.
    """
    pid, began, over = os.getpid(), boottime(), False

    def end() -> None:
        nonlocal over
        if over or os.getpid() != pid:  # a forked child has only a copy
            return
        over = True
        append(state, "end", identity, pid=pid, seconds=round(boottime() - began, 3))

    append(state, "start", identity, pid=pid)
    return end


def _put_aside(path: bytes, fd: int) -> None:
    """Rename the full file that is open as `fd`, and no other."""
    import fcntl

    try:
        # Whoever has the lock of a file is the only one to rename it; others that found it full
        # see, with the lock, that something else is in its place.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(path), os.fstat(fd)):
            os.rename(path, path + b".1")
    except OSError:
        pass  # being done by somebody in this moment


def title(identity: "Identity") -> "dict[str, Value]":
    """How an event names its lifeline: by name or by the words of its command."""
    if identity.name is not None:
        return {"name": show(identity.name, _WHOLE)}
    return {"command": show_words(identity.words[1:], _WHOLE)}


_WHOLE = 4000  # characters


def _to_syslog(kind: str, titled: "dict[str, Value]", facts: "dict[str, Value]") -> None:
    """The same event as one line for syslog or the journal."""
    import syslog

    what = " ".join(f"{key}={value}" for key, value in facts.items() if value is not None)
    named = next(iter(titled.values()))
    syslog.openlog("lifeline", syslog.LOG_PID, syslog.LOG_DAEMON)
    bad = kind in ("lost", "cannot tell") or facts.get("code") not in (None, 0)
    syslog.syslog(syslog.LOG_WARNING if bad else syslog.LOG_INFO, f"{kind}: {named} {what}")


def paths(state: State) -> "list[bytes]":
    """The history's files, older ones first."""
    newest = [os.path.join(state.directory, name) for name in (b"ticks", b"events")]
    return [*(path + b".1" for path in newest), *newest]


def lasting_paths(state: State) -> "list[bytes]":
    """Those of them that tell of more than ticks that did nothing."""
    newest = os.path.join(state.directory, b"events")
    return [newest + b".1", newest]


def encode(facts: "dict[str, Value]") -> bytes:
    """One JSON object on one line; facts that are None are left out (RFC 8259)."""
    parts = [
        f"{_string(key)}: {_string(value) if isinstance(value, str) else value}"
        for key, value in facts.items()
        if value is not None
    ]
    return ("{" + ", ".join(parts) + "}\n").encode("ascii")


def _string(text: str) -> str:
    return '"' + "".join(map(_character, text)) + '"'


def _character(one: str) -> str:
    if one in '"\\':
        return "\\" + one
    if " " <= one <= "~":
        return one
    code = ord(one)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
