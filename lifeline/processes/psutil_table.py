"""The process table through psutil: macOS and every system without Linux's /proc.

Start times are psutil's creation times in hundredths of a second since boot, the unit of
/proc/PID/stat, so that run records mean the same through both tables.
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil

from .table import EXEC_PATIENCE, Facts, Process, Unseen, visible

_TICKS = 100
_LETTERS = {
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_DEAD: "X",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_TRACING_STOP: "t",
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_DISK_SLEEP: "D",
}
_Value = TypeVar("_Value")


class PsutilTable:
    """The table through psutil; the methods are those of `table.Table`."""

    def boot(self) -> bytes:
        """A text that changes with each boot: its time, to the second."""
        return b"booted-%d" % round(psutil.boot_time())

    def namespace(self) -> bytes:
        """Systems without pid namespaces have one."""
        return b"all"

    def now(self) -> int:
        return self._since_boot(time.time())

    def ticks(self, seconds: float) -> int:
        return int(seconds * _TICKS)

    def pids(self) -> list[int]:
        return psutil.pids()

    def facts(self, pid: int) -> Facts | None:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                status = process.status()
                return Facts(
                    Process(pid, self._since_boot(process.create_time())),
                    state=_LETTERS.get(status, "S"),
                    parent=process.ppid(),
                    group=_asked(os.getpgid, pid),
                    session=_asked(os.getsid, pid),
                    kernel=False,
                    threads=1,
                    name=os.fsencode(process.name())[:15],
                )
        except psutil.NoSuchProcess:
            return None
        except psutil.AccessDenied:
            raise Unseen("its state may not be read") from None

    def command_line(self, pid: int) -> tuple[bytes, ...] | None:
        try:
            return tuple(os.fsencode(word) for word in psutil.Process(pid).cmdline())
        except psutil.ZombieProcess:
            return ()
        except psutil.NoSuchProcess:
            return None
        except psutil.AccessDenied:
            raise Unseen("its command line may not be read") from None

    def after_exec(self, pid: int) -> tuple[bytes, ...] | None:
        deadline = time.monotonic() + EXEC_PATIENCE
        while True:
            words = self.command_line(pid)
            if words or words is None:
                return words
            facts = self.facts(pid)
            if facts is None or facts.is_dead or self.user(pid) != os.geteuid():
                return None
            if not self.executable(pid) and self.command_line(pid) == ():
                return None  # a process of the system's own, without a program
            if time.monotonic() > deadline:
                return ()
            time.sleep(0.002)

    def candidates(self, needle: bytes) -> Iterator[tuple[int, tuple[bytes, ...]]]:
        for pid in psutil.pids():
            try:
                words = self.command_line(pid)
                if words == ():
                    words = self.after_exec(pid)
            except Unseen:
                if self.user(pid) == os.geteuid():
                    yield pid, ()
                continue
            if words is not None and (not words or needle in b"\0".join(words)):
                yield pid, words

    def user(self, pid: int) -> int | None:
        return _seen(lambda: int(psutil.Process(pid).uids().effective))

    def is_local(self, pid: int) -> bool | None:
        return True if psutil.pid_exists(pid) else None

    def directory(self, pid: int) -> bytes:
        found = _seen(lambda: os.fsencode(psutil.Process(pid).cwd()))
        if not found:
            raise Unseen("its working directory may not be read")
        return found

    def executable(self, pid: int) -> bytes | None:
        found = _seen(lambda: os.fsencode(psutil.Process(pid).exe()))
        return found.removesuffix(b" (deleted)") if found else None

    def variable(self, pid: int, name: bytes) -> bytes | None:
        found = _seen(lambda: psutil.Process(pid).environ().get(os.fsdecode(name)))
        return None if found is None else os.fsencode(found)

    def session_mark(self, pid: int) -> bytes:
        return b""  # Linux alone has one

    def is_alive(self, process: Process) -> bool:
        facts = visible(self, process.pid)
        return facts is not None and facts.process == process and not facts.is_dead

    def _since_boot(self, seconds: float) -> int:
        return round((seconds - psutil.boot_time()) * _TICKS)


def _seen(ask: Callable[[], _Value]) -> _Value | None:
    """The answer, or None where the process is gone or may not be asked."""
    try:
        return ask()
    except psutil.Error:
        return None


def _asked(ask: Callable[[int], int], pid: int) -> int:
    try:
        return ask(pid)
    except OSError:  # gone, or another user's where that is hidden
        return 0
