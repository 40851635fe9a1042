"""Sizes as text."""

from .errors import UsageError

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{letter}{end}": 1000**n for n, letter in enumerate("kmgt", 1) for end in ("", "b")},
    **{f"{letter}ib": 1024**n for n, letter in enumerate("kmgt", 1)},
}
_LONGEST = 20  # digits


def parse_size(option: str, text: str) -> int:
    """Bytes in `text`: 500000, 10MB (millions), 64MiB (times 1024²), 1.5G.

    Raises UsageError for anything else, zero included.
    """
    number = text[: len(text) - len(text.lstrip("0123456789."))]
    unit = text[len(number) :].strip().lower()
    if not number.strip(".") or number.count(".") > 1 or unit not in _UNITS:
        raise UsageError(f"{option}: {text!r} is not a size: write 500000, 10MB, 64MiB or 2G")
    if len(number) > _LONGEST:
        raise UsageError(f"{option}: {text[:40]!r} is more than there is")
    size = int(float(number) * _UNITS[unit])
    if size <= 0:
        raise UsageError(f"{option} has to be more than nothing")
    return size
