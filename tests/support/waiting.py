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


def in_time(attempt: Callable[[float], T], first: float = 1.0) -> T:
    """The first true value of `attempt`, which is given more and more seconds.

    For what has to happen before a limit of the program under test comes: how long it takes on a
    machine that stalls is not known, and a limit that is always enough is waited for each time.
    """
    for seconds in (first, 4 * first, 16 * first, 64 * first):
        if seen := attempt(seconds):
            return seen
    raise AssertionError(f"still {seen!r} with {seconds:g} s")
