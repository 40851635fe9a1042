"""Machines for tests: a pid namespace and a state directory of their own, and one network."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import Popen
from typing import Any

from support.needs import UNSHARE
from support.spawning import Spawner
from support.waiting import eventually


class Host:
    """A machine: its processes see each other and nobody else's."""

    def __init__(self, spawn: Spawner, directory: Path) -> None:
        self._spawn = spawn
        self.state = directory

    def start(self, *words: str | os.PathLike[str], **env: str) -> Popen[str]:
        """Start a `lifeline` call there; not as its first process, whose end would be its own."""
        shell = ["sh", "-c", '"$@"; exit $?', "sh"]
        return self.here(*UNSHARE, *shell, *words, **env)

    def here(self, *words: str | os.PathLike[str], **env: str) -> Popen[str]:
        """Start one with this host's state, but in the namespace of the test."""
        return self._spawn(*words, env={"LIFELINE_STATE_DIR": str(self.state), **env})

    def run(self, *words: str | os.PathLike[str], **env: str) -> tuple[int, str]:
        """One that is expected to end by itself: exit code and stderr."""
        return ended(self.start(*words, **env))


def ended(process: Popen[Any]) -> tuple[int, str]:
    """Exit code and stderr, once a process has ended by itself."""
    _, err = process.communicate(timeout=90)
    return process.returncode, err


def argv(pid: int) -> list[bytes]:
    """The words of a process; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def below(pid: int) -> list[int]:
    """Every process below, parents first."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, children) for each in (child, *below(child))]


def runner_of(started: Popen[Any]) -> int:
    """The `lifeline run` that a host was started for, as soon as it is one."""

    def is_runner(pid: int) -> bool:  # unshare and the shell above it show the same words
        program, *words = map(os.path.basename, argv(pid) or [b""])
        return b"lifeline" in words and b"python" in program

    return eventually(lambda: next(filter(is_runner, below(started.pid)), 0), within=120)


def keeper_of(runner: int) -> int:
    """The process that holds the lease for a runner."""
    return eventually(
        lambda: next((p for p in below(runner) if b"lifeline.keeping" in b" ".join(argv(p))), 0),
        within=120,
    )


def job_of(runner: int, script: Path) -> int:
    """The job below a runner, by its script."""
    wanted = os.fsencode(script)
    return eventually(
        lambda: next((pid for pid in below(runner) if wanted in argv(pid)), 0), within=120
    )
