"""The examples, started as their first lines say."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

import lifeline
from lifeline.leases.stores import open_store
from support.hosts import below
from support.servers import valkey
from support.spawning import Spawner
from support.waiting import eventually

from .conftest import end

pytestmark = pytest.mark.timeout(300)  # the first of these tests may have to install the servers

EXAMPLES = Path(__file__).parents[2] / "examples"


class Example:
    """An example that is started where it is, in a fleet of its own; its output goes to a file."""

    def __init__(self, spawn: Spawner, here: Path, programs: Path, path: str) -> None:
        self.url = valkey.fresh()
        self.socket = here / "socket"
        self._output = here / "output"
        self._programs = programs
        self._spawn = spawn
        self._env = {"LIFELINE_LOCK": self.url, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, program: str, *words: str | Path, cwd: Path = EXAMPLES) -> Popen[str]:
        with self._output.open("ab") as output:
            return self._spawn(
                *(self._programs / program, *words),
                env=self._env,
                cwd=cwd,
                stdout=output,
                stderr=output,
            )

    def run(self, program: str, *words: str, cwd: Path) -> tuple[int, str]:
        done = self._spawn.run(self._programs / program, *words, env=self._env, cwd=cwd)
        return done.returncode, done.stdout + done.stderr

    def serve(self, app: str, directory: str, *options: str) -> Popen[str]:
        bind = f"--bind=unix:{self.socket}"
        words = ["--no-control-socket", "--workers=3", bind, *options, app]
        return self.start("gunicorn", *words, cwd=EXAMPLES / directory)

    def ask(self) -> Any:
        """What one of the workers answers to GET /."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(30)
            line.connect(str(self.socket))
            connection = http.client.HTTPConnection("localhost")
            connection.sock = line
            connection.request("GET", "/")
            return json.loads(connection.getresponse().read())

    def holder(self, name: str) -> int:
        """The pid of whoever holds the lease, once somebody does."""
        store = open_store(self.url)
        try:
            (seen,) = eventually(lambda: store.holders(name), within=120)
        except AssertionError:
            raise AssertionError(self._output.read_text()) from None
        finally:
            store.close()
        return int(seen.info["pid"])

    def say(self, name: str, payload: str) -> int:
        return lifeline.signal(name, payload, store=self.url, wait=60, acknowledge=True)

    def said(self, line: str) -> bool:
        return line in self._output.read_text().splitlines()

    def wait_for(self, line: str) -> None:
        eventually(lambda: self.said(line), within=120)


@pytest.fixture
def example(
    spawn: Spawner, tmp_path: Path, environment: Callable[[str], tuple[Path, str]]
) -> Example:
    return Example(spawn, tmp_path, *environment("web"))


def test_the_plain_worker(example: Example) -> None:
    """Three of it: one ticks and hears; when it ends, another one does."""
    workers = [example.start("python", "plain_worker.py") for _ in range(3)]
    for worker in workers:
        example.wait_for(f"{worker.pid} works")
    seen = []
    for _ in workers:
        pid = eventually(lambda: next(iter({example.holder("ticker")} - set(seen)), 0), within=120)
        seen.append(pid)
        example.wait_for(f"{pid} ticks")
        assert example.say("ticker", "hi ho silver!") == 1
        example.wait_for(f"{pid} heard hi ho silver!")
        for other in {worker.pid for worker in workers} - set(seen):
            assert not example.said(f"{other} ticks")
        end(next(worker for worker in workers if worker.pid == pid))
    assert sorted(seen) == sorted(worker.pid for worker in workers)


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_flask_under_gunicorn(example: Example, options: tuple[str, ...]) -> None:
    """One of three workers reports; what is signalled reaches it and no other."""
    server = example.serve("app:app", "flask_gunicorn", *options)
    pid = example.holder("slow requests")
    assert pid in below(server.pid)
    assert example.say("slow requests", "0.25") == 1
    answers: dict[int, Any] = {}

    def all_have_answered() -> bool:
        answer = example.ask()
        answers[answer.pop("pid")] = answer
        return len(answers) == 3 and answers[pid]["slow"] == 0.25

    eventually(all_have_answered, within=120)
    assert answers.pop(pid) == {"reports": True, "slow": 0.25}
    assert list(answers.values()) == [{"reports": False, "slow": 1.0}] * 2


def test_django(example: Example) -> None:
    """One of three workers reads the news that a management command tells; when that one ends,
    another does."""
    place = EXAMPLES / "django_exclusive"
    assert example.run("python", "manage.py", "say", "early", cwd=place)[0] == 1
    server = example.serve("shop.wsgi", "django_exclusive")
    pid = example.holder("news")
    assert pid in below(server.pid)
    example.wait_for(f"{pid} reads the news")
    assert example.run("python", "manage.py", "say", "one", cwd=place) == (0, "it was heard\n")
    example.wait_for(f"{pid} read one")
    os.kill(pid, signal.SIGTERM)
    successor = eventually(lambda: next(iter({example.holder("news")} - {pid}), 0), within=120)
    assert successor in below(server.pid)
    example.wait_for(f"{successor} reads the news")
    assert example.say("news", "two") == 1
    example.wait_for(f"{successor} read two")


def test_django_without_another_server(example: Example) -> None:
    """`manage.py runserver` is one process that serves, and so one that reads the news."""
    words = ("manage.py", "runserver", "--noreload", "127.0.0.1:0")
    server = example.start("python", *words, cwd=EXAMPLES / "django_exclusive")
    assert example.holder("news") == server.pid
