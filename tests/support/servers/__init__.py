"""Real servers for tests, each private to the process that starts it, on a free port of loopback.

A server dies with the test process, even if that is killed. What it needs comes from wheels where
wheels exist; `needs.py` says what is missing otherwise.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from support.spawning import KEEP, table
from support.waiting import eventually

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A port of loopback that nobody listens on. Another may take it: start again then."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """One server process and its directory. It can be frozen, killed and started again.

    `command` makes the argument list from the directory and the port; `is_ready` speaks the
    server's own protocol to the port.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[Path, int], Sequence[str | Path]],
        is_ready: Callable[[int], bool],
        env: dict[str, str] | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"lifeline-{name}-", dir="/tmp"))
        self.name = name
        self.port = free_port()
        self._command = command
        self._is_ready = is_ready
        self._env = env or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def start(self) -> None:
        """Start it on its port; returns once it answers."""
        words = [os.fspath(word) for word in self._command(self.directory, self.port)]
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                words,
                env={**os.environ, **self._env},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 -- two plain calls
            )
        KEEP.add(self._process.pid)

        def answers() -> bool:
            assert self._process is not None
            if self._process.poll() is not None:
                said = (self.directory / "output").read_text(errors="replace")
                raise AssertionError(f"{self.name} did not start:\n{said[-2000:]}")
            return self._is_ready(self.port)

        eventually(answers, within=120)

    def signal_all(self, number: int) -> None:
        """A signal to the server and everything that it has forked, whatever session that is in."""
        family = {self.pid}
        while born := {s.pid for s in table() if s.ppid in family} - family:
            family |= born
        for pid in sorted(family):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self) -> None:
        self.signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal_all(signal.SIGCONT)

    def kill(self) -> None:
        """Gone at once, without a word to anybody."""
        self.signal_all(signal.SIGKILL)
        self._reap()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Asked to end, and ended."""
        self.signal_all(number)
        self.signal_all(signal.SIGCONT)
        self._reap()

    def restart(self) -> None:
        """Killed, and back on the same port with the same directory."""
        self.kill()
        self.start()

    def close(self) -> None:
        """Gone, with its directory."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait(120)
        KEEP.discard(self._process.pid)
        self._process = None
