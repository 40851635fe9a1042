"""The whole of it on one machine: RQ's queue, the scaler, and a pool of RQ's own workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifeline.scaling import Decision, Scaler
from lifeline.scaling.plugins import make
from support import libraries
from support.servers import valkey
from support.spawning import Spawner
from support.waiting import eventually

# Jobs that say what becomes of them; each lasts until its `go` file is there.
JOBS = """\
import os, sys, time


def work(here, number):
    for word in ("begun", "done"):
        with open(f"{here}/log", "a") as log:
            log.write(f"{word} {number}\\n")
        while word == "begun" and not os.path.exists(f"{here}/go-{number}"):
            time.sleep(0.02)


if __name__ == "__main__":
    from redis import Redis
    from rq import Queue

    queue = Queue("mail", connection=Redis.from_url(sys.argv[1]))
    if sys.argv[2] == "failed":
        print(queue.failed_job_registry.count)
    else:
        import pool_jobs
        for number in sys.argv[3:]:
            queue.enqueue(pool_jobs.work, sys.argv[2], int(number))
"""
LONG = 400.0  # seconds on the scaler's clock: longer than every window of the policy


class Office:
    """A queue of RQ's, a pool of its workers, and a scaler between them with a clock to turn."""

    def __init__(self, python: Path, url: str, here: Path, spawn: Spawner) -> None:
        self.here = here
        self.now = 1_000_000.0
        self._python = python
        self._url = url
        self._spawn = spawn
        (here / "pool_jobs.py").write_text(JOBS)
        rq = [str(python.with_name("rq")), "worker", "--url", url, "--path", str(here)]
        options = {"kind": "pool", "name": f"rq-{here.parent.name}-{here.name}", "busy": "children"}
        command = [*rq, "--name", "mail-{number}", "mail"]
        log = f"{here}/worker-{{number}}.log"
        self.pool: Any = make("target", {**options, "command": command, "log": log, "timeout": 60})
        probe = make("probe", {"kind": "rq", "url": url, "queues": ["mail"], "timeout": 30})
        self._scaler = Scaler(
            probe,
            self.pool,
            [{"at_least": n, "dynos": n} for n in (0, 1, 2, 3, 5)],
            min=0,
            max=5,
            apply=True,
            timeout=30,
            clock=lambda: self.now,
        )

    def python(self, *words: object) -> str:
        done = self._spawn.run(self._python, "pool_jobs.py", self._url, *map(str, words))
        assert done.returncode == 0, done.stderr
        return str(done.stdout).strip()

    def enqueue(self, *numbers: int) -> None:
        self.python(self.here, *numbers)

    def let_go(self, *numbers: int) -> None:
        for number in numbers:
            (self.here / f"go-{number}").touch()
        eventually(lambda: set(numbers) <= set(self.said("done")), within=90)

    def said(self, word: str) -> list[int]:
        """The numbers of the jobs that said a word, sorted; twice if they said it twice."""
        log = self.here / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return sorted(int(number) for said, number in map(str.split, lines) if said == word)

    def has_begun(self, *numbers: int) -> None:
        try:
            eventually(lambda: set(numbers) <= set(self.said("begun")), within=90)
        except AssertionError:
            logs = "".join(each.read_text() for each in self.here.glob("worker-*.log"))
            raise AssertionError(f"{self.said('begun')} have begun:\n{logs[-3000:]}") from None

    def tick(self, later: float = 10.0) -> Decision:
        self.now += later
        return self._scaler.tick()

    def shrinks_to(self, count: int) -> None:
        """Tick until there are so many workers, no fewer on the way."""

        def is_so() -> bool:
            decision = self.tick(LONG)
            assert not decision.failed, decision.reasons
            running = self.pool.read()
            assert running >= count
            return bool(running == count)

        eventually(is_so, within=90, every=0.1)


@pytest.fixture
def office(tmp_path: Path, spawn: Spawner, pytestconfig: pytest.Config) -> Iterator[Office]:
    cache = Path(pytestconfig.cache.mkdir("libraries")) if pytestconfig.cache else Path("/tmp")
    python = libraries.python("most", cache)
    server = valkey.new_server()
    yield Office(python, f"redis://127.0.0.1:{server.port}/0", tmp_path, spawn)
    spawn.end()  # the workers, before their server goes
    server.close()


def test_rqs_workers_go_up_to_five_and_down_to_zero_and_up_again(office: Office) -> None:
    """Every job is done exactly once, none fails: no worker was ended while it was at work."""
    office.enqueue(0, 1, 2, 3, 4)
    decision = office.tick()
    assert (decision.actual, decision.desired, decision.applied) == (0, 5, True)
    assert office.pool.read() == 5
    office.has_begun(0, 1, 2, 3, 4)

    office.let_go(0, 2, 4)
    office.shrinks_to(2)  # two are at work: the idle ones go
    assert (office.tick(LONG).desired, office.pool.busy()) == (2, 2)
    assert office.said("done") == [0, 2, 4]

    office.let_go(1, 3)
    office.shrinks_to(0)

    office.enqueue(5, 6, 7)
    assert office.tick().desired == 3
    assert office.pool.read() == 3
    office.has_begun(5, 6, 7)
    office.let_go(5, 6, 7)
    office.shrinks_to(0)
    eventually(lambda: not office.pool._crew.find(), within=90)

    assert office.said("begun") == office.said("done") == list(range(8))
    assert office.python("failed") == "0"


def test_an_rq_worker_that_is_told_at_work_finishes_its_job(office: Office) -> None:
    """Also where the pool is told to be empty over and over; only then all leave."""
    office.enqueue(0, 1)
    office.tick()
    office.has_begun(0, 1)
    for _ in range(3):
        office.pool.write(0)
        assert (office.pool.read(), len(office.pool._crew.find())) == (0, 2)
    office.enqueue(2)
    office.let_go(0, 1)
    eventually(lambda: not office.pool._crew.find(), within=90)
    assert office.said("done") == [0, 1] and office.said("begun") == [0, 1]  # nobody took the third
    assert office.python("failed") == "0"
