"""The protected side of a lease: what refuses a holder that comes too late.

No lock can keep a holder whose whole host was frozen from waking up after its lease has passed on
and finishing what it had begun. What it writes carries its fence, though, and whoever receives that
can see that a newer holder has been there (Kleppmann 2016, "How to do distributed locking").
"""

from __future__ import annotations

import threading

from ..errors import LifelineError


class StaleFence(LifelineError):
    """A write came from a holder that has been succeeded. `fence` is its, `newest` was seen."""

    def __init__(self, fence: int, newest: int) -> None:
        self.fence = fence
        self.newest = newest
        super().__init__(f"fence {fence} is older than {newest}: that lease has passed on")


class Fence:
    """Admits fences that never go back. One guard for each (name, slot).

    It remembers in this process only. Where several processes write, let the store that is written
    to compare: docs/leases.md shows a guarded write in PostgreSQL.
    """

    def __init__(self, newest: int = 0) -> None:
        self._newest = newest
        self._mutex = threading.Lock()

    @property
    def newest(self) -> int:
        """The newest fence that was admitted."""
        return self._newest

    def admit(self, fence: int) -> None:
        """Return if `fence` is no older than the newest seen. Raises StaleFence otherwise."""
        with self._mutex:
            if fence < self._newest:
                raise StaleFence(fence, self._newest)
            self._newest = fence
