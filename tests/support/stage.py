"""A test's own directory, with scripts in it that are commands of no other test.

The process table belongs to all tests that run at the same time, and to whoever else is here.
"""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path
from typing import Any

from support.lifelines import run, tick
from support.spawning import Spawner
from support.waiting import eventually

#: Takes every right from root but that of being root: permissions count, as for anybody.
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


class Stage:
    """Where a test's scripts lie and its processes are started."""

    def __init__(self, directory: Path, spawn: Spawner) -> None:
        self.directory = directory
        self.spawn = spawn
        self.started = directory / "started"
        #: What scripts are called, if nothing is said, and lifelines with a name.
        self.name = f"job-{uuid.uuid4().hex[:12]}"

    def script(self, text: str | bytes, name: str = "", mode: int = 0o755) -> str:
        """The path of a new script."""
        path = self.directory / (name or self.name)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.chmod(mode)
        return str(path)

    def shell(self, text: str, name: str = "") -> str:
        """The path of a new shell script."""
        return self.script(f"#!/bin/sh\n{text}\n", name)

    def sleeper(self, name: str = "", *, stubborn: bool = False) -> str:
        """A shell script that says it has started, and then stays for an hour.

        A `stubborn` one does not care for TERM, nor for the end of its runner that sends it.
        """
        new = f"{self.started}.new"
        said = f"echo $$ >'{new}'; mv '{new}' '{self.started}'"
        if stubborn:
            said = f"trap '' TERM; {said}"
        return self.shell(f"{said}; sleep 3600 & wait", name)

    def running(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """The process of those words, once the sleeper in them has started."""
        process = self.spawn(*words, **options)
        eventually(self.started.exists, within=120)
        return process

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A `lifeline run` of a sleeper, once that has started."""
        return self.running(*run(*words))

    def code(self, *words: str) -> int:
        """The exit code of a `lifeline run`; if lifeline has something to say, it is one line."""
        ended = tick(self.spawn, *words)
        if ended.returncode in (2, 75, 126, 127):
            assert_one_line(ended)
        return ended.returncode


def assert_one_line(ended: subprocess.CompletedProcess[str], *parts: str) -> None:
    """One line on stderr says why, with all `parts` in it; no traceback, nothing on stdout."""
    assert ended.stderr.startswith("lifeline: "), ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.rstrip("\n").isprintable(), ended.stderr
    assert ended.stdout == ""
    for part in parts:
        assert part in ended.stderr, ended.stderr
