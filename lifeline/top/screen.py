"""The terminal: taken over on entry, given back as it was on every way out.

What ends a program is a signal to it, and a terminal that was left in its other screen, without
echo, is of no use to anybody: all those signals are caught here and become an exit code.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from contextlib import suppress
from types import FrameType
from typing import Any

from rich.console import Console, ConsoleDimensions
from rich.text import Text

from ..terminals import has_cursor

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_CAUGHT = (*_ENDING, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
_ESCAPE_DELAY = 0.05  # seconds until a beginning of a key is taken for the Escape key


def can_be_drawn_on() -> bool:
    """True for a terminal on both sides that knows how to move a cursor."""
    return sys.stdin.isatty() and sys.stdout.isatty() and has_cursor()


class Screen:
    """A context in which the terminal is ours."""

    def __init__(self) -> None:
        self._in = sys.stdin.fileno()
        self._out = sys.stdout.fileno()
        self._console = Console(legacy_windows=False)
        self._caught: list[int] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Screen:
        self._modes = termios.tcgetattr(self._in)
        self._woken, self.wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        for number in _CAUGHT:
            self._handlers[number] = signal.signal(number, self._catch)
        try:
            self._take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        # The pipe stays: a thread that looks may be about to write, and its number could be used
        # again by then. It ends with the process.

    def show(self, drawn: Text) -> None:
        """Put it on the screen. A terminal that is gone is told of by HUP, not here."""
        self._console.size = self.size()
        with suppress(OSError):
            self._console.update_screen(drawn)

    def size(self) -> ConsoleDimensions:
        """Columns and lines as they are now, whatever COLUMNS says."""
        try:
            width, height = os.get_terminal_size(self._out)
        except OSError:
            width, height = 0, 0
        return ConsoleDimensions(width or 80, height or 24)  # a size of 0: nobody has told it

    def wait(self, escaping: bool) -> tuple[bytes, int | None]:
        """Wait for keys, a signal, or to be woken: the bytes typed, and the exit code if it ends.

        `escaping`: a key has begun, so wait for its rest only as long as it can take.
        """
        ready, _, _ = select.select(
            [self._in, self._woken], [], [], _ESCAPE_DELAY if escaping else None
        )
        if self._woken in ready:
            with suppress(BlockingIOError):
                os.read(self._woken, 4096)
        code = self._answer_signals()
        if code is not None or self._in not in ready:
            return b"", code
        try:
            typed = os.read(self._in, 1024)
        except OSError:  # it hung up
            typed = b""
        return typed, None if typed else 128 + signal.SIGHUP

    def _answer_signals(self) -> int | None:
        while self._caught:
            number = self._caught.pop(0)
            if number in _ENDING:
                return 128 + number
            if number == signal.SIGTSTP:
                self._stop()
            elif number == signal.SIGCONT:  # stopped by force: the shell has had the terminal
                self._take()
        return None

    def _stop(self) -> None:
        """Give the terminal back, then stop, as the shell expects after Ctrl-Z."""
        self._give_back()
        ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, ours)
        self._take()

    def _take(self) -> None:
        tty.setcbreak(self._in)
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)

    def _give_back(self) -> None:
        with suppress(OSError):
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)
        with suppress(termios.error):
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._modes)

    def _catch(self, number: int, _frame: FrameType | None) -> None:
        self._caught.append(number)
