"""Jobs of one test each: the process table belongs to all tests, so each has a path of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from support.lifelines import lifeline
from support.spawning import Spawner


def shell(directory: Path, body: str, name: str = "job.sh") -> list[str]:
    """The words that run `body` with /bin/sh."""
    script = directory / name
    script.write_text(body + "\n")
    return ["/bin/sh", str(script)]


def program(directory: Path, body: str, name: str = "job.py") -> list[str]:
    """The words that run `body` with this Python."""
    script = directory / name
    script.write_text(body)
    return [sys.executable, str(script)]


def happened(spawn: Spawner, *words: str) -> list[dict[str, Any]]:
    """What `lifeline history --json` tells, oldest first."""
    told = lifeline(spawn, "history", "--json", *words)
    assert told.returncode == 0, told.stderr
    return list(map(json.loads, told.stdout.splitlines()))


def private_tmpfs(directory: Path, size: str, *words: str) -> list[str]:
    """The words that start a command where `directory` is a small file system of its own (root)."""
    mount = f'mount -t tmpfs -o size={size} none "$1" && shift && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh", str(directory), *words]
