"""What a terminal can do, as far as its name tells."""

import os
import sys

from .errors import complain

_WITHOUT_A_CURSOR = ("", "dumb", "unknown")


def has_cursor() -> bool:
    """False if TERM is missing or names a terminal that can only print: terminfo(5), `dumb`."""
    return os.environ.get("TERM", "") not in _WITHOUT_A_CURSOR


def tell_person(message: str) -> None:
    """One line on stderr if that is a terminal: cron and scripts are not told."""
    try:
        is_read = sys.stderr.isatty()
    except (AttributeError, ValueError):  # closed
        return
    if is_read:
        complain(message)
