"""The process table: what can be seen of every process, read afresh at each question.

`Table` is the port. `LinuxTable` reads /proc directly, three system calls a process;
`PsutilTable` (its own module) serves every other system. Both pass one contract suite.
A question about a process that is gone answers None; what may not be seen raises Unseen.
"""

import os
import sys
import time

from ..errors import CannotTell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from .identity import Words

    class Table(Protocol):
        """Who is running. `start` values order processes by age; later is younger."""

        def boot(self) -> bytes: ...
        def namespace(self) -> bytes: ...
        def now(self) -> int: ...
        def ticks(self, seconds: float) -> int: ...
        def pids(self) -> "list[int]": ...
        def facts(self, pid: int) -> "Facts | None": ...
        def command_line(self, pid: int) -> "Words | None": ...
        def after_exec(self, pid: int) -> "Words | None": ...
        def candidates(self, needle: bytes) -> "Iterator[tuple[int, Words]]": ...
        def user(self, pid: int) -> "int | None": ...
        def is_local(self, pid: int) -> "bool | None": ...
        def directory(self, pid: int) -> bytes: ...
        def variable(self, pid: int, name: bytes) -> "bytes | None": ...
        def executable(self, pid: int) -> "bytes | None": ...
        def session_mark(self, pid: int) -> bytes: ...
        def is_alive(self, process: "Process") -> bool: ...


class Process:
    """One exact process: a pid can be used again, a pid with its start time cannot.

    Ordered by age, oldest first; the pid breaks ties, so that all observers agree.
    """

    __slots__ = ("pid", "start")

    def __init__(self, pid: int, start: int) -> None:
        self.pid = pid
        self.start = start

    def __repr__(self) -> str:
        return f"Process({self.pid}, {self.start})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Process) and (self.pid, self.start) == (other.pid, other.start)

    def __hash__(self) -> int:
        return hash((self.pid, self.start))

    def is_older_than(self, other: "Process") -> bool:
        """True if this one started first."""
        return (self.start, self.pid) < (other.start, other.pid)


class Facts:
    """What /proc/PID/stat tells.

    `state` is the kernel's letter (R S D T t Z X …), `name` the first 15 bytes of the program's.
    """

    __slots__ = ("group", "kernel", "name", "parent", "process", "session", "state", "threads")

    def __init__(
        self,
        process: Process,
        state: str,
        parent: int,
        group: int,
        session: int,
        kernel: bool,
        threads: int,
        name: bytes,
    ) -> None:
        self.process = process
        self.state = state
        self.parent = parent
        self.group = group
        self.session = session
        self.kernel = kernel
        self.threads = threads
        self.name = name

    @property
    def is_dead(self) -> bool:
        """True for a zombie. A leader that ended before its threads shows Z but lives."""
        return self.state in "ZXx" and self.threads <= 1

    @property
    def is_stopped(self) -> bool:
        return self.state in "Tt"


class Unseen(Exception):
    """A process is there, but what was asked about it may not be seen."""


# How long to go on reading a command line that is empty because its process is in the middle of
# exec. Nearly every exec shows this window to a fast reader; more than 2 s of it were seen on a
# machine with five times more to do than cores.
EXEC_PATIENCE = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02

_HIDDEN = "it is hidden (/proc is mounted with hidepid)"

_PF_KTHREAD = 0x00200000  # include/linux/sched.h


class LinuxTable:
    """The table from /proc. Raises CannotTell unless /proc is that of this pid namespace."""

    def __init__(self) -> None:
        try:
            seen_as = os.readlink("/proc/self")
        except OSError:
            raise CannotTell("/proc is not mounted, so processes cannot be seen") from None
        if seen_as != str(os.getpid()):
            raise CannotTell(
                "/proc belongs to another pid namespace (unshare --mount-proc mounts the right one)"
            )

    def boot(self) -> bytes:
        """The id of this boot."""
        return _read("/proc/sys/kernel/random/boot_id").strip()

    def namespace(self) -> bytes:
        """The id of this pid namespace."""
        return os.readlink(b"/proc/self/ns/pid")[5:-1]  # pid:[4026531836]

    def now(self) -> int:
        """The present in the unit of start times: clock ticks since boot."""
        return self.ticks(time.clock_gettime(time.CLOCK_BOOTTIME))

    def ticks(self, seconds: float) -> int:
        """`seconds` in the unit of start times."""
        return int(seconds * os.sysconf("SC_CLK_TCK"))

    def pids(self) -> "list[int]":
        """Every pid, in the kernel's order."""
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]

    def facts(self, pid: int) -> "Facts | None":
        """What the kernel tells of `pid`, or None if it is gone."""
        try:
            content = _read(f"/proc/{pid}/stat")
        except (FileNotFoundError, ProcessLookupError):
            return None
        except PermissionError:
            raise Unseen(_HIDDEN) from None
        # The name in parentheses may itself hold spaces and parentheses: split after the last.
        fields = content[content.rindex(b")") + 2 :].split()
        return Facts(
            Process(pid, int(fields[19])),
            state=chr(fields[0][0]),
            parent=int(fields[1]),
            group=int(fields[2]),
            session=int(fields[3]),
            kernel=bool(int(fields[6]) & _PF_KTHREAD),
            threads=int(fields[17]),
            name=content[content.index(b"(") + 1 : content.rindex(b")")],
        )

    def command_line(self, pid: int) -> "Words | None":
        """The argument list of `pid`, `()` in the middle of exec, None if it is gone."""
        try:
            content = _read(f"/proc/{pid}/cmdline")
        except (FileNotFoundError, ProcessLookupError):
            return None
        except PermissionError:
            raise Unseen(_HIDDEN) from None
        return _words(content)

    def candidates(self, needle: bytes) -> "Iterator[tuple[int, Words]]":
        """(pid, argument list) of every process whose command line contains `needle`.

        One caught in the middle of exec is read again until it shows; one of this user that
        does not is given with `()`: it could be anything.
        """
        hidden = []
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                content = _read(f"/proc/{name}/cmdline")
            except PermissionError:  # hidepid=1: other users', and our own that are not dumpable
                if self.user(int(name)) == os.geteuid():
                    yield int(name), ()
                continue
            except (FileNotFoundError, ProcessLookupError):
                continue  # gone; anything else (no descriptor left, …) must not pass for that
            if not content:
                hidden.append(int(name))
            elif needle in content:
                yield int(name), _words(content)
        for pid in hidden:
            words = self.after_exec(pid)
            if words is not None and (not words or needle in b"\0".join(words)):
                yield pid, words

    def after_exec(self, pid: int) -> "Words | None":
        """The argument list of `pid`, waited for if it is in the middle of exec.

        None if it is gone, dead, another user's, or in another pid namespace; `()` if it stays
        empty for 5 s.
        """
        deadline, pause = time.monotonic() + EXEC_PATIENCE, _FIRST_PAUSE
        while self._may_have_program(pid):
            try:
                words = self.command_line(pid)
                facts = self.facts(pid)
            except Unseen:  # it has become a program that hidepid hides
                return () if self.user(pid) == os.geteuid() else None
            if words or words is None or facts is None:
                return words or None
            if facts.kernel or facts.state in "ZXx" or self.user(pid) != os.geteuid():
                return None
            if self.is_local(pid) is False:
                return None  # in a container: whatever hangs there is nobody's twin here
            if time.monotonic() > deadline:
                return ()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return self._by_threads(pid)

    def _by_threads(self, pid: int) -> "Words | None":
        """The argument list of a process whose first thread has ended before the others."""
        try:
            if os.stat(f"/proc/{pid}/task").st_nlink <= 3:  # two, and one for each thread
                return None
            for thread in os.listdir(f"/proc/{pid}/task"):
                content = _read(f"/proc/{pid}/task/{thread}/cmdline")
                if content:
                    return _words(content)
        except OSError:  # they have ended, too, or may not be seen
            pass
        return None

    def _may_have_program(self, pid: int) -> bool:
        """False for a kernel thread, what is dead or gone, or another user's: proc_pid_exe(5).

        One system call or two; most of what shows no command line is a kernel thread.
        """
        try:
            os.readlink(f"/proc/{pid}/exe")
        except FileNotFoundError:
            return False
        except OSError:  # it may not be seen
            return self.user(pid) == os.geteuid()
        return True

    def user(self, pid: int) -> "int | None":
        """The effective user of `pid`, or None if it is gone. Told whatever hidepid hides."""
        try:
            return os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return None

    def is_local(self, pid: int) -> "bool | None":
        """True if `pid` is of this pid namespace, False if of one inside it, None if gone.

        Also True where that may not be seen: what is not known to be elsewhere may be here.
        """
        try:
            content = _read(f"/proc/{pid}/status")
        except (FileNotFoundError, ProcessLookupError):
            return None
        except PermissionError:
            return True
        for line in content.split(b"\n"):
            if line.startswith(b"NSpid:"):
                return len(line.split()) == 2  # one pid a namespace, from here inwards: proc(5)
        return True

    def directory(self, pid: int) -> bytes:
        """The working directory of `pid`, by the name it had if it was removed."""
        found = self._link(pid, "cwd")
        kept = found.removesuffix(b" (deleted)")
        return found if kept != found and os.path.lexists(found) else kept

    def executable(self, pid: int) -> "bytes | None":
        """The program file that `pid` runs; None where it may not be seen."""
        try:
            return self._link(pid, "exe").removesuffix(b" (deleted)")
        except Unseen:
            return None

    def _link(self, pid: int, name: str) -> bytes:
        try:
            return os.readlink(f"/proc/{pid}/{name}".encode())
        except OSError as error:
            raise Unseen(f"its {name} may not be read ({error.strerror})") from None

    def variable(self, pid: int, name: bytes) -> "bytes | None":
        """A variable of the environment that `pid` was started with, if it can be seen."""
        try:
            content = _read(f"/proc/{pid}/environ")
        except OSError:
            return None
        if name not in content:
            return None
        for line in content.split(b"\0"):
            if line.startswith(name + b"="):
                return line[len(name) + 1 :]
        return None

    def session_mark(self, pid: int) -> bytes:
        """What the kernel calls the session of `pid`, and no other until the next boot.

        That is its autogroup: made by setsid(2), inherited over fork and exec (sched(7)). Nothing
        where the kernel has none (CONFIG_SCHED_AUTOGROUP) or it may not be seen.
        """
        try:
            return _read(f"/proc/{pid}/autogroup").partition(b" ")[0]  # "/autogroup-25 nice 0"
        except OSError:
            return b""

    def is_alive(self, process: Process) -> bool:
        """True if that very process exists and is not a zombie."""
        facts = visible(self, process.pid)
        return facts is not None and facts.process == process and not facts.is_dead


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = os.read(fd, 65536)
        if len(content) < 65536:
            return content
        parts = [content]
        while content:
            content = os.read(fd, 65536)
            parts.append(content)
        return b"".join(parts)
    finally:
        os.close(fd)


def _words(content: bytes) -> "Words":
    return tuple(content.removesuffix(b"\0").split(b"\0")) if content else ()


def open_table() -> "Table":
    """The process table of this system."""
    system: str = sys.platform
    if system == "linux":
        return LinuxTable()
    from .psutil_table import PsutilTable

    return PsutilTable()


def me(table: "Table") -> Facts:
    """This process's own facts."""
    facts = table.facts(os.getpid())
    if facts is None:
        raise CannotTell("this process cannot see itself in the process table")
    return facts


def visible(table: "Table", pid: int) -> "Facts | None":
    """The facts of a process; None if it is gone, and also if it may not be seen."""
    try:
        return table.facts(pid)
    except Unseen:
        return None


def snapshot(table: "Table") -> "list[Facts]":
    """The facts of every process that is alive."""
    found = (visible(table, pid) for pid in table.pids())
    return [facts for facts in found if facts is not None and not facts.is_dead]


def lineage(table: "Table", facts: Facts) -> "list[Process]":
    """The ancestors of a process, its parent first."""
    found: list[Process] = []
    parent = facts.parent
    while parent and all(parent != process.pid for process in found):
        above = visible(table, parent)
        if above is None or above.process.start > facts.process.start:
            break  # hidden, gone, or its pid given to somebody younger meanwhile
        found.append(above.process)
        facts, parent = above, above.parent
    return found
