"""run_locked(): run if nobody does, else pass. The form of lockrun on Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .lease_memory import Memory
from .leases.lock import Lock
from .leases.terms import TTL
from .outcome import Outcome

Value = TypeVar("Value")


def run_locked(
    name: str,
    fn: Callable[..., Value],
    /,
    *args: Any,
    store: str | None = None,
    slots: int = 1,
    ttl: float = TTL,
    **kwargs: Any,
) -> Outcome[Value]:
    """Call `fn(*args, **kwargs)` if a slot of `name` is free, otherwise pass, at once.

    The Outcome has `ran`, and the `value` of fn or the `holder` in the way (None if that let go in
    the very moment in which it was asked for). The lease is renewed for as long as fn runs,
    however long that is. What fn raises comes through; LeaseLost is raised at its end if the lease
    was lost meanwhile. Raises StoreError if the store does not answer: then fn was not called.
    """
    return call_locked(Lock(name, store, slots=slots, ttl=ttl), lambda: fn(*args, **kwargs))


def call_locked(turn: Lock, call: Callable[[], Value]) -> Outcome[Value]:
    """Call under this lease if it can be had at once, otherwise pass."""
    if not turn.acquire_if_free(Memory.of_lease(turn.name)):
        return Outcome(False, holder=next(iter(turn.holders()), None))
    try:
        value = call()
    except BaseException:
        turn.leave(failed=True)
        raise
    turn.leave(failed=False)
    return Outcome(True, value)
