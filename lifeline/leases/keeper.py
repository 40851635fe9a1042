"""The keeper of what a program holds in one store: two threads, whatever the number of leases.

One renews them all in one round trip. The other tells of those that are over, by the clock: it
never waits for the store, or who works would hear of the end after somebody else has begun. Each
store has threads of its own: one that hangs holds up no other's leases. They are daemons: a program
that ends lets go of what it holds when its leases run out, if it did not release them.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..clock import boottime
from ..errors import StoreError
from .holding import Holding
from .lease import KEEP, LOST, UNKNOWN

if TYPE_CHECKING:
    from .shared import SharedStore

_log = logging.getLogger("lifeline")
_RETRY = 1.0  # seconds after a renewal without an answer, at most
_LINGER = 10.0  # seconds: a thread that is started for each lease costs more than the lease does


class Keeper:
    """Renews what is added until it is removed or lost."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store
        self._reset()

    def _reset(self) -> None:
        self._kept: dict[Holding, None] = {}  # a dict keeps their order
        self._retiring: dict[Holding, float] = {}
        self._again = 0.0  # not before: the last renewal had no answer
        self._mutex = threading.Lock()
        self._renewer = _Worker("lifeline", self._mutex, self._renewals, self._tend)
        self._clock = _Worker("lifeline clock", self._mutex, self._ends, self._end_lost)

    def add(self, holding: Holding) -> None:
        """Renew it from now on. Raises RuntimeError if that takes a thread and there can be none:
        then it is not kept."""
        with self._mutex:
            self._renewer.be_there()
            self._clock.be_there()
            self._kept[holding] = None
            self._renewer.wake_by(holding.lease.renew)
            self._clock.wake_by(holding.lease.stop)

    def remove(self, holding: Holding) -> bool:
        """Renew it no more; false if it was not kept, or is not any more."""
        with self._mutex:
            return self._kept.pop(holding, self) is None

    def retire(self, holding: Holding, when: float) -> None:
        """Keep it until `when`, then release it: nobody may have it before."""
        with self._mutex:
            self._retiring[holding] = when
            self._renewer.wake_by(when)

    def abandon_all(self) -> None:
        """In a forked child: its parent keeps them."""
        self._reset()

    # --- the thread that asks the store -------------------------------------------------------

    def _renewals(self, now: float) -> Iterable[float]:
        yield from self._retiring.values()
        for holding in self._kept:
            if holding.lease.covers(now):
                yield max(holding.lease.renew, self._again)

    def _tend(self, now: float) -> None:
        """Renew what is kept, if any of it is due; release what has to wait for that."""
        with self._mutex:
            living = [holding for holding in self._kept if holding.lease.covers(now)]
        if self._again <= now and any(each.lease.due(now) != KEEP for each in living):
            self._renew(living, now)
        self._end_retired(boottime())

    def _renew(self, living: list[Holding], sent: float) -> None:
        try:
            answers = self._store.renew([holding.claim for holding in living])
        except StoreError as error:
            _log.warning("leases were not renewed: %s", error)
            answers = [UNKNOWN] * len(living)
        with self._mutex:
            now = boottime()
            for holding, answer in zip(living, answers, strict=True):
                # Else it was released meanwhile, which is no loss, or it is over, which is final.
                if holding in self._kept and holding.lease.covers(now):
                    holding.lease = holding.lease.after(answer, sent)
            if LOST in answers:
                self._clock.wake_by(now)
        if UNKNOWN in answers:
            self._again = boottime() + min(_RETRY, living[0].lease.terms.renew)
        else:
            self._again = 0.0

    def _end_retired(self, now: float) -> None:
        with self._mutex:
            over = [holding for holding, when in self._retiring.items() if when <= now]
            for holding in over:
                del self._retiring[holding]
        for holding in over:
            if self.remove(holding):
                try:
                    self._store.release(holding.claim)
                except StoreError as error:
                    _log.warning("a lease runs out instead of being released: %s", error)

    # --- the thread that looks at the clock ---------------------------------------------------

    def _ends(self, now: float) -> Iterable[float]:
        return (now if each.lease.lost else each.lease.stop for each in self._kept)

    def _end_lost(self, now: float) -> None:
        """Drop what is over, and tell. It is final, even if the store would have renewed it in the
        next moment."""
        with self._mutex:
            over = [holding for holding in self._kept if not holding.lease.covers(now)]
            for holding in over:
                del self._kept[holding]
                self._retiring.pop(holding, None)
                holding.lease = holding.lease.after(LOST, 0.0)
        for holding in over:
            holding.tell_lost()
        for holding in over:
            _log.error("the lease of %a, slot %d, is lost", holding.name, holding.slot)


class _Worker:
    """A thread that is there while anything is due, and a little longer.

    With the mutex held `dues(now)` says when that is; `work(now)` is called then, without it.
    """

    def __init__(
        self,
        name: str,
        mutex: threading.Lock,
        dues: Callable[[float], Iterable[float]],
        work: Callable[[float], None],
    ) -> None:
        self._name = name
        self._dues = dues
        self._work = work
        self._changed = threading.Condition(mutex)
        self._wakes = 0.0  # when the thread looks by itself; if that is past, it is about to
        self._used = 0.0  # when it was needed last
        self._thread: threading.Thread | None = None

    def be_there(self) -> None:
        """With the mutex held. Raises RuntimeError if no thread can be started."""
        self._used = boottime()
        if self._thread is None or not self._thread.is_alive():
            self._wakes = 0.0
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._thread = thread

    def wake_by(self, when: float) -> None:
        """With the mutex held. A thread that is woken for each lease costs more than the lease."""
        if when < self._wakes:
            self._wakes = when
            self._changed.notify()

    def _run(self) -> None:
        while self._await_turn():
            try:
                self._work(boottime())
            except Exception:  # a fault in here is to cost one turn, not every lease to come
                _log.exception("the keeper of leases failed, and goes on")
                time.sleep(_RETRY)

    def _await_turn(self) -> bool:
        """Wait until something is due; false if nothing was for so long as to end."""
        with self._changed:
            while True:
                now = boottime()
                dues = list(self._dues(now))
                due = min(dues, default=self._used + _LINGER)
                if due <= now:
                    break
                # As early as it was told, though that lease may be over: the next one's turn
                # comes later, and need not wake it then.
                self._wakes = min(due, self._wakes if self._wakes > now else math.inf)
                self._changed.wait(self._wakes - now)
            if not dues:
                self._thread = None
            return bool(dues)
