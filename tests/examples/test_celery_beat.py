"""examples/celery_beat: Celery's own beat on two hosts, under a lease in its broker's Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest
import redis

from support.hosts import Host, keeper_of, runner_of
from support.lifelines import LIFELINE
from support.servers import Server, valkey
from support.spawning import Spawner
from support.waiting import eventually

from .conftest import QUICK, path_with

pytestmark = pytest.mark.needs("unshare")
BEAT = ("--name", "beat", "--lock", "env:LOCK_URL", "--wait", *QUICK)


@pytest.fixture
def broker(spawn: Spawner) -> Iterator[Server]:
    server = valkey.new_server()
    yield server
    spawn.end()  # who talks to it goes first
    server.close()


def reminders(broker: Server) -> list[int]:
    """The fence of each message that beat has sent, the oldest first."""
    client = redis.Redis(port=broker.port)
    messages = [json.loads(each) for each in client.lrange("celery", 0, -1)]
    return [int(each["headers"]["argsrepr"].strip("[]")) for each in reversed(messages)]


def test_beat_runs_on_one_of_two_hosts_and_moves_when_that_dies(
    broker: Server,
    programs: Path,
    deploy: Callable[..., Path],
    host: Callable[[str], Host],
) -> None:
    """One sends, the other stands by; the first is killed, the other sends with a later fence."""
    env = {
        "BROKER_URL": f"redis://127.0.0.1:{broker.port}/0",
        "LOCK_URL": f"redis://127.0.0.1:{broker.port}/1?restart_delay=0",
        "PATH": path_with(programs),
    }

    def start(name: str) -> Popen[str]:
        words = [LIFELINE, "run", *BEAT, "--", "celery", "--workdir", deploy("celery_beat", name)]
        return host(name).start(
            *words, "-A", "app", "beat", "--schedule", f"schedule-{name}", **env
        )

    first = start("one")
    before = eventually(lambda: reminders(broker)[1:], within=90)[0]
    second = start("two")
    assert keeper_of(runner_of(second))  # it stands by
    sent = len(reminders(broker))
    eventually(lambda: len(reminders(broker)) > sent + 1, within=120)
    assert set(reminders(broker)) == {before}
    first.kill()
    after = eventually(lambda: [each for each in reminders(broker) if each != before], within=90)[0]
    assert after > before
    assert reminders(broker) == sorted(reminders(broker))  # never one of the first among them
    assert second.poll() is None
