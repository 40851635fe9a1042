"""Holds: an operator's "do not start this", with an optional end."""

from ..clock import show_duration
from ..errors import show, show_words
from . import lines
from .identity import Identity
from .records import identity_fields, identity_from, key
from .state import HOLDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State


_NEVER = 253402300800.0  # the year 10000, in wall seconds: more cannot be shown


class Hold:
    """A hold on a command: `since` and `until` are wall seconds; `until` None has no end."""

    __slots__ = ("identity", "reason", "since", "until")

    def __init__(
        self, identity: Identity, since: float, until: "float | None", reason: bytes
    ) -> None:
        self.identity = identity
        self.since = since
        self.until = until
        self.reason = reason

    def is_over(self, now: float) -> bool:
        """True once its end has passed at `now` (wall seconds)."""
        return self.until is not None and self.until <= now


def read(state: "State", identity: Identity, now: float) -> "Hold | None":
    """The hold on a command that is in force at `now` (wall seconds), if there is one."""
    hold = _decode(state.read(HOLDS, key(identity)))
    return hold if hold and not hold.is_over(now) else None


def write(state: "State", hold: Hold) -> None:
    """Put a hold in place of any other; it survives a power cut."""
    fields = [(b"since", b"%.3f" % hold.since), (b"reason", hold.reason)]
    if hold.until is not None:
        fields.append((b"until", b"%.3f" % hold.until))
    content = lines.encode([*fields, *identity_fields(hold.identity)])
    state.write(HOLDS, key(hold.identity), content, durable=True)


def remove(state: "State", identity: Identity) -> bool:
    """Take the hold away; False if there was none."""
    return state.remove(HOLDS, key(identity))


def all_holds(state: "State", now: float) -> "list[Hold]":
    """Every hold that is in force at `now` (wall seconds)."""
    found = (_decode(state.read(HOLDS, name)) for name in state.names(HOLDS))
    return [hold for hold in found if hold and not hold.is_over(now)]


def sentence(hold: Hold, now: float) -> str:
    """What a starter says that meets this hold."""
    until = "" if hold.until is None else f" for another {show_duration(hold.until - now)}"
    reason = f" ({show(hold.reason)})" if hold.reason else ""
    return f"held{until}{reason}; not started (`lifeline release {_typed(hold.identity)}` ends it)"


def _typed(identity: Identity) -> str:
    """The words after which another call means the same command, as one would type them."""
    kind, *words = identity.words
    if kind in _SPELLED:
        where = identity.environment
        words = [where + b"/bin/python" if where else b"python3", _SPELLED[kind], *words]
    elif kind == b"invoke":
        words = [b"invoke", b"-r", *words]
    return show_words(words if kind == b"name" else [b"--", *words], 500)


_SPELLED = {b"module": b"-m", b"code": b"-c"}


def _decode(content: "bytes | None") -> "Hold | None":
    fields = None if content is None else lines.decode(content)
    if fields is None:
        return None
    try:
        until = float(fields[b"until"][0]) if b"until" in fields else None
        since = float(fields[b"since"][0])
        if not (abs(since) < _NEVER and abs(until or 0.0) < _NEVER):
            return None
        return Hold(identity_from(fields), since, until, fields[b"reason"][0])
    except (KeyError, ValueError):
        return None
