"""The part of `exclusive` in one process: a thread that stands by, works in its turn, and again."""

from __future__ import annotations

import atexit
import logging
import os
import select
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from ..clock import boottime
from ..errors import LeaseLost, LifelineError, StoreError
from . import prefork
from .holding import Holding
from .lock import Lock
from .standing import Wait, standing

_log = logging.getLogger("lifeline")
_AT_EXIT = 2.0  # seconds that the end of a program waits for `fn` to return
_LONG = 3600.0  # seconds


class Rest:
    """How long to rest after a failure: from a second, doubled each time, up to a minute."""

    FIRST = 1.0  # seconds
    LONGEST = 60.0  # seconds; who worked that long before it failed begins with the first again

    def __init__(self) -> None:
        self._next = self.FIRST

    def after(self, worked: float) -> float:
        """Seconds to rest after a failure that came after `worked` seconds."""
        rest = self.FIRST if worked >= self.LONGEST else self._next
        self._next = min(rest * 2, self.LONGEST)
        return rest


class Runner:
    """Stands by for `lock` and calls `fn` with the lease, in a thread, until it is to end."""

    def __init__(self, fn: Callable[[Holding], object], lock: Lock, delay: float) -> None:
        self._fn = fn
        self._lock = lock
        self._delay = delay
        self._holding: Holding | None = None
        self._is_ending = False
        self._changed = threading.Condition()
        self._wake = os.pipe()
        self._told = ""  # what is wrong with the store, said once
        self._thread = threading.Thread(
            target=self._run, name=f"lifeline {lock.name[:40]}", daemon=True
        )

    def start(self) -> None:
        _runners.append(self)
        self._thread.start()

    @property
    def holding(self) -> Holding | None:
        return self._holding

    def wait(self, timeout: float | None) -> Holding | None:
        """The lease once it is held; None after `timeout` seconds, or when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._holding or self._is_ending, timeout)
            return self._holding

    def ask_to_end(self) -> None:
        """Tell the thread and `fn` that it is over; returns at once."""
        with self._changed:
            if not self._is_ending:
                self._is_ending = True  # before the thread is woken, or it would try once more
                os.write(self._wake[1], b".")
            if self._holding:
                self._holding.dismiss()
            self._changed.notify_all()

    def end(self, timeout: float | None) -> bool:
        """Ask it to end; true once it has, false after `timeout` seconds."""
        self.ask_to_end()
        if threading.current_thread() is self._thread:
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """In a forked child: the thread is the parent's, and so is what it holds."""
        self._is_ending = True
        self._holding = None
        self._changed = threading.Condition()
        self._close()

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._pause(self._delay)
            _end_with_multiprocessing()
            rest = Rest()
            while not self._is_ending:
                began = boottime()
                if not self._stand_and_work():
                    self._pause(rest.after(boottime() - began))
        finally:
            if self in _runners:  # else this is a copy of the thread, in a child that fn forked
                _runners.remove(self)
                with self._changed:
                    self._is_ending = True
                    self._close()

    def _stand_and_work(self) -> bool:
        """One turn, from standing by for it to the end of it; false if there was a failure."""
        try:
            holding = self._stand()
        except LeaseLost:  # before it began
            return True
        except LifelineError as error:  # the store says no: somebody may mend that
            self._tell(str(error))
            return False
        except Exception:
            _log.exception("%a cannot stand by", self._lock.name)
            return False
        return holding is None or self._work(holding)

    def _stand(self) -> Holding | None:
        """Ask until a slot is granted; None if it is to end before."""
        steps = standing(self._lock.store, self._lock.candidate(), None)
        try:
            step = next(steps)
            while not self._is_ending:
                if isinstance(step, Wait):
                    self._pause(step.seconds, step.fd)
                    step = next(steps)
                    continue
                answer = step.call()
                if isinstance(answer, StoreError):
                    self._tell(str(answer))
                else:
                    self._told = ""
                step = steps.send(answer)
            return None
        except StopIteration as stopped:
            holding: Holding | None = stopped.value
            return holding
        finally:
            steps.close()

    def _work(self, holding: Holding) -> bool:
        """Call fn, then keep the lease until it is lost or to be given up; false if fn failed."""
        failed = False
        self._show(holding)
        try:
            if holding.alive:
                self._fn(holding)
            while holding.sleep(_LONG):
                pass
        except BaseException as error:  # SystemExit as well: it would end nothing but this thread
            failed = holding.alive or not isinstance(error, LeaseLost)
            if failed and holding.is_ours:
                _log.exception("%a failed; others may have a try at it now", self._lock.name)
        finally:
            self._let_go(holding)
        return not failed

    def _show(self, holding: Holding) -> None:
        with self._changed:
            self._holding = holding
            if self._is_ending:
                holding.dismiss()
            self._changed.notify_all()

    def _let_go(self, holding: Holding) -> None:
        if not holding.is_ours:  # fn has forked, and the child came back from it
            return
        with self._changed:
            self._holding = None
        holding.dismiss()  # fn may have left threads behind
        holding.store.keeper.remove(holding)
        try:
            holding.store.release(holding.claim)
        except StoreError as error:
            _log.warning("a lease runs out instead of being released: %s", error)

    def _tell(self, wrong: str) -> None:
        """Say once what is wrong, until it changes: this goes on for as long as the program."""
        if wrong != self._told:
            _log.warning("%a stands by: %s", self._lock.name, wrong)
        self._told = wrong

    def _pause(self, seconds: float, fd: int | None = None) -> None:
        """Wait until `fd` can be read, for `seconds`, or until it is over."""
        poll = select.poll()
        for each in (self._wake[0], fd):
            if each is not None:
                poll.register(each, select.POLLIN)
        poll.poll(min(seconds, _LONG) * 1000)

    def _close(self) -> None:
        for fd in self._wake:
            with suppress(OSError):
                os.close(fd)


_runners: list[Runner] = []  # of this process


def abandon_all() -> None:
    """In a forked child: what its parent runs is the parent's."""
    for runner in _runners:
        runner.abandon()
    _runners.clear()


def end_all() -> None:
    """At the end of the program: give each `fn` a short time to return, and release its lease.

    A lease whose `fn` has not returned by then is not released: it runs out by itself.
    """
    until = boottime() + _AT_EXIT
    ending = list(_runners)
    for runner in ending:
        runner.ask_to_end()
    for runner in ending:
        runner.end(max(until - boottime(), 0.0))


def _end_with_multiprocessing() -> None:
    """A child of multiprocessing ends without the hooks of atexit, but has some of its own."""
    if prefork.is_of_multiprocessing():
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.Finalize(None, end_all, exitpriority=0)


atexit.register(end_all)
