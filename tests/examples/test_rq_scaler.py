"""examples/rq_scaler: RQ's own workers, as many as there is work, on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.hosts import Host
from support.lifelines import LIFELINE
from support.servers import Server, valkey
from support.spawning import Spawner
from support.waiting import eventually

from .conftest import path_with

pytestmark = [pytest.mark.needs("unshare"), pytest.mark.timeout(300)]
JOBS = 9


@pytest.fixture
def queue(spawn: Spawner) -> Iterator[Server]:
    server = valkey.new_server()
    yield server
    spawn.end()
    server.close()


def test_workers_come_with_the_work_and_go_with_it(
    queue: Server,
    programs: Path,
    deploy: Callable[..., Path],
    host: Callable[[str], Host],
    spawn: Spawner,
) -> None:
    """None before there are jobs, three for nine of them, none when all are done, once each."""
    here = deploy("rq_scaler")
    env = {"REDIS_URL": f"redis://127.0.0.1:{queue.port}/0", "PATH": path_with(programs)}
    words = ["env", f"--chdir={here}", LIFELINE, "scale", "run"]
    scaler = host("one").start(*words, **env)
    assert scaler.stdout

    def told(change: str) -> None:
        for line in scaler.stdout or ():
            if re.search(rf" mail: {change}\b", line):
                return
        raise AssertionError(f"no {change}: {scaler.communicate()}")

    told("0, as it is")
    # All at once: a tick that saw the first of them only would start one worker, which might be
    # done with them before a machine that is busy has added the fourth.
    added = spawn.run(programs / "python", "jobs.py", str(JOBS), cwd=here, env=env)
    assert added.returncode == 0, added.stderr
    told(r"\d -> 3")
    sent = here / "sent.log"
    eventually(lambda: sent.exists() and len(sent.read_text().split()) >= JOBS, within=120)
    told(r"\d -> 0")
    assert sorted(map(int, sent.read_text().split())) == list(range(JOBS))
