"""The thread that listens for all leases which this process holds in one store.

It is there while there is a box to listen for. A connection that breaks is told of, and made again
at once, then every second; what was sent meanwhile is lost, unless its sender waits for an answer.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from ..clock import boottime
from ..errors import StoreError, StoreRefused
from .box import Box
from .port import Mail, Posted

_log = logging.getLogger("lifeline")
_PROBE = 5.0  # seconds without a letter until the connection is tried
_FIRST_DELAY, _LONGEST_DELAY = 0.05, 1.0  # seconds between attempts to connect
_PATIENCE = 5.0  # seconds that the first attempt may take, before it goes on in the background
_MOST_ANSWERS = 65536  # that wait for a connection


class _Entry:
    """A box in the listener's care."""

    def __init__(self) -> None:
        self.tried = threading.Event()  # the first attempt is over, with this outcome
        self.error: StoreError | None = None


class Listener:
    """Takes in what comes for any of its boxes. `open_mail` connects, `tell` is for people."""

    def __init__(
        self, open_mail: Callable[[], Mail], tell: Callable[[str], object] = _log.warning
    ) -> None:
        self._open = open_mail
        self._tell = tell
        self._mail: Mail | None = None
        self._bell = _Bell()
        self._reset()

    def _reset(self) -> None:
        self._mutex = threading.Lock()
        self._boxes: dict[Box, _Entry] = {}
        self._listening: dict[str, list[Box]] = {}  # by token; the thread's own
        self._answers: deque[Posted] = deque(maxlen=_MOST_ANSWERS)
        self._thread: threading.Thread | None = None
        self._is_down = False
        self._delay = _FIRST_DELAY
        self._heard = 0.0

    def add(self, box: Box, patience: float = _PATIENCE) -> None:
        """Listen for it: on return it is heard, or the store is out of reach for now.

        Raises StoreRefused if the store says no.
        """
        entry = _Entry()
        with self._mutex:
            self._boxes[box] = entry
            self._bell.hang()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="lifeline listener", daemon=True
                )
                self._thread.start()
            self._bell.ring()
        entry.tried.wait(patience)
        if isinstance(entry.error, StoreRefused):
            self.remove(box)
            raise entry.error

    def remove(self, box: Box) -> None:
        """Listen for it no more."""
        with self._mutex:
            if self._boxes.pop(box, None) and self._thread is not None:
                self._bell.ring()

    def forget(self) -> None:
        """In a forked child: the thread and its connection are the parent's."""
        if self._mail is not None:
            self._mail.forget()
            self._mail = None
        self._bell.take_down()
        self._reset()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        while self._is_needed():
            try:
                self._turn()
            except StoreError as error:
                self._fail(error)
            except Exception:  # a fault in a driver
                _log.exception("signals are not heard for now")
                self._fail(StoreError("a fault in the driver"), told=True)

    def _is_needed(self) -> bool:
        with self._mutex:
            if self._boxes:
                return True
            self._drop()
            self._bell.take_down()
            self._thread = None
            return False

    def _turn(self) -> None:
        """Connect if need be, deal with all there is, and wait for more."""
        if self._mail is None:
            self._mail = self._open()
        mail = self._mail
        self._follow(mail)
        if self._is_down:
            self._is_down, self._delay = False, _FIRST_DELAY
            self._tell("signals are heard again")
        self._exchange(mail)
        if not self._wait(mail) and not mail.polls and boottime() - self._heard >= _PROBE:
            mail.probe()
            self._heard = boottime()

    def _follow(self, mail: Mail) -> None:
        """Listen for the boxes that there are by now."""
        with self._mutex:
            boxes = dict(self._boxes)
        if mail.polls and any(box.owner is None for box in boxes):
            raise StoreRefused(
                "with this store signals wait in a mailbox, and only the holder may read that"
            )
        wanted: dict[str, list[Box]] = {}
        for box in boxes:
            wanted.setdefault(mail.box(box.name, box.slot), []).append(box)
        before, self._listening = self._listening, wanted
        for token in wanted.keys() - before.keys():
            mail.listen(token)
        for token in before.keys() - wanted.keys():
            mail.ignore(token)
        for entry in boxes.values():
            entry.tried.set()

    def _exchange(self, mail: Mail) -> None:
        while True:
            came = mail.collect()
            for token, letter in came:
                for box in self._listening.get(token, ()):
                    box.take(letter, self._answer)
            answers = []
            while self._answers:
                answers.append(self._answers.popleft())
            if answers:
                mail.post(answers)
            if not came and not answers:
                return
            self._heard = boottime()

    def _answer(self, letter: Posted) -> None:
        """From any thread: have it posted."""
        self._answers.append(letter)
        if threading.current_thread() is not self._thread:
            with self._mutex:
                self._bell.ring()

    def _wait(self, mail: Mail) -> bool:
        """Return when there is something to do, which is true, or after a while."""
        poll = select.poll()
        for fd in (*mail.descriptors(), self._bell.fd):
            poll.register(fd, select.POLLIN)
        seconds = _PROBE
        if mail.polls:
            with self._mutex:
                seconds = min((box.every for box in self._boxes), default=0.0)
        happened = poll.poll(seconds * 1000)
        self._bell.silence()
        return bool(happened)

    def _fail(self, error: StoreError, *, told: bool = False) -> None:
        """Begin anew, after a while."""
        self._drop()
        with self._mutex:
            entries = list(self._boxes.values())
        first = [entry for entry in entries if not entry.tried.is_set()]
        for entry in first:
            entry.error = error
            entry.tried.set()
        refused = isinstance(error, StoreRefused) and len(first) == len(entries)
        if not self._is_down and not told and not refused:  # else it is raised in `add`
            self._tell(f"signals are not heard for now: {error}")
        self._is_down = not refused
        time.sleep(self._delay)
        self._delay = min(2 * self._delay, _LONGEST_DELAY)

    def _drop(self) -> None:
        self._listening = {}
        if self._mail is not None:
            with suppress(Exception):
                self._mail.close()
        self._mail = None


class _Bell:
    """Wakes the thread; a pipe, so that it can be waited for beside connections."""

    def __init__(self) -> None:
        self.fd = self._cord = -1

    def hang(self) -> None:
        if self.fd < 0:
            self.fd, self._cord = os.pipe()
            os.set_blocking(self.fd, False)
            os.set_blocking(self._cord, False)

    def ring(self) -> None:
        if self._cord >= 0:
            with suppress(BlockingIOError):  # it rings already
                os.write(self._cord, b"!")

    def silence(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass

    def take_down(self) -> None:
        for fd in {self.fd, self._cord} - {-1}:
            os.close(fd)
        self.fd = self._cord = -1
