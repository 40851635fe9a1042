"""Time: since boot for measuring, wall time for people, and durations as text."""

import time

from .errors import UsageError

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def boottime() -> float:
    """Seconds since boot, suspended time included where the system counts it (Linux)."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def wall() -> float:
    """Seconds since the epoch: for records and displays, never for deciding how long."""
    return time.time()


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST = 36525 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds in `text`: a plain number of seconds, or numbers with ms, s, m, h, d or w.

    `90`, `1.5`, `10s`, `1h30m`. Raises UsageError for anything else, and for more than a hundred
    years. A caller that needs more than zero checks that itself.
    """
    rest, total, seen = text.strip(), 0.0, False
    while rest:
        number = _leading(rest, "0123456789.")
        unit = _leading(rest[len(number) :], "abcdefghijklmnopqrstuvwxyz")
        plain = not unit and not seen and len(number) == len(rest)
        if not number or number.count(".") > 1 or number == "." or not (plain or unit in _UNITS):
            break
        total += float(number) * _UNITS.get(unit, 1.0)
        rest, seen = rest[len(number) + len(unit) :], True
    if rest or not seen:
        raise UsageError(f"{text!r} is not a duration: write 90, 10s, 5m, 1h30m or 2d")
    if total > _LONGEST:
        raise UsageError(f"{text[:40]!r} is longer than a hundred years")
    return total


def _leading(text: str, letters: str) -> str:
    return text[: len(text) - len(text.lstrip(letters))]


def show_duration(seconds: float) -> str:
    """`seconds` in at most two units, rounded down: 3d 4h, 5m 2s, 0s."""
    left = int(max(seconds, 0))
    parts: list[str] = []
    for unit in ("d", "h", "m", "s"):
        size = int(_UNITS[unit])
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size}{unit}")
        left %= size
    return " ".join(parts[:2])
