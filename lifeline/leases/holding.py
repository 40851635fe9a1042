"""A lease in the hands of this process: what the code that works under it asks and is told."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..clock import boottime
from ..errors import LeaseLost
from ..signals.box import Box, Delivery
from ..signals.inbox import Inbox, Reception, call_back
from ..signals.payload import Payload
from .here import pid
from .lease import Lease

if TYPE_CHECKING:
    from .port import Claim
    from .shared import SharedStore


_log = logging.getLogger("lifeline")


class Holding:
    """A granted lease. The keeper renews it; this tells whether it still counts.

    `name`, `slot`, `slots`, `fence` and `owner` say what is held. A forked child holds nothing:
    there it counts as lost.
    """

    def __init__(self, store: SharedStore, claim: Claim, lease: Lease) -> None:
        self.store = store
        self.claim = claim
        self.lease = lease
        self._pid = pid()
        self._told = False
        self._over = threading.Event()  # lost, or dismissed
        self._callbacks: list[Callable[[], object]] = []
        self._reception: Reception | None = None
        self._mutex = threading.Lock()

    @property
    def name(self) -> str:
        return self.claim.name

    @property
    def slot(self) -> int:
        return self.claim.slot

    @property
    def slots(self) -> int:
        return self.claim.slots

    @property
    def fence(self) -> int:
        """Greater than that of every earlier holder of this slot: a guard of writes compares it."""
        return self.claim.fence

    @property
    def owner(self) -> str:
        return self.claim.owner

    @property
    def alive(self) -> bool:
        """True while the work may go on; false from the moment in which it is to be stopped.

        By the clock alone, so it is right even if no thread of this process could run meanwhile.
        The grace of the terms is what is left then until somebody else may begin.
        """
        return self.is_ours and not self._over.is_set() and self.lease.covers(boottime())

    @property
    def is_ours(self) -> bool:
        """False in a forked child."""
        return os.getpid() == self._pid  # a server that forks in C (uWSGI) calls none of our hooks

    def left(self) -> float:
        """Seconds for which `alive` stays true without another renewal; 0 if it is not."""
        return max(self.lease.stop - boottime(), 0.0) if self.alive else 0.0

    def check(self) -> None:
        """Return if the lease is alive. Raises LeaseLost otherwise: stop the work."""
        if not self.is_ours:
            raise LeaseLost(f"the lease of {self.name!a} is the parent's: a child does not have it")
        if not self.alive:
            raise LeaseLost(f"the lease of {self.name!a}, slot {self.slot}, is lost: stop the work")

    def sleep(self, seconds: float) -> bool:
        """Sleep, but not beyond the lease: true if it is alive still, and the work may go on."""
        until = boottime() + seconds
        while self.alive and (left := until - boottime()) > 0:
            self._over.wait(min(left, max(self.lease.stop - boottime(), 0.0)))
        return self.alive

    def dismiss(self) -> None:
        """Ask the work to end: `alive` is false from now on. It is still renewed, and not lost."""
        self._over.set()
        self.end()

    def on_lost(self, callback: Callable[[], object]) -> None:
        """Have `callback()` called, in a thread of its own, once the lease is lost.

        At once if it is lost already. A release is no loss.
        """
        with self._mutex:
            if not self._told:
                self._callbacks.append(callback)
                return
        _call([callback])

    def signals(self) -> Iterator[Payload]:
        """What is sent to this lease from now on, until it is lost or released.

        Each iterator has all of it. Raises LeaseLost, or StoreRefused if the store cannot do this;
        where it is out of reach for now, that is logged, and listening begins as soon as it is not.
        """
        return self._inbox()

    def watch(self, callback: Callable[[Payload], object]) -> None:
        """Have `callback(payload)` called, in a thread of its own, with all that `signals` gives.

        One after the other; a callback that raises is logged. Raises as `signals` does.
        """
        call_back(self._inbox(), callback)

    def _inbox(self) -> Inbox:
        self.check()
        with self._mutex:
            if self._reception is None:
                self._reception = Reception(self.store.post.listener, self._box)
        return self._reception.inbox(lambda: self.alive)

    def _box(self, give: Callable[[Delivery], bool]) -> Box:
        every = self.lease.terms.renew
        return Box(self.name, self.slot, self.owner, lambda: self.alive, give, every)

    def end(self) -> None:
        """For whoever releases it, and for the keeper: it hears nothing more."""
        with self._mutex:
            reception = self._reception
        if reception is not None:
            reception.end()

    def tell_lost(self) -> None:
        """For the keeper: call back whoever wants to know, once."""
        self.end()
        with self._mutex:
            if self._told:
                return
            self._told = True
            self._over.set()
            callbacks, self._callbacks = self._callbacks, []
        if callbacks:
            _call(callbacks)

    def __repr__(self) -> str:
        state = "alive" if self.alive else "lost"
        return f"<lease {self.name!r} slot {self.slot} fence {self.fence} {state}>"


def _call(callbacks: list[Callable[[], object]]) -> None:
    """Not in the keeper's thread, if there can be another: a callback that hangs would keep every
    other loss from being told."""
    for callback in callbacks:
        try:
            threading.Thread(target=callback, name="lifeline lost", daemon=True).start()
        except RuntimeError:  # a limit of tasks or memory, and this cannot wait for better times
            try:
                callback()
            except Exception:
                _log.exception("a callback for the loss of a lease failed")
