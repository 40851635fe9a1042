"""The keeper of what a program holds in one store: one thread, whatever the number of leases.

All of them are renewed in one round trip. Each store has a thread of its own: one that hangs holds
up no other's leases. It is a daemon: a program that ends lets go of what it holds when its leases
run out, if it did not release them.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable
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
        self._used = 0.0  # when the last one was added
        self._changed = threading.Condition()
        self._wakes = 0.0  # when the thread looks by itself; if that is past, it is about to
        self._thread: threading.Thread | None = None

    def add(self, holding: Holding) -> None:
        """Renew it from now on."""
        with self._changed:
            self._kept[holding] = None
            self._used = boottime()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lifeline", daemon=True)
                self._thread.start()
            self._wake_by(holding.lease.renew)

    def remove(self, holding: Holding) -> bool:
        """Renew it no more; false if it was not kept, or is not any more."""
        with self._changed:
            return self._kept.pop(holding, self) is None

    def retire(self, holding: Holding, when: float) -> None:
        """Keep it until `when`, then release it: nobody may have it before."""
        with self._changed:
            self._retiring[holding] = when
            self._wake_by(when)

    def abandon_all(self) -> None:
        """In a forked child: its parent keeps them."""
        self._reset()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while self._await_turn():
            self._tend(boottime())
            self._end_retired(boottime())

    def _await_turn(self) -> bool:
        """Wait until something is due; false if there was nothing to keep for so long as to end."""
        with self._changed:
            while (due := min(self._dues(), default=self._used + _LINGER)) > (now := boottime()):
                # As early as it was told, though that lease may be over: the next one's turn
                # comes later, and need not wake it then.
                self._wakes = min(due, self._wakes if self._wakes > now else math.inf)
                self._changed.wait(self._wakes - now)
            if not self._kept and not self._retiring:
                self._thread = None
            return self._thread is not None

    def _wake_by(self, when: float) -> None:
        """A thread that is woken for each lease costs more than the lease does."""
        if when < self._wakes:
            self._wakes = when
            self._changed.notify()

    def _dues(self) -> Iterable[float]:
        yield from self._retiring.values()
        for holding in self._kept:
            yield holding.lease.stop
            yield max(holding.lease.renew, self._again)

    def _tend(self, now: float) -> None:
        """Renew what is kept, if any of it is due; drop what is lost."""
        with self._changed:
            kept = list(self._kept)
        if all(holding.lease.due(now) == KEEP for holding in kept):
            return
        living = [each for each in kept if each.lease.covers(now)]
        if living and self._again <= now:
            self._renew(living, now)
        for holding in kept:
            if not holding.lease.covers(boottime()) and self.remove(holding):
                self._lose(holding)

    def _renew(self, living: list[Holding], sent: float) -> None:
        try:
            answers = self._store.renew([holding.claim for holding in living])
        except StoreError as error:
            _log.warning("leases were not renewed: %s", error)
            answers = [UNKNOWN] * len(living)
        except Exception:  # a fault in a driver: the leases run out, and that is told
            _log.exception("leases were not renewed")
            answers = [UNKNOWN] * len(living)
        with self._changed:
            for holding, answer in zip(living, answers, strict=True):
                if holding in self._kept:  # else it was released meanwhile: that is no loss
                    holding.lease = holding.lease.after(answer, sent)
        if UNKNOWN in answers:
            self._again = boottime() + min(_RETRY, living[0].lease.terms.renew)
        else:
            self._again = 0.0

    def _lose(self, holding: Holding) -> None:
        """It is lost: final, even if the store would have renewed it in the next moment."""
        holding.lease = holding.lease.after(LOST, 0.0)
        _log.error("the lease of %a, slot %d, is lost", holding.name, holding.slot)
        with self._changed:
            self._retiring.pop(holding, None)
        holding.tell_lost()

    def _end_retired(self, now: float) -> None:
        with self._changed:
            over = [holding for holding, when in self._retiring.items() if when <= now]
            for holding in over:
                del self._retiring[holding]
        for holding in over:
            if self.remove(holding):
                try:
                    self._store.release(holding.claim)
                except StoreError as error:
                    _log.warning("a lease runs out instead of being released: %s", error)
                except Exception:  # a fault in a driver: the other leases are to be kept
                    _log.exception("a lease runs out instead of being released")
