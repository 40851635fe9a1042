"""Whose turn it is to scale: the lease that makes one scaler of a fleet the only one."""

from __future__ import annotations

import threading

from ..errors import LeaseLost
from ..lease_memory import Memory
from ..leases.holding import Holding
from ..leases.lock import Lock

_LOOK_UP = 1.0  # seconds between looks whether the end is asked for


class Turn:
    """The turn of the scaler `name` among all that have the store `url`.

    Raises UsageError or StoreError for a URL that cannot be one. It is asked as a lease is.
    """

    def __init__(self, name: str, url: str) -> None:
        self._lock = Lock(f"scaler {name}", url)

    def take(self) -> bool:
        """Take it if nobody has it. Raises StoreError if the store does not tell.

        Who asks once a minute remembers what was seen: a dead scaler's turn is over some day.
        """
        return self._lock.acquire_if_free(Memory.of_lease(self._lock.name))

    def wait(self, stop: threading.Event) -> bool:
        """Stand by until it is ours; false if `stop` is set first. Raises StoreError."""
        failed: list[BaseException] = []
        over = threading.Event()

        def stand() -> None:
            try:
                self._lock.acquire()
            except BaseException as error:
                failed.append(error)
            over.set()

        # Not in this thread, which has an end to hear of; it dies with the process.
        threading.Thread(target=stand, daemon=True).start()
        while not (over.is_set() or stop.is_set()):
            over.wait(_LOOK_UP)
        if failed:
            raise failed[0]
        return over.is_set()

    def check(self) -> None:
        """Raises LeaseLost if it is not ours, or not any more."""
        self._held().check()

    def left(self) -> float:
        """For how many seconds it is ours without another word from the store."""
        return self._held().left()

    def leave(self) -> None:
        """Let others have it, if it is ours. Nothing is raised: what fails has been told."""
        if self._lock.lease:
            self._lock.leave(failed=True)

    def _held(self) -> Holding:
        if held := self._lock.lease:
            return held
        raise LeaseLost(f"{self._lock.name} has no lease")
