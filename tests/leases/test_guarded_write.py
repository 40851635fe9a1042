"""The worked example: a frozen holder, its successor, and the write that comes too late."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from support.lifelines import line
from support.servers import postgres
from support.spawning import Spawner

EXAMPLE = Path(__file__).parents[2] / "examples" / "guarded_write.py"

pytestmark = pytest.mark.needs("postgres")


def test_the_write_of_a_frozen_holder_is_refused(spawn: Spawner) -> None:
    """Thawed after another has written, the first holder's write changes nothing."""
    url = postgres.server().url(postgres.server().fresh_database())
    postgres.set_up(url)
    first = spawn(sys.executable, EXAMPLE, url, "6")
    assert line(first).startswith("writing with fence")
    os.kill(first.pid, signal.SIGSTOP)
    # The lock is the frozen one's session's: an operator, or keepalives, end that.
    second = spawn(sys.executable, EXAMPLE, url, "6")
    postgres.server().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted",
        url.rpartition("/")[2],
    )
    assert line(second).startswith("writing with fence")
    assert line(second) == "written"
    os.kill(first.pid, signal.SIGCONT)
    assert line(first) == "refused: too late"
    assert first.wait(120) == 76
    assert second.wait(120) == 0
