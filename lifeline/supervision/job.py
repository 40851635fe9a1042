"""The supervised process: started in a session of its own, in two steps.

The child is forked, makes its session and waits; the run record that names this session is
written; only then is it told to go. A runner that dies in between leaves nothing behind: the
child reads the end of the pipe and exits.
"""

import errno
import os

from ..errors import EXIT_CANNOT_EXECUTE, EXIT_NOT_FOUND, CommandFailed
from ..processes.places import search_path
from .helpers import reset_signals
from .kernel import die_with_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from typing import NoReturn

    from ..processes.table import Process, Table
else:
    import _signal as signal


class Job:
    """A child that is forked, leads a session, and waits to be told to go.

    `streams` are the descriptors for its standard output and error; `extra` is added to its
    environment; it inherits `descriptors`. If this process dies, it gets TERM.
    """

    def __init__(
        self,
        command: "tuple[bytes, ...]",
        streams: "tuple[int, int]" = (1, 2),
        extra: "dict[bytes, bytes] | None" = None,
        descriptors: "tuple[int, ...]" = (),
    ) -> None:
        self.command = command
        wait_for_go, self._go = os.pipe()
        self._failed, report = os.pipe()
        parent = os.getpid()
        take_input = not _is_in_background()
        # A signal between fork and exec would be written into the parent's pipe, too.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            for end in (wait_for_go, self._go, self._failed, report):
                os.close(end)
            raise
        if self.pid == 0:
            os.close(self._go)
            os.close(self._failed)
            if not take_input:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for fd in descriptors:
                os.set_inheritable(fd, True)
            _child(command, streams, extra or {}, mask, parent, wait_for_go, report)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(wait_for_go)
        os.close(report)
        os.read(self._failed, 1)  # its session is there, or it was killed meanwhile

    def process(self, table: "Table") -> "Process":
        """The waiting child, exactly."""
        facts = table.facts(self.pid)
        assert facts is not None, "a child stays in the table until it is reaped"
        return facts.process

    def go(self) -> None:
        """Let the child become the command. Raises CommandFailed if it cannot."""
        try:
            os.write(self._go, b"!")
        except BrokenPipeError:
            pass  # somebody has killed it meanwhile: its status will tell
        os.close(self._go)
        failure = os.read(self._failed, 16)  # empty once exec has closed the other end
        os.close(self._failed)
        if failure:
            os.waitpid(self.pid, 0)
            raise why_not_executed(self.command[0], int(failure))

    def abandon(self) -> None:
        """End the waiting child: nothing was started."""
        os.close(self._go)
        os.close(self._failed)
        os.waitpid(self.pid, 0)

    def signal(self, number: int) -> None:
        """Send a signal to the job's process group."""
        _send(os.killpg, self.pid, number)

    def signal_main(self, number: int) -> None:
        """Send a signal to the job's main process, which is not reaped yet."""
        _send(os.kill, self.pid, number)


def _send(kill: "Callable[[int, int], None]", pid: int, number: int) -> None:
    try:
        kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # gone in this moment; or now somebody else's (sudo), and not ours to signal


def _child(
    command: "tuple[bytes, ...]",
    streams: "tuple[int, int]",
    extra: "dict[bytes, bytes]",
    mask: "set[int]",
    parent: int,
    go: int,
    report: int,
) -> "NoReturn":
    """The forked child: wait to be told, become the command, or report why that failed."""
    try:
        os.setsid()
        os.write(report, b"s")
        die_with_parent(signal.SIGTERM)
        if os.read(go, 1) and os.getppid() == parent:
            for number, stream in enumerate(streams, 1):
                if stream != number:
                    os.dup2(stream, number)
            reset_signals()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.environb.update(extra)
            execute(command)
    except OSError as error:
        os.write(report, b"%d" % (error.errno or 0))
    finally:
        os._exit(EXIT_NOT_FOUND)


def _is_in_background() -> bool:
    """True if standard input is a terminal whose shell has put this process in the background.

    In a session of its own the job would not be stopped for reading: it would take the words
    that are typed for the shell.
    """
    try:
        return os.isatty(0) and os.tcgetpgrp(0) != os.getpgrp()
    except OSError:
        return False


def execute(command: "tuple[bytes, ...]") -> "NoReturn":
    """Become `command`, found through PATH. Raises OSError if that cannot be."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        script = _file_of(command[0])
        if _is_binary(script):
            raise
        # A script without #! is the shell's, as in execvp(3).
        os.execv("/bin/sh", (b"sh", script, *command[1:]))


def _file_of(program: bytes) -> bytes:
    return program if b"/" in program else search_path(program) or program


def _is_binary(program: bytes) -> bool:
    """True if no shell could read it: for another machine, or damaged (POSIX sh, 2.9.1.4)."""
    with open(program, "rb") as file:
        return b"\0" in file.readline(256)


def why_not_executed(program: bytes, number: int) -> CommandFailed:
    """The error for an exec that failed with errno `number`."""
    if number == errno.ENOENT and os.path.exists(_file_of(program)):
        return CommandFailed(program, "the interpreter that it names was not found", EXIT_NOT_FOUND)
    if number in (errno.ENOENT, errno.ENOTDIR):
        return CommandFailed(program, "command not found", EXIT_NOT_FOUND)
    reason = f"cannot be executed ({os.strerror(number)})"
    return CommandFailed(program, reason, EXIT_CANNOT_EXECUTE)
