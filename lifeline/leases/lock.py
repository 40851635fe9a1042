"""lock(): a lease with the manners of threading.Lock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

from .. import clock
from ..errors import LeaseLost, StoreError
from .candidate import Candidate, Observations
from .here import pid
from .holding import Holding
from .named import about_me, check_lease_name, check_slots, new_owner
from .port import Seen
from .shared import store_at
from .standing import let_go, stand
from .terms import TTL, Terms, default_grace

_log = logging.getLogger("lifeline")


class Memory(Protocol):
    """Keeps what was seen of leases, over processes."""

    def read(self) -> Observations: ...
    def write(self, observations: Observations) -> None: ...


class Turn:
    """What lock() and alock() share: what is asked for, on which terms, and what is held."""

    def __init__(
        self,
        name: str,
        store: str | None = None,
        *,
        slots: int = 1,
        ttl: float = TTL,
        grace: float | None = None,
    ) -> None:
        self.name = check_lease_name(name)
        self.slots = check_slots(slots)
        self.terms = Terms(ttl, grace=default_grace(ttl) if grace is None else grace)
        self.store = store_at(store)
        self.store.hurry(self.terms.renew)
        self._begin()

    def _begin(self) -> None:
        self._holding: Holding | None = None
        self._pid = pid()

    def _after_fork(self) -> None:
        """A child begins with nothing: whoever had a turn at the fork is not in this process."""
        if self._pid != pid():
            self._begin()

    @property
    def lease(self) -> Holding | None:
        """What is held, or None."""
        holding = self._holding
        return holding if holding is not None and holding.is_ours else None

    def candidate(self) -> Candidate:
        """One who stands for a slot, with an owner's token of its own."""
        return Candidate(
            *(self.name, self.slots, new_owner(), self.terms, about_me()), self.store.observations
        )

    def _handed_over(self) -> Holding:
        """What was held, to be let go of. Raises RuntimeError if nothing was."""
        holding, self._holding = self.lease, None
        if holding is None:
            raise RuntimeError("release of a lease that is not held")
        return holding


class Lock(Turn):
    """At most `slots` holders of `name`, over all that use the same store.

    `acquire`, `release`, `locked` and `with` as threading.Lock has them. Not re-entrant. `with`
    gives the Holding; its body never runs without the lease, and LeaseLost is raised at its end
    if the lease was lost meanwhile. Any thread may release. A forked child holds nothing.

    `ttl` is how long, in seconds, the store keeps the lease of a holder that is silent; `grace` how
    long before that `alive` turns false, so that the work can be ended in order. `store` is a URL,
    by default LIFELINE_LOCK or files of this host. Raises UsageError if the terms cannot be kept.
    """

    def _begin(self) -> None:
        super()._begin()
        self._turn = threading.Lock()  # of the threads that share this object

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take a slot; false if none is free, or none was within `timeout` seconds.

        Raises StoreError if the store gives no answer and nobody waits, or says no; LeaseLost if
        the answer came so late that the lease was over by then, and nobody waits.
        """
        deadline = deadline_of(blocking, timeout)
        self._after_fork()
        if not self._turn.acquire(blocking, timeout):
            return False
        try:
            self._holding = stand(self.store, self.candidate(), deadline)
        finally:
            if self._holding is None:
                self._turn.release()
        return self._holding is not None

    def acquire_if_free(self, memory: Memory | None = None) -> bool:
        """Ask once; a slot that is free is waited for until its holder before is surely gone.

        `memory` is what was seen by processes that asked before this one.
        """
        self._after_fork()
        if memory:
            self.store.observations.seen.update(memory.read().seen)
        if not self._turn.acquire(blocking=False):
            return False
        try:
            now = clock.boottime()
            self._holding = stand(self.store, self.candidate(), now, patient=True)
        finally:
            if self._holding is None:
                self._turn.release()
                if memory:
                    memory.write(self.store.observations)
        return self._holding is not None

    def release(self) -> None:
        """Free the slot. Raises RuntimeError if it is not held here, LeaseLost if it was lost.

        A store that gives no answer is told of in a StoreError; the lease then runs out by itself.
        """
        holding = self._handed_over()
        try:
            let_go(holding)
        finally:
            self._turn.release()

    def locked(self) -> bool:
        """True if every slot is held by somebody. Asks the store."""
        return len(self.store.holders(self.name)) >= self.slots

    def holders(self) -> list[Seen]:
        """Who holds a slot. Asks the store."""
        return self.store.holders(self.name)

    def leave(self, *, failed: bool) -> None:
        """Release at the end of the work; if that has `failed`, its own error says more."""
        with at_the_end(failed):
            self.release()

    def __enter__(self) -> Holding:
        self.acquire()
        assert self._holding is not None, "acquire() without a limit returns with the lease"
        return self._holding

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave(failed=error is not None)


def deadline_of(blocking: bool, timeout: float) -> float | None:
    """Until when to wait; None for ever. Raises ValueError for what makes no sense, as threading
    does."""
    if not blocking and timeout != -1:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0 and timeout != -1:
        raise ValueError("timeout value must be a non-negative number")
    return None if blocking and timeout == -1 else clock.boottime() + max(timeout, 0)


@contextmanager
def at_the_end(failed: bool) -> Iterator[None]:
    """Around a release at the end of work: what that cannot do is logged, or, if the work `failed`,
    not worth a word beside its own error."""
    try:
        yield
    except StoreError as unanswered:
        _log.warning("a lease runs out instead of being released: %s", unanswered)
    except (LeaseLost, RuntimeError):
        if not failed:
            raise


def lock(
    name: str,
    store: str | None = None,
    slots: int = 1,
    ttl: float = TTL,
    grace: float | None = None,
) -> Lock:
    """A lease on one of `slots` places of `name`, with the manners of threading.Lock; see Lock."""
    return Lock(name, store, slots=slots, ttl=ttl, grace=grace)
