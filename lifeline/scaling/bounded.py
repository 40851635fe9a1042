"""How long a target may take: its own `timeout`, and less where the scaler says so."""

from __future__ import annotations

import time

from .errors import TargetError

TIMEOUT = 10.0  # seconds


class Bounded:
    """A target whose `read` and `write` are over within `timeout` seconds each.

    Setting `timeout` only ever makes it shorter than what the target was made with: the scaler
    does so before each call, to stay below what is left of its lease.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._longest = self._timeout = timeout

    @property
    def timeout(self) -> float:
        """Seconds."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        self._timeout = min(seconds, self._longest)

    def deadline(self) -> Deadline:
        """The end of the time that a call has, which begins now."""
        return Deadline(self._timeout)


class Deadline:
    """A moment `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until then. Raises TimeoutError once there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def has_passed(self) -> bool:
        return time.monotonic() >= self._end

    def left_for(self, what: str) -> float:
        """Seconds until then. Raises TargetError, which says that `what` was not begun."""
        try:
            return self.left()
        except TimeoutError:
            raise TargetError(f"{what} was not begun: {self.seconds:g} s are over") from None
