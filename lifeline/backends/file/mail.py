"""Signals between processes of this host: a datagram socket for each who listens.

They lie in `mail/` below the store's directory, which is its user's alone, as TOKEN.RANDOM. The
kernel keeps what is sent until it is read, in order, and makes a sender wait whose reader is slow.
A socket whose owner died refuses letters: whoever meets one removes it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Sequence
from contextlib import suppress

from ...errors import StoreRefused
from ...leases.keys import key
from ...signals.port import Posted, check_token
from .layout import Layout
from .place import told

_LONGEST_PATH = 107  # bytes: sun_path of unix(7), less its end
_LARGEST = 1 << 16  # bytes
_PATIENCE_MS = 1000  # for one who does not read
_DEAD = frozenset({errno.ECONNREFUSED, errno.ENOENT, errno.ENOTSOCK, errno.EPROTOTYPE})


class FileMail:
    """A `signals.port.Mail` in a directory."""

    polls = False

    def __init__(self, layout: Layout, namespace: str) -> None:
        self._namespace = namespace
        self._layout = layout
        self._directory = os.path.join(layout.directory, "mail")
        self._ears: dict[str, tuple[socket.socket, str]] = {}
        layout.prepare(self._directory)
        with told(layout.directory):
            self._fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def box(self, name: str, slot: int) -> str:
        return f"{key(self._namespace, name, f'signals {slot}') & (1 << 64) - 1:016x}"

    def descriptors(self) -> Sequence[int]:
        return [ear.fileno() for ear, _ in self._ears.values()]

    def listen(self, token: str) -> None:
        with told(self._layout.directory):
            self._sweep()
            ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                ear.setblocking(False)
                name = f"{check_token(token)}.{os.urandom(4).hex()}"
                self._bind(ear, name)
            except BaseException:
                ear.close()
                raise
            self._ears[token] = ear, name

    def _bind(self, ear: socket.socket, name: str) -> None:
        """Under another name first: for a moment it is there and refuses, as a dead one does."""
        new = f"new.{os.urandom(8).hex()}"
        ear.bind(self._address(new))
        os.rename(new, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def ignore(self, token: str) -> None:
        ear, name = self._ears.pop(token)
        ear.close()
        self._remove(name)

    def post(self, letters: Sequence[Posted]) -> None:
        slow = []
        with told(self._layout.directory):
            for token, letter in letters:
                names = self._names(check_token(token) + ".")
                slow += [(name, letter) for name in names if not self._send(name, letter, 0)]
            for name, letter in slow:  # after all others have got theirs
                self._send(name, letter, _PATIENCE_MS)

    def _send(self, name: str, letter: bytes, patience: int) -> bool:
        """True if it is done with: sent, or nobody is there. False if the reader is too slow."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.setblocking(False)
            poll = select.poll()
            poll.register(mouth, select.POLLOUT)
            try:
                mouth.connect(self._address(name))
                if patience:
                    poll.poll(patience)
                mouth.send(letter)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno not in _DEAD:
                    raise
                self._remove(name)
        return True

    def collect(self) -> list[Posted]:
        came = []
        with told(self._layout.directory):
            for token, (ear, _) in self._ears.items():
                with suppress(BlockingIOError):
                    while True:
                        came.append((token, ear.recv(_LARGEST)))
        return came

    def probe(self) -> None:
        """The sockets have to be where they are looked for."""
        with told(self._layout.directory):
            for _, name in self._ears.values():
                os.stat(name, dir_fd=self._fd, follow_symlinks=False)

    def close(self) -> None:
        for ear, name in self._ears.values():
            ear.close()
            self._remove(name)
        self.forget()

    def forget(self) -> None:
        for ear, _ in self._ears.values():
            ear.close()
        self._ears.clear()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _names(self, prefix: str = "") -> list[str]:
        return [name for name in os.listdir(self._fd) if name.startswith(prefix)]

    def _remove(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(name, dir_fd=self._fd)

    def _sweep(self) -> None:
        """Remove the sockets of those who died."""
        for name in self._names():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
                try:
                    mouth.connect(self._address(name))
                except OSError as error:
                    if error.errno in _DEAD and not name.startswith("new."):
                        self._remove(name)

    def _address(self, name: str) -> str:
        path = os.path.join(self._directory, name)
        if len(os.fsencode(path)) <= _LONGEST_PATH:
            return path
        path = f"/proc/self/fd/{self._fd}/{name}"
        if not os.path.isdir(os.path.dirname(path)):
            raise StoreRefused(
                f"{self._layout.shown}: its path is too long for signals; name a shorter one"
            )
        return path
