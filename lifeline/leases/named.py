"""What a lease, its slots and its holder may be called."""

from __future__ import annotations

import os
import socket

from .. import clock
from ..errors import UsageError
from .here import pid
from .port import Info

_MOST_SLOTS = 1000
_LONGEST_NAME = 300  # characters


def new_owner() -> str:
    """128 random bits."""
    return os.urandom(16).hex()


def about_me() -> Info:
    """What others are shown of this process."""
    return {"host": socket.gethostname(), "pid": pid(), "since": round(clock.wall(), 3)}


def check_lease_name(name: str) -> str:
    """`name`, if a lease can be called so. Raises UsageError otherwise."""
    if not name or "\0" in name:
        raise UsageError("a lease's name is a text that is not empty and holds no NUL")
    if any("\ud800" <= one <= "\udfff" for one in name):
        raise UsageError(f"a lease's name is Unicode text, and this is none: {name!a}")
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"a lease's name has at most {_LONGEST_NAME} characters, not {len(name)}")
    return name


def check_slots(slots: int) -> int:
    """`slots`, if there can be so many. Raises UsageError otherwise."""
    if slots not in range(1, _MOST_SLOTS + 1):  # 1.5 is not, either
        raise UsageError(f"there are from 1 to {_MOST_SLOTS} slots, not {slots!r}")
    return slots
