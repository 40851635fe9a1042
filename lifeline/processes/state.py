"""The state directory: small files that are evidence, never truth.

Losing the directory costs speed, holds and history; the process table still decides. It belongs
to the user, mode 0700; links are not followed, because a state directory that somebody else can
write could make a lifeline stand down for ever.
"""

import os
import stat
from _thread import get_ident

from ..errors import DiskFull, StateUnusable, show
from ..statedir import default_directory

RUNS = b"runs"  # run records, one file a command
HOLDS = b"holds"  # holds, one file a command
PASSIVE = b"passive"  # markers of processes that are the command but do not contend
OBSERVED = b"observed"  # since when leases of others have been seen unchanged, one file a command
SCALING = b"scaling"  # what a scaler remembers, and pauses, two files a scaler
METRICS = b"metrics"  # totals that go on where the history forgets

_KINDS = (RUNS, HOLDS, PASSIVE, OBSERVED, SCALING, METRICS)
# Without O_CREAT these make a FIFO or a link in place of a file an error, not a trap.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_CHUNK = 1 << 16


class State:
    """One state directory. Opening it creates nothing; the first write does."""

    def __init__(self, directory: "bytes | None" = None) -> None:
        self.directory = default_directory() if directory is None else directory

    def check(self) -> bool:
        """True if the directory is there and can be trusted, False if it is missing.

        Raises StateUnusable if it is a link, not a directory, or not ours alone.
        """
        try:
            found = os.lstat(self.directory)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unreadable(error) from None
        if stat.S_ISLNK(found.st_mode):
            raise StateUnusable(self.directory, "is a symbolic link, which is not followed")
        if not stat.S_ISDIR(found.st_mode):
            raise StateUnusable(self.directory, "is not a directory")
        if found.st_uid != os.geteuid():
            raise StateUnusable(self.directory, f"belongs to user {found.st_uid}, not to you")
        if found.st_mode & 0o077:
            raise StateUnusable(self.directory, "is open to others (chmod 700 it)")
        return True

    def prepare(self) -> None:
        """Make the directory and its parts, if they are not there."""
        if not self.check():
            try:
                os.makedirs(os.path.dirname(self.directory), exist_ok=True)
                os.mkdir(self.directory, 0o700)
            except FileExistsError:
                pass  # another starter made it in this moment
            except OSError as error:
                raise self._unwritable(error) from None
            self.check()
        for kind in _KINDS:
            try:
                os.mkdir(os.path.join(self.directory, kind), 0o700)
            except FileExistsError:
                pass
            except OSError as error:
                raise self._unwritable(error) from None

    def open(self, path: bytes, flags: int) -> int:
        """The descriptor of a file of this directory, whose parts are made if they are missing.

        Raises StateUnusable; OSError of the file itself.
        """
        if self.check():
            try:
                return os.open(path, flags, 0o600)
            except FileNotFoundError:
                pass
        self.prepare()
        return os.open(path, flags, 0o600)

    def path(self, kind: bytes, name: bytes) -> bytes:
        """The file for `name` among files of `kind`."""
        return b"/".join((self.directory, kind, name))

    def names(self, kind: bytes) -> "list[bytes]":
        """The names of all files of `kind`, sorted."""
        try:
            found = os.listdir(os.path.join(self.directory, kind))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error, kind) from None
        return sorted(name for name in found if not name.startswith(b"."))

    def read(self, kind: bytes, name: bytes) -> "bytes | None":
        """The content of a file, or None if it is not there."""
        try:
            fd = os.open(self.path(kind, name), _READ)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error, kind, name) from None
        try:
            content = part = os.read(fd, _CHUNK)
            while len(part) == _CHUNK:
                part = os.read(fd, _CHUNK)
                content += part
            return content
        except OSError as error:  # a directory in its place
            raise self._unreadable(error, kind, name) from None
        finally:
            os.close(fd)

    def write(self, kind: bytes, name: bytes, content: bytes, *, durable: bool = False) -> None:
        """Put `content` in place at once and whole; `durable` also survives a power cut.

        Raises StateUnusable if the directory may not be written, DiskFull if nothing fits.
        """
        # Threads of one process may write at once.
        partial = self.path(kind, b".%s.%d.%d" % (name, os.getpid(), get_ident()))
        try:
            fd = self.open(partial, _WRITE)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            try:
                while content:
                    content = content[os.write(fd, content) :]
                if durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(partial, self.path(kind, name))
        except BaseException as error:
            try:
                os.unlink(partial)
            except OSError:
                pass  # the whole directory was removed in this moment
            if isinstance(error, OSError):
                raise self._unwritable(error) from None
            raise

    def remove(self, kind: bytes, name: bytes) -> bool:
        """Take a file away; False if it was not there."""
        try:
            os.unlink(self.path(kind, name))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unwritable(error) from None
        return True

    def _unreadable(self, error: OSError, *path: bytes) -> StateUnusable:
        where = f"{show(b'/'.join(path))}: " if path else ""
        return StateUnusable(self.directory, f"cannot be read ({where}{error.strerror})")

    def _unwritable(self, error: OSError) -> StateUnusable:
        import errno  # nearly no tick needs it

        # Refused to this user; anything else is a disk that is full or fails.
        refusals = {errno.EACCES, errno.EPERM, errno.EROFS}
        refusals |= {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
        kind = StateUnusable if error.errno in refusals else DiskFull
        return kind(self.directory, f"cannot be written ({error.strerror})")
