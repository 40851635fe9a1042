"""Short-lived processes beside the job: hooks and pings. They never hold the job up."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable

    from ..events import Value
else:
    import _signal as signal


def spawn(
    command: "list[str]",
    environment: "dict[bytes, bytes]",
    prepare: "Callable[[], object]" = lambda: None,
) -> int:
    """Start `command` in a session of its own; its pid. `prepare` is called in the child."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return pid
    try:
        os.setsid()
        reset_signals()
        prepare()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execvpe(command[0], command, environment)
    finally:
        os._exit(127)


def reset_signals() -> None:
    """In a forked child: no signal reaches the parent's pipe, each does what it does by default.

    What was ignored before this program started (nohup) stays ignored; what Python ignores does
    not.
    """
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number in (signal.SIGKILL, signal.SIGSTOP):
            continue
        ignored = signal.getsignal(number) == signal.SIG_IGN
        if not ignored or number in (signal.SIGPIPE, signal.SIGXFSZ):
            try:
                signal.signal(number, signal.SIG_DFL)
            except OSError:
                pass  # glibc keeps two for itself


def spawn_module(
    module: str,
    stdin: int,
    stdout: "int | None" = None,
    stderr: "int | None" = None,
    keep: "Iterable[int]" = (),
) -> int:
    """Start the `main` of a module of this package in a session of its own; its pid.

    Its standard streams are the descriptors that are given, or nothing; of all others it has only
    those in `keep`.
    """

    def prepare() -> None:
        null = os.open(os.devnull, os.O_WRONLY)
        for number, fd in enumerate((stdin, stdout, stderr)):
            if fd != number:
                os.dup2(null if fd is None else fd, number)
        _close_all_but(set(keep))

    code = (
        "import sys; sys.path = [*filter(None, sys.path), sys.argv[1]]; "  # not the directory
        f"from {module} import main; sys.exit(main())"
    )
    root = os.path.abspath(__file__).rsplit(os.sep, 3)[0]
    return spawn([sys.executable, "-c", code, root], dict(os.environb), prepare)


class Pinger:
    """Tells the monitor at `url` about runs, each ping in a helper process of its own.

    The URL's path takes `/start`, nothing, or `/<exit code>`, and the run's id in `rid`, as
    healthchecks.io and its kin understand them. `titled` is what the history calls the lifeline.
    """

    def __init__(self, url: str, titled: "dict[str, Value]") -> None:
        self._url = url
        [(self._kind, self._title)] = titled.items()
        self._previous = -1  # is at its end once the helper before has gone

    def ping(self, path: str, run: str, body: bytes = b"") -> int:
        """Send one; the helper's pid. Raises OSError if there can be no helper."""
        address, _, query = self._url.partition("?")
        query = f"{query}&rid={run}" if query else f"rid={run}"
        url = f"{address.rstrip('/')}{path}?{query}"
        read, write = os.pipe()
        ended, alive = os.pipe()
        previous = self._previous

        try:
            # What this process was started with (the lock of a `flock`) is not to be kept open.
            pid = spawn_module("lifeline.supervision.ping", read, keep={alive, previous})
            # 20 kB at most: a fresh pipe takes 64.
            lines = (str(previous), url, run, self._kind, str(self._title))
            os.write(write, "\n".join(lines).encode() + b"\n\n" + body)
        except BaseException:
            os.close(ended)
            raise
        finally:
            for fd in (read, write, alive):
                os.close(fd)
        if previous >= 0:
            os.close(previous)
        self._previous = ended
        return pid


def _close_all_but(kept: "set[int]") -> None:
    """Close every descriptor from 3 on, and let `kept` live on over exec."""
    low = 3
    for fd in sorted(kept):
        if fd >= low:
            os.closerange(low, fd)
            os.set_inheritable(fd, True)
            low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
