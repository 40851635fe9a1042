"""A lease in files of this host, held by the runner itself: a lock on a file knows no time.

The job inherits the descriptor: if the runner is killed and its job lives on, the lease does, too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import clock
from ..backends.file import FileStore, open_backend
from ..errors import StoreError, StoreUnreachable, complain
from ..leases.candidate import Candidate
from ..leases.named import about_me, new_owner
from ..leases.port import LOST, Claim, Granted, Taken
from ..leases.standing import Ear, chance, claim_of
from ..leases.terms import Terms
from ..signals.box import Box, Delivery
from ..terminals import tell_person
from .leased import environment

if TYPE_CHECKING:
    from ..signals.port import Mail, Posted
    from .calls import Calls
    from .loop import Loop


class Filed:
    """A granted lease in files."""

    def __init__(self, store: FileStore, claim: Claim, terms: Terms) -> None:
        self._store = store
        self._claim = claim
        self._terms = terms
        self._mail: Mail | None = None
        self.is_lost = False
        self.slot = claim.slot
        self.descriptors = (store.fd_of(claim),)
        self.environment = environment(
            claim.name, claim.slot, claim.slots, claim.fence, claim.owner
        )

    @classmethod
    def obtain(
        cls, url: str, name: str, slots: int, terms: Terms, wait: float, command: str
    ) -> Filed | str:
        """The lease, or who has it after `wait` seconds."""
        store = open_backend(url)
        info = {**about_me(), "command": command}
        candidate = Candidate(name, slots, new_owner(), terms, info)
        ear = Ear(store, name)
        deadline = clock.boottime() + wait
        is_waiting = False
        while True:
            answer, delay = _ask(store, candidate, last=clock.boottime() >= deadline)
            if isinstance(answer, Granted):
                ear.close()
                return cls(store, claim_of(candidate, answer), terms)
            left = deadline - clock.boottime()
            if answer and left <= 0:
                return answer.holders()
            if answer and not is_waiting:
                is_waiting = True
                tell_person(f"standing by: it is with {answer.holders()}; Ctrl-C leaves")
            if not ear.listen():  # else ask again: what was released before told nobody
                ear.wait(min(delay, max(left, 0.0)))

    def admit(self, job: int, run: str) -> None:
        """The job has the descriptor: nothing more is needed."""

    def watch(self, loop: Loop, lost: Callable[[float], None]) -> None:
        """Look at the file now and then: it may be broken by hand, or deleted."""

        self._loop = loop

        def look() -> None:
            [answer] = self._store.renew([self._claim])
            if answer == LOST:
                complain("the lease is lost: its file was replaced or removed")
                self.is_lost = True
                lost(self._terms.grace)
            else:
                loop.after(self._terms.renew, look)

        loop.after(self._terms.renew, look)

    def hear(self, calls: Calls) -> None:
        """Give `calls` what is sent to the lease; after `watch`. Raises StoreError."""

        def give(delivery: Delivery) -> bool:
            return calls.accept(delivery.payload, delivery.took)

        claim = self._claim
        box = Box(claim.name, claim.slot, claim.owner, lambda: not self.is_lost, give)
        mail = self._mail = self._store.mail()
        mail.listen(mail.box(claim.name, claim.slot))

        def answer(letter: Posted) -> None:
            with suppress(StoreError):  # its sender is gone
                mail.post([letter])

        def read() -> None:
            try:
                for _, letter in mail.collect():
                    box.take(letter, answer)
            except StoreError as error:
                complain(f"a signal was not heard: {error}")

        for fd in mail.descriptors():
            self._loop.watch(fd, read)

    def release(self, *, gone: bool) -> None:
        """What may be left of the job has the descriptor, too, and with it the lease."""
        if self._mail is not None:
            self._mail.close()
        if gone:
            self._store.release(self._claim)
        self._store.close()


def _ask(
    store: FileStore, candidate: Candidate, *, last: bool
) -> tuple[Granted | Taken | None, float]:
    """One answer, and the seconds until the next request; None if the disk gave none."""
    try:
        answer = store.try_acquire(candidate.request())
    except StoreUnreachable:
        if last:
            raise
        return None, candidate.failed(chance())
    return answer, candidate.answered(answer, clock.boottime(), chance())
