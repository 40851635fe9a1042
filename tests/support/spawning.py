"""Real processes for tests, with the promise that none of them outlives its test.

A test about processes makes orphans, daemons, new sessions, changed titles and emptied environments
on purpose. Two traces find them all:

- descent: this process is the subreaper, so an orphan does not leave the family, it becomes a child
  of this process. That also means that orphans are reaped: process 1 of some containers never does.
- a marker in the environment, for what somebody else started on the test's behalf.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

MARKER = "LIFELINE_TEST_ID"
#: Direct children of the test process that are not a test's own: a server that outlives the test
#: which happens to start it. One that a session fixture started before the test needs no entry.
KEEP: set[int] = set()

_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """From now on, orphans among this process's descendants become its children."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


class Seen(NamedTuple):
    """One line of the process table, as /proc/PID/stat has it."""

    pid: int
    state: str
    ppid: int
    pgid: int
    sid: int
    started: int
    name: str  # of the program, its first 15 bytes; a zombie has it, too

    @property
    def identity(self) -> tuple[int, int]:
        """What stays the same for as long as it is that process: a pid alone is used again."""
        return self.pid, self.started


def look(pid: int) -> Seen | None:
    """The process as it is now; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            before, _, after = file.read().rpartition(b")")  # the name may hold anything
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields, name = after.split(), os.fsdecode(before.partition(b"(")[2])
    state, ppid, pgid, sid = fields[:4]
    return Seen(pid, state.decode(), int(ppid), int(pgid), int(sid), int(fields[19]), name)


def alive(pid: int) -> bool:
    """Does a process with this pid run? A zombie does not: it only waits to be reaped."""
    seen = look(pid)
    return seen is not None and seen.state not in "ZX"


def table() -> Iterator[Seen]:
    """Every process there is, zombies too."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (seen := look(int(name))):
            yield seen


def _environment(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:  # gone, a zombie, or another user's
        return b""


class Spawner:
    """Starts real processes for one test: `process = spawn("sleep", "60")`."""

    def __init__(self, cwd: str | os.PathLike[str]) -> None:
        self.id = uuid.uuid4().hex
        self.cwd = cwd
        self._started: list[subprocess.Popen[Any]] = []
        self._others = {seen.identity for seen in table()}

    def __call__(
        self, *argv: str | os.PathLike[str], env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[Any]:
        """Start `argv` in a session of its own.

        `env` is added to the environment; `options` go to Popen.
        """
        options.setdefault("cwd", self.cwd)
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        options.setdefault("start_new_session", True)
        options.setdefault("text", True)
        process = subprocess.Popen(
            [os.fspath(arg) for arg in argv],
            env={**os.environ, MARKER: self.id, **(env or {})},
            **options,
        )
        self._started.append(process)
        return process

    def run(
        self, *argv: str | os.PathLike[str], timeout: float = 120.0, **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Start `argv` and wait for its end, at most `timeout` seconds."""
        process = self(*argv, **options)
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def mine(self) -> list[Seen]:
        """Every process of this test that is still in the table, zombies too."""
        marker = f"{MARKER}={self.id}".encode()
        new = [s for s in table() if s.identity not in self._others and s.pid not in KEEP]
        found = [s for s in new if marker in _environment(s.pid).split(b"\0")]
        parents = {os.getpid(), *(seen.pid for seen in found)}
        while born := [s for s in new if s.ppid in parents and s not in found]:
            found += born
            parents = {seen.pid for seen in born}
        return found

    def end(self, within: float = 60.0) -> None:
        """Kill and reap everything of this test; AssertionError if that takes `within` seconds."""
        deadline = time.monotonic() + within
        while left := self.mine():
            if time.monotonic() > deadline:
                raise AssertionError(f"cannot be ended: {left}")
            for seen in left:
                self._end_one(seen)
            time.sleep(0.002)
        for process in self._started:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()

    def _end_one(self, seen: Seen) -> None:
        with suppress(ProcessLookupError):
            os.kill(seen.pid, signal.SIGKILL)  # also in state Z: other threads may go on
        for process in self._started:
            if process.pid == seen.pid and process.returncode is None:
                process.poll()  # subprocess wants to reap its own, or the exit status is lost
                return
        with suppress(ChildProcessError):  # not our child yet: it will be when its parent is dead
            os.waitpid(seen.pid, os.WNOHANG)
