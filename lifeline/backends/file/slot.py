"""One slot of a name as a file: a lock on it, and in it the fence and who holds it.

The lock is flock(2). It belongs to the open file description: whoever has a copy of the
descriptor, by fork or by inheritance, keeps it, and two openings conflict within one process too.

The file is written in place, under its lock. The fence comes first and within one sector, so that
a power cut leaves the old one or the new; a rename could let a stalled writer put back an older
file over a newer one. A file is never unlinked. Breaking a lease puts a new file in its place, and
everybody looks again, after locking and after writing, whether the file that they have is still
the one of that name.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from ...errors import StoreRefused
from ...leases.port import Info, Seen
from .place import shown

_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_HEAD = re.compile(rb"lifeline 1 ([0-9]{20})\n")
_LONGEST = 1 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Record:
    """What a slot's file says: of its holder, if it is locked, else of the one before."""

    fence: int = 0
    name: str = ""
    slot: int = 0
    slots: int = 0
    owner: str = ""
    ttl: float = 0.0
    info: Info = field(default_factory=dict)

    def seen(self) -> Seen:
        return Seen(
            self.name, self.slot, self.slots, self.owner, self.fence, self.ttl, dict(self.info)
        )


def open_slot(path: str, flags: int) -> int:
    """A descriptor of the slot's file that is not inherited. Links are not followed."""
    return os.open(path, flags | _OPEN, 0o600)


def opened(directory: str) -> set[int]:
    """This process's descriptors of slot files below `directory`; none where there is no /proc.

    Not those that it was given by who started it: with them it has a runner's lease, as any other
    process of that job.
    """
    found, inside = set(), os.path.realpath(directory) + "/"
    with suppress(OSError):
        for fd in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # that of the list itself
                path = os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
                is_slot = path.startswith(inside) and path.endswith(".lock")
                if is_slot and not os.get_inheritable(int(fd)):
                    found.add(int(fd))
    return found


def lock(fd: int, how: int = fcntl.LOCK_EX) -> bool:
    """Lock the file; false if somebody else has it."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(fd: int) -> None:
    """Let go of the lock, for every copy of the descriptor, and close this one."""
    try:
        _mark(fd, fcntl.F_UNLCK)  # first: a mark may never stand on a lock that is free
        fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def take(path: str) -> int | None:
    """Lock the slot: the descriptor that holds it, None if somebody else does."""
    if is_held(path):
        return None
    fd = open_slot(path, os.O_RDWR | os.O_CREAT)
    if lock(fd) and is_at(fd, path):
        _mark(fd, fcntl.F_WRLCK)
        return fd
    os.close(fd)
    return None


def is_held(path: str) -> bool:
    """Whether somebody has the slot. Disturbs neither a holder nor one who asks for it.

    Opened for reading only, it wakes nobody who waits.
    """
    try:
        fd = open_slot(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        marked = fcntl.fcntl(fd, _GET_MARK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        return bool(_FLOCK.unpack(marked)[0] != fcntl.F_UNLCK)
    except OSError:  # no such marks here: ask for the lock, if for an instant only
        return not lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


# Nobody can ask for a flock without taking it, and one who only looks must not be taken for a
# holder. So a holder marks its file with a lock of the other kind, which can be asked for: an open
# file description lock of fcntl_locking(2), with the same life as the flock. /proc/locks will not
# do, as it leaves out the locks of other containers and of orphans.
_FLOCK = struct.Struct("hhqqi4x")  # type, whence, start, length, pid: struct flock
_GET_MARK, _SET_MARK = getattr(fcntl, "F_OFD_GETLK", 36), getattr(fcntl, "F_OFD_SETLK", 37)


def _mark(fd: int, kind: int) -> None:
    with suppress(OSError):  # not known here: then nobody asks for it either
        fcntl.fcntl(fd, _SET_MARK, _FLOCK.pack(kind, os.SEEK_SET, 0, 1, 0))


def is_at(fd: int, path: str) -> bool:
    """Whether the open file still is the one of that name."""
    mine = os.fstat(fd)
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def read(fd: int, path: str) -> Record:
    """What the file says; an empty one that nobody ever held the slot.

    Raises StoreRefused if it was damaged: to begin its fences anew would let old writers in.
    """
    content = os.pread(fd, _LONGEST, 0)
    if not content:
        return Record()
    head = _HEAD.match(content)
    if not head:
        raise StoreRefused(
            f"{shown(path)} is damaged; remove it if nothing compares the fences of this lease"
        )
    fence = int(head.group(1))
    try:
        return Record(fence, **json.loads(content[head.end() :].split(b"\n", 1)[0]))
    except (TypeError, ValueError):  # being written in this moment, or cut off by a power failure
        return Record(fence)


def read_at(path: str) -> Record:
    """What the file of that name says; nothing if there is none."""
    try:
        fd = open_slot(path, os.O_RDONLY)
    except FileNotFoundError:
        return Record()
    try:
        return read(fd, path)
    finally:
        os.close(fd)


def write(fd: int, record: Record) -> None:
    """Put the record into the file, on the disk before this returns."""
    fields = asdict(record)
    fence = fields.pop("fence")
    content = b"lifeline 1 %020d\n%s\n" % (fence, json.dumps(fields).encode())
    left = memoryview(content)
    while left:
        left = left[os.pwrite(fd, left, len(content) - len(left)) :]
    os.ftruncate(fd, len(content))
    os.fsync(fd)


def settle(*directories: str) -> None:
    """Make new names in the directories survive a power cut."""
    for directory in directories:
        fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
