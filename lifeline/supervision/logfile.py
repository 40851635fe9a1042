"""A log file that is rotated by size and never loses output."""

import os
import stat

from ..errors import UsageError, complain, show
from .streams import write_all


class LogFile:
    """Appends to `path`; at `size` bytes it becomes `path.1`, that one `path.2`, … up to `keep`.

    Each step of a rotation is a rename, so that a reader sees every file whole. A line is not cut,
    unless it alone is longer than a file may be. While the file cannot be written (the disk is
    full), output goes to stderr instead, and both that and the end of it are told there. What is
    no regular file (/dev/null, /dev/stderr) is written and never rotated.

    Raises UsageError if it cannot be opened.
    """

    def __init__(self, path: bytes, size: int, keep: int) -> None:
        self._path = path
        self._limit = size
        self._keep = keep
        self._failing = False
        try:
            self._fd = _open(path)
        except OSError as error:
            raise UsageError(f"--log {show(path)}: {error.strerror}") from None
        self._look()

    def write(self, data: bytes) -> None:
        """Append, rotating where a line ends."""
        while data and self._written + len(data) > self._limit and self._is_regular:
            end = self._first_part(data)
            if end:
                self._append(data[:end])
                data = data[end:]
            else:
                self._rotate()
        self._append(data)

    def reopen(self) -> None:
        """Open the path anew: somebody else has moved the file away."""
        try:
            fd = _open(self._path)
        except OSError as error:
            complain(f"log {show(self._path)}: {error.strerror}; the old one is written on")
            return
        os.close(self._fd)
        self._fd = fd
        self._look()

    def close(self) -> None:
        os.close(self._fd)

    def _first_part(self, data: bytes) -> int:
        """How much of `data`, which is too much, still goes into this file; 0 for nothing."""
        whole_lines = data.rfind(b"\n", 0, max(self._limit - self._written, 0)) + 1
        if whole_lines:
            return whole_lines
        if self._ends_a_line and self._written:
            return 0
        # In the middle of a line, or before one that is longer than a file may be.
        rest_of_line = data.find(b"\n") + 1 or len(data)
        return min(rest_of_line, max(2 * self._limit - self._written, 0))

    def _look(self) -> None:
        """Take note of what kind of file it is, and of how much it holds."""
        found = os.fstat(self._fd)
        self._is_regular = stat.S_ISREG(found.st_mode)
        self._written = found.st_size
        self._ends_a_line = True

    def _append(self, data: bytes) -> None:
        while data:
            try:
                written = os.write(self._fd, data)
            except OSError as error:
                if not self._failing:
                    complain(
                        f"log {show(self._path)}: {error.strerror}; output comes here meanwhile"
                    )
                self._failing = True
                write_all(2, data)
                return
            self._written += written
            self._ends_a_line = data[written - 1 : written] == b"\n"
            data = data[written:]
            if self._failing:
                self._failing = False
                complain(f"log {show(self._path)}: written again")

    def _rotate(self) -> None:
        path = os.path.realpath(self._path)  # of a link the file is renamed, and the link stays
        try:
            for number in range(self._keep, 0, -1):
                older = path + b".%d" % number
                newer = path + (b".%d" % (number - 1) if number > 1 else b"")
                if os.path.lexists(newer):
                    os.rename(newer, older)
            if not self._keep:
                os.unlink(path)
            fd = _open(path)
        except OSError as error:
            complain(f"log {show(self._path)}: not rotated ({error.strerror})")
        else:
            os.close(self._fd)
            self._fd = fd
        self._written = 0  # also if it failed: tried again after as much as a file may hold
        self._ends_a_line = True


def _open(path: bytes) -> int:
    # A FIFO without a reader would block for ever; with O_NONBLOCK it cannot be opened.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    fd = os.open(path, flags, 0o640)
    os.set_blocking(fd, True)
    return fd
