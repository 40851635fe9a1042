"""Writing to streams that may be full, closed, or left by their reader."""

import os
import select


def write_all(fd: int, data: bytes) -> None:
    """Write everything, blocking; what cannot be written is nothing to fail for."""
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # somebody who shares it has made it non-blocking
            poll = select.poll()
            poll.register(fd, select.POLLOUT)
            poll.poll()
        except OSError:
            return


def reserve_standard_streams() -> None:
    """Give 0, 1 and 2 to /dev/null where they are closed, or a pipe of our own would get one.

    A job inherits none of that: what was closed is closed for it.
    """
    fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    while fd <= 2:
        fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.close(fd)
