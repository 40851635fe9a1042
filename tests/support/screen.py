"""A terminal with a program in its foreground, and what a person would see on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from typing import Any

import pyte

from support.spawning import Spawner
from support.waiting import eventually

_ALTERNATE = {b"\x1b[?1049h": True, b"\x1b[?1049l": False}


class ScreenTerminal:
    """A pty whose output goes to a model of a screen.

    `alternate` is true while the program has the other screen, `raw` is everything it has written.
    """

    def __init__(
        self,
        spawn: Spawner,
        *words: str | os.PathLike[str],
        columns: int = 100,
        lines: int = 60,
        **env: str,
    ) -> None:
        self._master, self._slave = pty.openpty()
        os.set_blocking(self._master, False)
        self.raw = b""
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.resize(lines, columns, redraw=False)
        self.modes = termios.tcgetattr(self._slave)
        streams = {"stdin": self._slave, "stdout": self._slave, "stderr": self._slave}
        # setsid(1) takes the terminal for a session of its own, which Popen cannot.
        options: dict[str, Any] = {"env": {"TERM": "xterm-256color", **env}, **streams}
        self.process: subprocess.Popen[str] = spawn(
            "setsid", "--ctty", *words, start_new_session=False, **options
        )

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, lines: int, columns: int, *, redraw: bool = True) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)
        if redraw:
            self._screen.reset()

    def lines(self) -> list[str]:
        """What is on the screen now, without blanks at the ends."""
        self._read()
        return [line.rstrip() for line in self._screen.display]

    def line(self, *texts: str) -> str:
        """The first line of the screen that holds all `texts`, else an empty one."""
        return next((line for line in self.lines() if all(text in line for text in texts)), "")

    def wait_for(self, *texts: str) -> str:
        """The line that holds all `texts`, once there is one."""
        try:
            return eventually(lambda: self.line(*texts), within=120, every=0.02)
        except AssertionError:
            shown = "\n".join(self.lines())
            raise AssertionError(f"{texts} never on one line; there is:\n{shown}") from None

    def ended(self) -> int:
        """The exit code of the program, once it has ended.

        What it draws meanwhile is read: it would not come to its end in a terminal that is full.
        """
        eventually(lambda: self._read() or self.process.poll() is not None)
        return self.process.wait()

    @property
    def alternate(self) -> bool:
        """True while the program has the other screen."""
        self._read()
        places = {self.raw.rfind(code): on for code, on in _ALTERNATE.items()}
        return places[max(places)] if max(places) >= 0 else False

    @property
    def cursor_shown(self) -> bool:
        self._read()
        return self.raw.rfind(b"\x1b[?25h") >= self.raw.rfind(b"\x1b[?25l")

    def is_as_before(self) -> bool:
        """True if echo, line mode, screen and cursor are as the program has found them."""
        unchanged = termios.tcgetattr(self._slave) == self.modes
        return unchanged and not self.alternate and self.cursor_shown

    def hang_up(self) -> None:
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)
        self._master = self._slave = -1

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # nothing new, or nobody on the other side
                return
            self.raw += data
            self._stream.feed(data)
