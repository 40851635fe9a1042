"""Waiting for whatever comes next: a signal, a descriptor, a time. Nothing is polled.

Signals are written into a pipe by Python's own C handler (signal.set_wakeup_fd), so none is lost
between looking and waiting.
"""

import os
import select

from ..clock import boottime

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable
else:  # the module below `signal`, without its enums: 0.7 MiB less for every resident runner
    import _signal as signal


_LONGEST_WAIT = 2**31 - 1  # milliseconds: poll(2) takes an int


class Timer:
    """A call that is due at `when` (seconds, boottime). Cancelling it twice does nothing."""

    def __init__(self, when: float, call: "Callable[[], None]") -> None:
        self.when = when
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """One thread, one wait: descriptors, timers, and `signals`, given to `on_signal` in order."""

    def __init__(self, signals: "Iterable[int]", on_signal: "Callable[[int], None]") -> None:
        self._on_signal = on_signal
        self._readers: dict[int, Callable[[], object]] = {}
        self._timers: list[Timer] = []
        self._poll = select.poll()
        self._signals, self._wakeup = os.pipe()
        os.set_blocking(self._signals, False)
        os.set_blocking(self._wakeup, False)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        for number in signals:
            self.catch(number)
        # Whoever started this process may have blocked some, and that is inherited over exec:
        # without CHLD the end of the job would never be seen.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self.watch(self._signals, self._read_signals)

    def catch(self, number: int) -> None:
        """Have this signal given to `on_signal`."""
        signal.signal(number, _noted)

    def watch(self, fd: int, call: "Callable[[], object]", *, writable: bool = False) -> None:
        """Call whenever `fd` can be read (or written, or is at its end)."""
        self._readers[fd] = call
        self._poll.register(fd, select.POLLOUT if writable else select.POLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`."""
        if self._readers.pop(fd, None):
            self._poll.unregister(fd)

    def after(self, seconds: float, call: "Callable[[], None]") -> Timer:
        """Call once, `seconds` from now."""
        timer = Timer(boottime() + seconds, call)
        self._timers.append(timer)
        return timer

    def turn(self) -> None:
        """Wait for the next thing to happen and deal with it."""
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        due = min((timer.when for timer in self._timers), default=None)
        # Rounded up to the next millisecond, or the last one would be spent spinning.
        wait = None if due is None else max(0, int((due - boottime()) * 1000) + 1)
        if wait is not None:
            wait = min(wait, _LONGEST_WAIT)
        for fd, _ in self._poll.poll(wait):
            call = self._readers.get(fd)
            if call:
                call()
        now = boottime()
        for timer in self._timers:
            if not timer.cancelled and timer.when <= now:
                timer.cancelled = True
                timer.call()

    def _read_signals(self) -> None:
        try:
            numbers = os.read(self._signals, 4096)
        except BlockingIOError:
            return
        for number in numbers:
            self._on_signal(number)


def _noted(_number: int, _frame: object) -> None:
    """The handler: the number is in the pipe already."""


def forwardable() -> "set[int]":
    """Every signal that a runner passes on, as tini does.

    Not those that cannot be caught, nor those that tell of a fault in this very process, nor the
    terminal's own two; and not those that were ignored when this process was started (nohup).
    """
    return {
        number
        for number in signal.valid_signals()
        if number not in _NEVER and signal.getsignal(number) != signal.SIG_IGN
    }


_NEVER = frozenset(
    getattr(signal, name)
    for name in (
        *("SIGKILL", "SIGSTOP", "SIGCHLD", "SIGPIPE", "SIGTTIN", "SIGTTOU"),
        *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS", "SIGABRT"),
    )
    if hasattr(signal, name)
)
