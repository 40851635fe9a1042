"""A real cron that is all ours, and the journals that its jobs keep.

Cron gets a mount namespace of its own with an empty /etc/crontab, /etc/cron.d, spool and /run, so
that the machine's own crontabs and its own cron, if it runs, are neither seen nor disturbed. Its
jobs, which it takes from a file through the real crontab(1), see all the other files as they are.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.needs import faketime_library, which
from support.spawning import Spawner

_PRIVATE = """
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mount -t tmpfs none /etc/cron.d
mount -t tmpfs none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
chgrp crontab /var/spool/cron/crontabs
if [ -e /etc/crontab ]; then touch /run/nothing; mount --bind /run/nothing /etc/crontab; fi
crontab "$1"
shift
exec env "$@"
"""


def start_cron(spawn: Spawner, crontab: Path, speed: int = 1) -> subprocess.Popen[Any]:
    """Start cron for root's `crontab`, its clock `speed` times as fast; its jobs' is the real one.

    Cron hands neither LD_PRELOAD nor anything else of its own environment on to a job.
    """
    fast = [f"LD_PRELOAD={faketime_library()}", f"FAKETIME=+0 x{speed}"] if speed > 1 else []
    cron = which("cron")
    assert cron
    private = ["unshare", "--mount", "sh", "-euc", _PRIVATE, "sh", str(crontab)]
    return spawn(*private, *fast, cron, "-f", "-L", "15", stdout=None, stderr=None)


def installed(command: str) -> str:
    """Where the environment that runs the tests has `command`; cron's PATH does not lead there."""
    path = Path(sys.executable).with_name(command)
    assert path.exists(), f"{path} is not installed"
    return str(path)


class Journal:
    """What a job, and others about it, wrote to one file, in the order in which they wrote it.

    `PID start`, `PID alive` over and over, `PID end` if it could; `tick` and `exit STATUS` are
    written by the crontab, `killed` by whoever killed something once that was dead. The order of
    appended lines is the order of events, so nothing here depends on a clock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[str]:
        """Every whole line."""
        text = self.path.read_text() if self.path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()

    def append(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{line}\n")

    def ticks(self) -> int:
        return self.lines().count("tick")

    def runs(self) -> list[int]:
        """The pid of each run, in order. AssertionError if two of them ever ran together."""
        return runs(self.lines())


def runs(lines: list[str]) -> list[int]:
    """The pid of each run in a journal, in order. AssertionError if two of them ran together.

    If they did, the lines of one stand between lines of the other.
    """
    found: list[int] = []
    for pid, _ in _of_jobs(lines):
        if not found or found[-1] != pid:
            assert pid not in found, f"{pid} and {found[-1]} ran together: {lines}"
            found.append(pid)
    return found


def gaps(lines: list[str]) -> list[int]:
    """The ticks, counted from 1, in a journal after which nothing ran until the next one."""
    found, tick, seen = [], 0, True
    for line in lines:
        if line == "tick":
            if not seen:
                found.append(tick)
            tick, seen = tick + 1, False
        seen = seen or _is_alive(line)
    return found


def ticks_until_back(lines: list[str]) -> list[int]:
    """For each kill in a journal, how many ticks passed until the next start."""
    found: list[int] = []
    waiting = None
    for line in lines:
        if line == "killed":
            waiting = 0
        elif waiting is not None and line == "tick":
            waiting += 1
        elif waiting is not None and line.endswith(" start"):
            found.append(waiting)
            waiting = None
    return found


def _of_jobs(lines: list[str]) -> Iterator[tuple[int, str]]:
    for line in lines:
        if line[:1].isdigit():
            pid, _, event = line.partition(" ")
            yield int(pid), event


def _is_alive(line: str) -> bool:
    return line.endswith((" start", " alive"))
