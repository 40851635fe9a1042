"""Hearing that a slot file was closed or replaced, from inotify(7).

Whoever only looks at a slot opens it for reading. What can be heard is the closing of a file that
was open for writing: by a holder that lets go or dies, or by one that came second.
"""

from __future__ import annotations

import ctypes
import os
import struct
from errno import EMFILE, ENFILE, ENOSYS

from ...errors import StoreUnreachable

_CLOSE_WRITE, _MOVED_TO, _DELETE_SELF, _MOVE_SELF = 0x8, 0x80, 0x400, 0x800
_QUEUE_OVERFLOW, _IGNORED = 0x4000, 0x8000
_GONE = _DELETE_SELF | _MOVE_SELF | _IGNORED
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_BUFFER = 1 << 16  # bytes


class FileWake:
    """Tells that a lease in one directory may have been released."""

    def __init__(self, fd: int, shown: str) -> None:
        self._fd = fd
        self._shown = shown

    @classmethod
    def of(cls, directory: str, shown: str) -> FileWake | None:
        """Listen to a directory; None if there is no inotify, or none to spare for this user."""
        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            return None
        fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if fd < 0:
            if ctypes.get_errno() in (EMFILE, ENFILE, ENOSYS):
                return None
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        mask = _CLOSE_WRITE | _MOVED_TO | _DELETE_SELF | _MOVE_SELF
        if libc.inotify_add_watch(fd, os.fsencode(directory), mask) < 0:
            error = ctypes.get_errno()
            os.close(fd)
            raise OSError(error, os.strerror(error))
        return cls(fd, shown)

    def fileno(self) -> int:
        return self._fd

    def drain(self) -> bool:
        """Take in what is there; true if a slot file was closed or replaced."""
        heard = 0
        try:
            while content := os.read(self._fd, _BUFFER):
                heard |= _masks(content)
        except BlockingIOError:
            pass
        if heard & _GONE:
            raise StoreUnreachable(f"{self._shown}: the directory of the lease was removed")
        return bool(heard & (_CLOSE_WRITE | _MOVED_TO | _QUEUE_OVERFLOW))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


def _masks(content: bytes) -> int:
    """All event bits in what was read, together."""
    found, at = 0, 0
    while at < len(content):
        _, mask, _, length = _EVENT.unpack_from(content, at)
        found |= mask
        at += _EVENT.size + length
    return found
