"""The directory of a file store: ours alone, on a file system whose locks hold."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS

from ...errors import StateUnusable, StoreRefused, StoreUnreachable, UsageError, show
from ...statedir import default_directory

# Their locks live on a server that may forget them without a word to the holder.
REMOTE = frozenset({"9p", "afs", "cifs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"})
# People have to act on these; anything else is a disk that is full or fails, or a table that is.
_REFUSALS = frozenset({EACCES, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS})


def place(path: str) -> tuple[str, ...]:
    """The directories of a store, each in the one before, from what its URL says of the path.

    Raises UsageError for a path that depends on the working directory or names a host.
    """
    if not path:
        try:
            state = os.fsdecode(default_directory())
        except StateUnusable as error:
            raise StoreRefused(f"file: {error}") from None
        return state, os.path.join(state, "locks")
    if path.startswith("//") and not path.startswith("///"):
        raise UsageError("the lock URL: file:/directory names no host")
    if not path.startswith("/"):
        raise UsageError("the lock URL: file: takes a whole path, as in file:/var/lib/locks")
    # normpath keeps two leading slashes, which POSIX leaves to the system
    return (os.path.normpath("/" + path.lstrip("/")),)


@contextmanager
def told(where: str) -> Iterator[None]:
    """Errors of the system inside, as errors of the store at `where`."""
    try:
        yield
    except OSError as error:
        said = f"{shown(where)}: {error.strerror}"
        if error.errno in _REFUSALS:
            raise StoreRefused(f"{said}; mend it or name another directory") from None
        raise StoreUnreachable(said) from None


def prepare(directories: tuple[str, ...]) -> bool:
    """Make what is missing of the directories, mode 0700; true if anything was.

    Raises StoreRefused if one is a link, not a directory, another user's or writable by others:
    whoever can put a file there can lock us out for ever.
    """
    with told(directories[-1]):
        made = [path for path in directories if not _is_trusted(path) and _make(path)]
    return bool(made)


def _make(path: str) -> bool:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with suppress(FileExistsError):  # another starter made it in this moment
        os.mkdir(path, 0o700)
    return _is_trusted(path)


def _is_trusted(path: str) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(found.st_mode):
        raise _refused(path, "is a symbolic link, which is not followed")
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(path, "is not a directory")
    if found.st_uid != os.geteuid():
        raise _refused(path, f"belongs to user {found.st_uid}, not to you")
    if found.st_mode & 0o022:
        raise _refused(path, "can be written by others (chmod 700 it)")
    return True


def _refused(path: str, reason: str) -> StoreRefused:
    return StoreRefused(f"{shown(path)} {reason}; mend it or name another directory")


def shown(path: str) -> str:
    """How messages name the store at `path`."""
    return "file:" + show(os.fsencode(path))


def file_system(path: str) -> str:
    """The type of the file system that `path` is on; empty where the system does not tell.

    By mount, not by device number: a btrfs subvolume has one of its own.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            mount = _field(f"/proc/self/fdinfo/{fd}", b"mnt_id:")
        finally:
            os.close(fd)
        with open("/proc/self/mountinfo", "rb") as table:
            for line in table:
                if line.split(b" ", 1)[0] == mount:
                    return line.rpartition(b" - ")[2].split()[0].decode()
    except OSError:
        pass
    return ""


def _field(path: str, label: bytes) -> bytes:
    with open(path, "rb") as file:
        return next((line.split()[1] for line in file if line.startswith(label)), b"")


def refuse_remote(path: str) -> None:
    """Raises StoreRefused if the directory is on a network file system."""
    kind = file_system(path)
    if kind in REMOTE:
        raise StoreRefused(
            f"{shown(path)} is on {kind}: a lock there can be lost unnoticed; use a directory of "
            "a local disk, or a store with a server"
        )
