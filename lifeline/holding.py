"""Putting a hold in place, and telling the history of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from . import clock, events
from .processes import holds
from .processes.holds import Hold
from .processes.identity import Identity
from .processes.state import State


def hold(state: State, identity: Identity, until: float | None, reason: str) -> Hold:
    """Keep a lifeline from being started until `until` (wall seconds), or until it is released."""
    made = Hold(identity, clock.wall(), until, os.fsencode(reason))
    _put(state, made)
    return made


def release(state: State, identity: Identity) -> bool:
    """End a hold; False if there was none."""
    found = state.check() and holds.remove(state, identity)
    if found:
        events.append(state, "release", identity)
    return found


@contextmanager
def holding(state: State, identity: Identity, until: float | None, reason: str) -> "Iterator[Hold]":
    """Hold before something is done, for good; but if that fails, all is as it was before.

    Whoever interrupts it (Ctrl-C) has the hold that was asked for.
    """
    before = holds.read(state, identity, clock.wall()) if state.check() else None
    made = hold(state, identity, until, reason)
    try:
        yield made
    except Exception:
        if before is None:
            release(state, identity)
        else:
            _put(state, before)
        raise


def _put(state: State, made: Hold) -> None:
    holds.write(state, made)
    reason = os.fsdecode(made.reason) or None
    events.append(state, "hold", made.identity, until=made.until, reason=reason)
