"""The keeper's life: stand for the lease, keep it, see the job's end, release.

Everything that happens comes through one loop: lines from the runner, an answer of the store, its
word that something was released, a time that has come. Nothing in here waits for the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

from ..clock import boottime
from ..errors import LifelineError, StoreRefused, StoreUnreachable
from ..lease_memory import Memory
from ..leases import protocol
from ..leases.candidate import Candidate
from ..leases.lease import LOST, RENEWED, UNKNOWN, Lease
from ..leases.named import new_owner
from ..leases.port import Claim, Granted, Taken
from ..leases.shared import SharedStore
from ..leases.standing import Ear, chance, claim_of
from ..supervision.loop import Loop, Timer
from ..terminals import tell_person
from .aftermath import Aftermath
from .calls import Calls
from .order import Order
from .verbs import Verbs

_RETRY = 1.0  # seconds after a renewal without an answer, at most
_VERBS = 2  # that may be on their way at the end


class Keeper:
    """Serves one order. `lines` come from the runner, `say` goes to it."""

    def __init__(
        self,
        order: Order,
        store: SharedStore,
        loop: Loop,
        lines: protocol.Lines,
        say: Callable[..., None],
    ) -> None:
        self._order = order
        self._store = store
        self._store.hurry(order.terms.renew)
        self._loop = loop
        self._verbs = Verbs(loop)
        self._lines = lines
        self._say = say
        self._memory = Memory(order.memory)
        self._candidate = Candidate(
            order.name, order.slots, new_owner(), order.terms, order.info, self._memory.read()
        )
        self._deadline = boottime() + order.wait
        self._ear = Ear(store, order.name)
        self._next: Timer | None = None
        self._guard: Timer | None = None
        self._claim: Claim | None = None
        self._lease = Lease(order.terms, 0.0, lost=True)
        self._heard = self._lease  # as far as the runner has confirmed to know of it
        self._begun = False
        self._is_waiting = False
        self._missed = False  # a release was heard of while a request was on its way
        self._is_over = False
        self._calls: Calls | None = None
        self._aftermath = Aftermath()

    def run(self) -> NoReturn:
        """Until the lease is released, or lost and the job gone, or could not be had."""
        self._loop.watch(self._lines.fd, self._listen)
        self._stand()
        while True:
            self._loop.turn()

    # --- to have it ---------------------------------------------------------------------------

    def _stand(self) -> None:
        """Ask once, and see to it that it is asked again."""
        self._next = None
        self._missed = False
        sent, request = boottime(), self._candidate.request()
        self._verbs.ask(
            lambda: self._store.try_acquire(request), lambda answer: self._answered(answer, sent)
        )

    def _answered(self, answer: Granted | Taken | LifelineError, sent: float) -> None:
        if self._is_over:
            return
        if isinstance(answer, LifelineError):
            if not isinstance(answer, StoreUnreachable) or boottime() >= self._deadline:
                self._fail(answer)
                return
            self._say(protocol.STANDBY, str(answer))
            self._later(self._candidate.failed(chance()), self._stand)
            return
        self._candidate.hears = self._ear.fileno() is not None
        delay = self._candidate.answered(answer, boottime(), chance())
        if isinstance(answer, Granted):
            self._hold(answer, sent)
            return
        self._memory.write(self._candidate.observations)
        if self._candidate.at_once or self._missed:
            self._stand()
            return
        left = self._deadline - boottime()
        if left <= 0:
            self._say(protocol.TAKEN, answer.holders())
            self._leave()
            return
        if not self._is_waiting:
            self._is_waiting = True
            tell_person(f"standing by: it is with {answer.holders()}; Ctrl-C leaves")
        again = boottime() + min(delay, left)
        self._verbs.ask(self._ear.listen, lambda begun: self._listening(begun, again))

    def _listening(self, has_begun: bool, again: float) -> None:
        if self._is_over:
            return
        if has_begun:
            self._hear()
            again = 0.0  # what was released before it was listened for has told nobody
        self._later(0.0 if self._missed else again - boottime(), self._stand)

    def _hear(self) -> None:
        fd = self._ear.fileno()
        if fd is not None:
            self._loop.watch(fd, self._heard_release)

    def _heard_release(self) -> None:
        fd = self._ear.fileno()
        if self._claim is None and self._ear.has_heard():
            if self._next:
                self._later(0, self._stand)
            self._missed = True
        if fd is not None and self._ear.fileno() != fd:
            self._loop.forget(fd)

    def _hold(self, granted: Granted, sent: float) -> None:
        """It is ours. Work begins once the holder before is surely gone."""
        fd = self._ear.fileno()
        if fd is not None:
            self._loop.forget(fd)
        self._ear.close()
        self._claim = claim_of(self._candidate, granted)
        self._lease = self._heard = Lease(self._order.terms, sent)
        self._later(max(self._lease.renew - boottime(), 0), self._renew)
        if granted.wait > 0:
            self._say(protocol.STANDBY, f"has slot {granted.slot}; begins in {granted.wait:.0f} s")
        self._loop.after(granted.wait, self._begin)

    def _begin(self) -> None:
        if self._claim is None or self._lease.lost or self._is_over:
            return
        self._begun = True
        self._heard = self._lease
        claim = self._claim
        if self._order.signals and not self._listen_for_signals(claim):
            return
        self._say(protocol.GRANTED, claim.slot, claim.fence, claim.owner, self._lease.sent)
        self._set_guard()

    def _listen_for_signals(self, claim: Claim) -> bool:
        """So that they are heard as soon as the job runs. False if that cannot be: it is told."""
        try:
            self._calls = Calls(
                self._store,
                claim,
                self._order.signals,
                lambda: not self._aftermath.is_running and self._lease.covers(boottime()),
                self._order.terms.renew,
                self._loop,
                self._say,
            )
        except StoreRefused as error:
            self._verbs.ask(lambda: self._store.release(claim), lambda _: None)
            self._fail(error)
        return self._calls is not None

    # --- to keep it ---------------------------------------------------------------------------

    def _renew(self) -> None:
        if self._claim is None or self._lease.lost or self._is_over:
            return
        claim, sent = self._claim, boottime()
        self._verbs.ask(
            lambda: self._store.renew([claim]), lambda answers: self._renewed(answers, sent)
        )

    def _renewed(self, answers: list[str] | LifelineError, sent: float) -> None:
        if self._is_over or self._lease.lost:
            return
        if isinstance(answers, LifelineError):
            answer = UNKNOWN
            self._say(protocol.STANDBY, f"the lease was not renewed: {answers}")
        else:
            [answer] = answers
        self._lease = self._lease.after(answer, sent)
        if answer == LOST or not self._lease.covers(boottime()):
            self._lose("the store says that it is lost" if answer == LOST else "it ran out")
        elif answer == UNKNOWN:
            self._later(min(_RETRY, self._order.terms.renew), self._renew)
        else:
            self._later(max(self._lease.renew - boottime(), 0), self._renew)
            if self._begun:
                self._say(protocol.RENEWED, sent)

    def _lose(self, why: str) -> None:
        self._lease = self._lease.after(LOST, 0.0)
        self._say(protocol.LOST, why)
        if not self._begun:
            self._leave()

    # --- the runner ---------------------------------------------------------------------------

    def _listen(self) -> None:
        for line in self._lines.read():
            kind, _, rest = line.partition(" ")
            if kind == protocol.JOB:
                pid, _, run = rest.partition(" ")
                self._aftermath.know(int(pid), run.encode())
                if not self._aftermath.is_running:
                    self._say(protocol.GO)
            elif kind == protocol.SEEN:
                self._heard = self._heard.after(RENEWED, float(rest))
                self._set_guard()
            elif kind == protocol.TOOK:
                if self._calls:
                    self._calls.took()
            elif kind == protocol.DONE:
                self._release(True)
        if self._lines.ended:
            self._loop.forget(self._lines.fd)
            self._end_job("the runner is gone")

    def _set_guard(self) -> None:
        """The runner confirms each renewal. If it does not, it hangs: its work ends here."""
        if self._guard:
            self._guard.cancel()
        left = max(self._heard.kill - boottime(), 0)
        self._guard = self._loop.after(left, lambda: self._end_job("the runner does not answer"))

    def _end_job(self, why: str) -> None:
        """End what the runner has started, in the time that is left; then release."""
        if self._aftermath.is_running or self._is_over:
            return
        if self._guard:
            self._guard.cancel()
        left = max(self._lease.kill - boottime(), 0.0)
        self._say(protocol.LOST, why)
        self._aftermath.begin(self._loop, min(self._order.terms.grace, left), self._release)

    def _release(self, gone: bool) -> None:
        """The work is over. If not all of it is gone, or has not begun, the lease runs out."""
        claim = self._claim
        if claim and self._begun and gone:
            self._verbs.ask(lambda: self._store.release(claim), self._released)
        else:
            self._released(None)

    def _released(self, answer: bool | LifelineError | None) -> None:
        if answer is False:
            self._say(protocol.STANDBY, "the lease had been lost before it was released")
        elif isinstance(answer, LifelineError):
            self._say(protocol.STANDBY, f"the lease runs out, it was not released: {answer}")
        self._say(protocol.RELEASED)
        self._leave()

    # --- small things -------------------------------------------------------------------------

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        if self._next:
            self._next.cancel()
        self._next = self._loop.after(max(seconds, 0.0), call)

    def _fail(self, error: LifelineError) -> None:
        self._say(protocol.FAILED, error.exit_code, str(error))
        self._leave()

    def _leave(self) -> None:
        """End, once the store has dealt with what it was asked before, or has had the time to."""
        self._is_over = True
        self._ear.close()
        self._verbs.ask(self._store.close, lambda _: os._exit(0))
        self._loop.after(_VERBS * self._store.patience, lambda: os._exit(0))
