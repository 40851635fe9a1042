"""Waiting for other processes to end, without polling where the kernel offers an event."""

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .processes.table import Process, Table

_POLL = 0.2  # seconds, where there is no pidfd


def wait_for_end(
    table: "Table", processes: "Iterable[Process]", timeout: "float | None" = None
) -> bool:
    """Return True once any of `processes` has ended; False after `timeout` seconds.

    Uses pidfd_open(2), which becomes readable at the end of its process.
    """
    watched = list(processes)
    descriptors = []
    try:
        for process in watched:
            try:
                descriptors.append(os.pidfd_open(process.pid))
            except ProcessLookupError:
                return True
            except (OSError, AttributeError):  # an old kernel, another system, no descriptors left
                return _poll_for_end(table, watched, timeout)
            if not table.is_alive(process):  # asked after opening: the pid was not used again
                return True
        poller = select.poll()
        for fd in descriptors:
            poller.register(fd, select.POLLIN)
        return bool(poller.poll(None if timeout is None else timeout * 1000))
    finally:
        for fd in descriptors:
            os.close(fd)


def _poll_for_end(table: "Table", watched: "list[Process]", timeout: "float | None") -> bool:
    deadline = None if timeout is None else time.monotonic() + timeout
    while all(table.is_alive(process) for process in watched):
        if deadline is not None and time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True
