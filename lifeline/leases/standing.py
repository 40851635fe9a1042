"""Standing for a slot until it is granted, and letting go of it: the one waiting loop."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ..clock import boottime
from ..errors import LeaseLost, StoreError, StoreUnreachable
from .candidate import Candidate
from .holding import Holding
from .lease import Lease
from .named import new_owner
from .port import Claim, Granted, Request, Taken, Wake
from .shared import SharedStore

_LONGEST_WAIT = 86400.0  # seconds: poll(2) takes an int of milliseconds


class Telling(Protocol):
    """What tells of releases: a store."""

    def watch(self, name: str) -> Wake | None: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """To be called, in this thread or another: gives what the store says, or its StoreError."""

    call: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """To be waited for: `seconds`, or until `fd` can be read, whichever comes first."""

    seconds: float
    fd: int | None


Steps = Generator[Ask | Wait, Any, Holding | None]


def stand(
    store: SharedStore, candidate: Candidate, deadline: float | None, *, patient: bool = False
) -> Holding | None:
    """Ask until a slot is granted; None once `deadline` has passed.

    A deadline in the past means: ask once. A slot that is granted, but in which work may only begin
    after the deadline, is waited for if `patient`, else given back. Raises StoreError if the store
    says no, or if it gives no answer until the deadline.
    """
    steps, answer = standing(store, candidate, deadline, patient), None
    try:
        while True:
            step, answer = steps.send(answer), None
            if isinstance(step, Ask):
                answer = step.call()
            else:
                wait_for(step.fd, step.seconds)
    except StopIteration as stopped:
        holding: Holding | None = stopped.value
        return holding
    finally:
        steps.close()


def standing(
    store: SharedStore, candidate: Candidate, deadline: float | None, patient: bool = False
) -> Steps:
    """The waiting loop, step by step: whoever drives it does what each step says, and sends in
    what an Ask has given."""
    ear = Ear(store, candidate.name)
    try:
        while True:
            sent = boottime()
            try:
                answer = yield Ask(partial(_asked, store, candidate.request()))
                if isinstance(answer, StoreError):
                    raise answer
                if isinstance(answer, Granted):
                    until = None if patient else deadline
                    return (yield from begin(store, candidate, answer, sent, until))
                candidate.hears = ear.fileno() is not None
                delay = candidate.answered(answer, boottime(), chance())
                if candidate.at_once:
                    continue
            except (StoreUnreachable, LeaseLost) as error:  # or over before work could begin
                if deadline is not None and boottime() >= deadline:
                    raise
                if isinstance(error, LeaseLost):
                    # Granted once more, it would be released with what was lost.
                    candidate.owner = new_owner()
                delay = candidate.failed(chance())
            if deadline is not None:
                delay = min(delay, deadline - boottime())
                if delay <= 0:
                    return None
            # What was released before it was listened for has told nobody: then ask at once.
            if (yield Ask(ear.listen)):
                continue
            until = boottime() + delay
            while (left := until - boottime()) > 0:
                yield Wait(left, ear.fileno())
                if ear.has_heard():
                    break
    finally:
        ear.close()


def _asked(store: SharedStore, request: Request) -> Granted | Taken | StoreError:
    try:
        return store.try_acquire(request)
    except StoreError as error:
        return error


def begin(
    store: SharedStore,
    candidate: Candidate,
    granted: Granted,
    sent: float,
    deadline: float | None,
) -> Steps:
    """The holding for a grant, once work under it may begin; None if that is after `deadline`."""
    ready = boottime() + granted.wait
    holding = _kept(store, candidate, granted, sent)
    has_begun = False
    try:
        while (left := ready - boottime()) > 0:
            if deadline is not None and ready > deadline:
                return None
            yield Wait(left, None)
            holding.check()
        # This process may have been stopped since it asked, for longer than the lease lasts.
        holding.check()
        has_begun = True
    finally:
        if not has_begun:
            # Released now, somebody could begin while the holder before still ends its work.
            store.keeper.retire(holding, ready)
    return holding


def give_up(store: SharedStore, candidate: Candidate, granted: Granted, sent: float) -> None:
    """Release what was granted to one who does not want it any more, once somebody may begin."""
    ready = boottime() + granted.wait
    store.keeper.retire(_kept(store, candidate, granted, sent), ready)


def _kept(store: SharedStore, candidate: Candidate, granted: Granted, sent: float) -> Holding:
    """The holding for a grant, renewed from now on. Raises RuntimeError if there can be no thread
    for that."""
    holding = Holding(store, claim_of(candidate, granted), Lease(candidate.terms, sent))
    try:
        store.keeper.add(holding)
    except BaseException:
        if not granted.wait:  # else somebody may still work under it: it has to run out
            with suppress(StoreError):
                store.release(holding.claim)
        raise
    return holding


def claim_of(candidate: Candidate, granted: Granted) -> Claim:
    """What the holder names to the store from now on."""
    return Claim(
        candidate.name,
        granted.slot,
        candidate.slots,
        candidate.owner,
        granted.fence,
        candidate.terms.ttl,
        candidate.info,
    )


def let_go(holding: Holding) -> None:
    """Release. Raises LeaseLost if it was lost, StoreError if the store does not answer."""
    lost = not holding.alive
    holding.store.keeper.remove(holding)
    holding.dismiss()  # what was left working under it hears of that, too
    try:
        lost |= not holding.store.release(holding.claim)
    except StoreError:
        if not lost:
            raise
    if lost:
        raise LeaseLost(f"the lease of {holding.name!a}, slot {holding.slot}, was lost meanwhile")


class Ear:
    """Hears of releases, where the store tells; begins to listen when it is first asked to.

    One may be closed while another thread begins to listen.
    """

    def __init__(self, store: Telling, name: str) -> None:
        self._store = store
        self._name = name
        self._wake: Wake | None = None
        self._mute = False  # this store never tells
        self._is_closed = False
        self._mutex = threading.Lock()

    def listen(self) -> bool:
        """True if it has begun to listen just now."""
        if self._wake or self._mute:
            return False
        try:
            wake = self._store.watch(self._name)
        except StoreError:
            return False  # the poll has to do, until the next time
        with self._mutex:
            self._wake, self._mute = wake, wake is None
            is_closed = self._is_closed
        if is_closed:
            self._drop()
        return not self._mute and not is_closed

    def wait(self, seconds: float) -> None:
        """Wait for a release, or for `seconds`."""
        until = boottime() + seconds
        while (left := until - boottime()) > 0:
            wait_for(self.fileno(), left)
            if self.has_heard():
                break

    def fileno(self) -> int | None:
        """The descriptor that can be read when there is something to hear; None if it is deaf."""
        return self._wake.fileno() if self._wake else None

    def has_heard(self) -> bool:
        """Take in what is there; true if it is time to ask. Never blocks."""
        if self._wake is None:
            return False
        try:
            return self._wake.drain()
        except Exception:  # StoreError, or a fault in a driver
            self._drop()  # it tells nothing any more: ask, and listen anew
            return True

    def close(self) -> None:
        """Listen no more."""
        with self._mutex:
            self._is_closed = True
        self._drop()

    def _drop(self) -> None:
        with self._mutex:
            wake, self._wake = self._wake, None
        if wake:
            with suppress(Exception):  # it is not needed any more
                wake.close()


def wait_for(fd: int | None, seconds: float) -> None:
    """Return once `fd` can be read, or after `seconds`."""
    poll = select.poll()
    if fd is not None:
        poll.register(fd, select.POLLIN)
    poll.poll(min(seconds, _LONGEST_WAIT) * 1000)


def chance() -> float:
    """Random, 0 to 1."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
