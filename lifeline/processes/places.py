"""What the words of an argument list mean where they were found: the edge below `identity`."""

import os
import stat

from ..errors import CannotTell
from .identity import identify, named
from .table import Unseen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .identity import Identity, Words
    from .table import Table


class MyPlace:
    """What relative names mean to this process."""

    def absolute(self, path: bytes) -> bytes:
        if path.startswith(b"/"):
            return normal(path)
        try:
            return normal(os.path.join(os.getcwdb(), path))
        except FileNotFoundError:
            raise CannotTell(
                "the working directory is gone, so relative paths mean nothing"
            ) from None

    def program(self, name: bytes) -> bytes:
        return self.search(name)

    def search(self, name: bytes) -> bytes:
        if b"/" in name:
            return self.absolute(name)
        return search_path(name) or name

    def environment(self, interpreter: bytes) -> "bytes | None":
        return prefix(self.program(interpreter))

    def shebang(self, path: bytes) -> "Words":
        try:
            return read_shebang(self.absolute(path))
        except CannotTell:  # any word is asked for, also those that are no path
            return ()

    def is_file(self, path: bytes) -> bool:
        return os.path.isfile(path)


class ProcessPlace:
    """What relative names mean to another process. Raises Unseen where that may not be seen."""

    def __init__(self, table: "Table", pid: int) -> None:
        self.table = table
        self.pid = pid

    def absolute(self, path: bytes) -> bytes:
        if path.startswith(b"/"):
            return normal(path)
        here = normal(os.path.join(self.table.directory(self.pid), path))
        if os.path.lexists(here):
            return here
        # It is not there: the process has changed its directory since. Its shell may have said
        # where it started; links resolved, as the system shows directories.
        started = self.table.variable(self.pid, b"PWD")
        there = normal(os.path.join(os.path.realpath(started), path)) if started else here
        return there if os.path.lexists(there) else here

    def program(self, name: bytes) -> bytes:
        if b"/" in name:
            return self.absolute(name)
        executable = self.table.executable(self.pid)
        return search_path(name, executable) or name

    def search(self, name: bytes) -> bytes:
        # Its own PATH may differ from ours, but the same text is taken for the same command.
        return self.absolute(name) if b"/" in name else search_path(name) or name

    def environment(self, interpreter: bytes) -> "bytes | None":
        return prefix(self.absolute(interpreter)) if b"/" in interpreter else None

    def shebang(self, path: bytes) -> "Words":
        try:
            return read_shebang(self.absolute(path))
        except Unseen:
            if b"/" in path:
                raise
            return ()  # any word is asked for; the kernel gives a script with its directory

    def is_file(self, path: bytes) -> bool:
        return os.path.isfile(path)


def meant(name: "bytes | None", argv: "Words") -> "Identity":
    """What somebody asks for here: a name, or without one a command as it would be started."""
    return named(name) if name is not None else identify(argv, MyPlace())


def search_path(name: bytes, executable: "bytes | None" = None) -> "bytes | None":
    """The file that exec finds for `name`; with `executable`, only one that leads to it."""
    for directory in os.environb.get(b"PATH", b"/usr/bin:/bin").split(b":"):
        found = os.path.join(directory or b".", name)
        if not (os.access(found, os.X_OK) and os.path.isfile(found)):
            continue
        if executable is None or os.path.realpath(found) == os.path.realpath(executable):
            return one_spelling(os.path.abspath(found))
    if executable is None:
        return None
    beside = os.path.join(os.path.dirname(executable), name)
    return one_spelling(beside) if os.path.realpath(beside) == executable else None


_SYSTEM = (b"/bin", b"/sbin", b"/usr/bin", b"/usr/sbin")


def normal(path: bytes) -> bytes:
    """An absolute path in its shortest spelling. Links stay, but /bin and /usr/bin are made one."""
    return one_spelling(b"/" + os.path.normpath(path).lstrip(b"/"))


def one_spelling(path: bytes) -> bytes:
    """`path` with /bin and /usr/bin made one where the system links them."""
    directory, base = os.path.split(path)
    return os.path.join(os.path.realpath(directory), base) if directory in _SYSTEM else path


def prefix(interpreter: bytes) -> "bytes | None":
    """The environment that an interpreter's path shows: /venv for /venv/bin/python3.

    None for a shim of pyenv, asdf or mise, which stands for whatever a directory asks for, and
    for the program inside of a macOS framework, which every environment starts.
    """
    directory = os.path.dirname(interpreter)
    if not directory.startswith(b"/") or os.path.basename(directory) in (b"shims", b"MacOS"):
        return None
    return os.path.dirname(directory)


def read_shebang(path: bytes) -> "Words":
    """The words that the kernel, and `env` after it, put before the script at `path`."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return ()  # opening a device can do something
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return ()
    try:
        line = os.read(fd, 256).split(b"\n")[0]
    except OSError:
        return ()
    finally:
        os.close(fd)
    if not line.startswith(b"#!"):
        return ()
    interpreter, *argument = line[2:].strip(b" \t").split(None, 1) or [b""]
    if os.path.basename(interpreter) == b"env" and argument:
        words = argument[0].removeprefix(b"-S").split()
        while words and b"=" in words[0]:
            del words[0]
        return tuple(words)
    return (interpreter, *argument)
