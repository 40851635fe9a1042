"""Waiting for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], within: float = 120.0, every: float = 0.005) -> T:
    """The first true value that `look` returns; AssertionError after `within` seconds without one.

    A time limit bounds a failing test, it never decides a passing one: make it generous.
    """
    deadline = time.monotonic() + within
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still {seen!r} after {within:g} s")
        time.sleep(every)
    return seen
