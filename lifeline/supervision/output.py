"""What becomes of a job's output if it is not simply inherited.

One pipe for both streams where their order is kept (a log, or `--quiet`), else one for each. A
pump reads a pipe and feeds its sinks: a log file, a spool, the tail for a ping, or this process's
own stream. Nothing is read on while the own stream is full: the job waits, as it would have.
"""

import errno
import os
import time

from ..clock import wall
from ..errors import complain
from .streams import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..options import RunOptions
    from .logfile import LogFile
    from .loop import Loop

    class Sink(Protocol):
        def write(self, data: bytes) -> None: ...


_CHUNK = 16384  # bytes read at a time: sixteen times as much once each short line has its stamp
# A pipe that poll calls writable takes this much without blocking (pipe(7), PIPE_BUF).
_WRITABLE = 4096
_LEFT = (errno.EPIPE, errno.EIO)  # the reader of a pipe has left; the terminal has
TAIL = 10_000  # bytes of output that a ping carries


class Pump:
    """Reads one descriptor and feeds `sinks` and, if there is one, the stream `outlet`.

    It closes the descriptor at its end, or once nobody reads the outlet any more.
    """

    def __init__(
        self,
        loop: "Loop",
        source: int,
        sinks: "list[Sink]",
        outlet: "int | None" = None,
        stamp: "Callable[[], bytes] | None" = None,
    ) -> None:
        self._loop = loop
        self._source = source
        self._sinks = sinks
        self._outlet = outlet
        self._stamper = Stamper(stamp) if stamp else None
        self._pending = memoryview(b"")
        self._complained = False
        self.is_open = True
        os.set_blocking(source, False)
        loop.watch(source, self._read)

    def drain(self) -> None:
        """Take what is still in the pipe: the job and all below it are gone.

        Afterwards it is closed, or has more than its outlet takes at once.
        """
        while self.is_open and not self._pending:
            if not self._read():
                self.close()  # somebody unknown holds the other end

    def close(self) -> None:
        """Read no more, and drop what could not be passed on."""
        if self.is_open:
            self.is_open = False
            self._loop.forget(self._outlet if self._pending and self._outlet else self._source)
            self._pending = memoryview(b"")
            os.close(self._source)

    def _read(self) -> bool:
        """Pass on what is there; False if that is nothing."""
        try:
            data = os.read(self._source, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return True
        if self._stamper:
            data = self._stamper.feed(data)
        for sink in self._sinks:
            sink.write(data)
        if self._outlet is not None:
            self._pending = memoryview(data)
            self._loop.forget(self._source)
            self._loop.watch(self._outlet, self._flush, writable=True)
        return True

    def _flush(self) -> None:
        """The outlet can take some more."""
        assert self._outlet is not None
        try:
            written = os.write(self._outlet, self._pending[:_WRITABLE])
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in _LEFT:
                self.close()  # so the job finds that out, too
                return
            if not self._complained:
                complain(f"output is lost: {error.strerror}")
            self._complained = True
            written = len(self._pending)
        self._pending = self._pending[written:]
        if not self._pending:
            self._loop.forget(self._outlet)
            self._loop.watch(self._source, self._read)


class Stamper:
    """Puts a stamp before each line."""

    def __init__(self, stamp: "Callable[[], bytes]") -> None:
        self._stamp = stamp
        self._at_start = True

    def feed(self, data: bytes) -> bytes:
        """`data` with a stamp wherever a line begins in it."""
        stamp = self._stamp()
        ends = data.endswith(b"\n")
        body = data[:-1] if ends else data
        stamped = (stamp if self._at_start else b"") + body.replace(b"\n", b"\n" + stamp)
        self._at_start = ends
        return stamped + b"\n" if ends else stamped


class Tail:
    """Keeps the last bytes."""

    def __init__(self) -> None:
        self._kept = b""

    def write(self, data: bytes) -> None:
        self._kept = (self._kept + data)[-TAIL:]

    def content(self) -> bytes:
        return self._kept


class Spool:
    """Keeps everything in a file without a name, for a run that may fail.

    If that cannot be (the disk is full) it shows what it has, and everything from then on at once.
    """

    def __init__(self) -> None:
        self._fd: int | None = None
        try:
            self._fd = _nameless_file()
        except OSError as error:
            self._give_up(error)

    def write(self, data: bytes) -> None:
        while self._fd is not None and data:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError as error:
                self._give_up(error)
        if self._fd is None:
            write_all(1, data)

    def taken(self) -> "int | None":
        """The file, to be read and closed by the caller; None if all has been shown already."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _give_up(self, error: OSError) -> None:
        complain(f"output is shown at once: it cannot be kept ({error.strerror})")
        fd = self.taken()
        if fd is not None:
            while data := os.read(fd, _CHUNK):
                write_all(1, data)
            os.close(fd)


def _nameless_file() -> int:
    directory = os.environb.get(b"TMPDIR") or b"/tmp"
    flags = os.O_RDWR | os.O_CLOEXEC
    if hasattr(os, "O_TMPFILE"):
        try:
            return os.open(directory, flags | os.O_TMPFILE, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):  # not on every file system
                raise
    path = os.path.join(directory, b".lifeline-" + os.urandom(8).hex().encode())
    fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(path)
    return fd


class Output:
    """The streams of a job, as the options ask: inherited, or pumped somewhere."""

    def __init__(self, loop: "Loop", options: "RunOptions") -> None:
        self._loop = loop
        self._options = options
        self._log: LogFile | None = None
        self._spool: Spool | None = None
        self._tail: Tail | None = None
        self._stamp = _timestamp if options.timestamps else None
        self._pumps: list[Pump] = []
        self._ends: list[int] = []
        if options.log is not None:
            from . import logfile

            self._log = logfile.LogFile(options.log, options.log_size, options.log_keep)

    def open(self) -> "tuple[int, int]":
        """The descriptors for the next run's standard output and error."""
        self._spool = Spool() if self._options.quiet else None
        self._tail = Tail() if self._options.ping else None
        sinks: list[Sink] = [each for each in (self._log, self._spool, self._tail) if each]
        if self._log or self._spool:
            both = self._pipe(sinks, None)
            return both, both
        if self._tail or self._stamp:
            return self._pipe(sinks, 1), self._pipe(sinks, 2)
        return 1, 2

    def _pipe(self, sinks: "list[Sink]", outlet: "int | None") -> int:
        read, write = os.pipe()
        self._pumps.append(Pump(self._loop, read, sinks, outlet, self._stamp))
        self._ends.append(write)
        return write

    def opened(self) -> None:
        """The job has its ends of the pipes: close ours, or they would never be at their end."""
        for end in self._ends:
            os.close(end)
        self._ends.clear()

    def finish(self, failed: bool, hurry: "Callable[[], bool]") -> None:
        """The run is over: pass on what is left, and show what was kept if it failed.

        That takes as long as the reader takes to read; what is left is dropped once `hurry` says
        so.
        """
        self._drain(hurry)
        kept = self._spool.taken() if self._spool else None
        if kept is not None and failed:
            self._pumps.append(Pump(self._loop, kept, [], 1))
            self._drain(hurry)
        elif kept is not None:
            os.close(kept)

    def _drain(self, hurry: "Callable[[], bool]") -> None:
        while True:
            for pump in self._pumps:
                pump.drain()
            if hurry() or not any(pump.is_open for pump in self._pumps):
                break
            self._loop.turn()
        for pump in self._pumps:
            pump.close()
        self._pumps.clear()

    def tail(self) -> bytes:
        """The end of what the run printed, if anybody wants to know."""
        return self._tail.content() if self._tail else b""

    def reopen(self) -> bool:
        """Open the log file anew; False if there is none."""
        if self._log is None:
            return False
        self._log.reopen()
        return True


def _timestamp() -> bytes:
    """Local time to the millisecond with its offset (RFC 3339)."""
    now = wall()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))
    offset = time.strftime("%z", time.localtime(now))
    return f"{whole}.{int(now % 1 * 1000):03d}{offset[:3]}:{offset[3:]} ".encode()
