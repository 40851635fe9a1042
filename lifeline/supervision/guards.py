"""What ends a job that would not end by itself: time, memory, silence."""

import os

from .memory import below, resident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..options import RunOptions
    from .loop import Loop, Timer
    from .reports import Reports

EXIT_TIMEOUT = 124  # as timeout(1) has it
EXIT_MEMORY = 137  # as if the kernel had killed it for memory
_MEMORY_EVERY = 5.0  # seconds: no event tells of a tree's resident set
_HEARTBEAT_PARTS = 4  # looks in each heartbeat timeout: a hang is seen at most a quarter late


class Guards:
    """Watches one run at a time and calls `end(reason, exit code)` when it has to end."""

    def __init__(
        self,
        loop: "Loop",
        options: "RunOptions",
        reports: "Reports",
        end: "Callable[[str, int], None]",
    ) -> None:
        self._loop = loop
        self._options = options
        self._reports = reports
        self._end_job = end
        self._timers: dict[str, Timer] = {}
        self._beat: object = None

    def begin(self) -> None:
        """Watch the run that has begun."""
        options = self._options
        self._beat = self._look_at_heartbeat()
        if options.timeout is not None:
            self._after("timeout", options.timeout, lambda: self._end_job("timeout", EXIT_TIMEOUT))
        if options.max_memory is not None:
            self._after("memory", _MEMORY_EVERY, self._check_memory)
        if options.heartbeat_timeout is not None:
            self._silent = 0
            self._await_heartbeat()
        if options.ping_every is not None:
            self._after("ping", options.ping_every, self._ping)

    def end(self) -> None:
        """Watch no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _after(self, name: str, seconds: float, call: "Callable[[], None]") -> None:
        self._timers[name] = self._loop.after(seconds, call)

    def _check_memory(self) -> None:
        limit = self._options.max_memory
        assert limit is not None
        # From here down: what has lost its parent is this process's child now.
        if resident(below(os.getpid(), self._reports.helpers)) > limit:
            self._end_job("memory", EXIT_MEMORY)
        else:
            self._after("memory", _MEMORY_EVERY, self._check_memory)

    def _await_heartbeat(self) -> None:
        timeout = self._options.heartbeat_timeout
        assert timeout is not None
        self._after("heartbeat", timeout / _HEARTBEAT_PARTS, self._check_heartbeat)

    def _check_heartbeat(self) -> None:
        """Hung if the file did not change over the whole timeout; its clock does not matter."""
        beat = self._look_at_heartbeat()
        self._silent = self._silent + 1 if beat == self._beat else 0
        self._beat = beat
        if self._silent >= _HEARTBEAT_PARTS:
            self._end_job("hung", EXIT_TIMEOUT)
        else:
            self._await_heartbeat()

    def _look_at_heartbeat(self) -> object:
        if self._options.heartbeat is None:
            return None
        try:
            found = os.stat(self._options.heartbeat)
        except OSError:
            return None  # not there yet: silence, from the start on
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _ping(self) -> None:
        self._reports.healthy()
        assert self._options.ping_every is not None
        self._after("ping", self._options.ping_every, self._ping)
