"""Programs that call exclusive(), a store for them, and who holds what in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

import lifeline
from lifeline.leases.port import Backend, Seen
from lifeline.leases.stores import open_store
from support import libraries
from support.lifelines import Work
from support.servers import valkey
from support.spawning import Spawner
from support.stores import STORES
from support.waiting import eventually

NAME = "a name; with 'quotes'"

# `turn` is what most programs run: it says "start" and, once it is told to stop, "end". "overlap"
# is said if the slot's work is done elsewhere at the same time.
_HEAD = f"""\
import json
import lifeline
from lifeline import LeaseLost, exclusive

NAME = {NAME!r}
URL = os.environ["URL"]


def until(name):
    while not os.path.exists(HERE + "/" + name):
        time.sleep(0.01)


def turn(lease):
    with hold_turn(lease):
        say("start")
        while lease.sleep(60):
            pass
        say("end")


class hold_turn:
    def __init__(self, lease):
        self.file = os.open(HERE + f"/turn.{{lease.slot}}", os.O_RDWR | os.O_CREAT, 0o666)

    def __enter__(self):
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("overlap")

    def __exit__(self, *_):
        os.close(self.file)


def tell(value):
    print(json.dumps(value), flush=True)


"""


class Fleet:
    """Processes of one program, and the store that they share."""

    def __init__(self, spawn: Spawner, directory: Path, url: str, body: str) -> None:
        self.url = url
        self.work = Work(directory, _HEAD + body)
        self.env = {"URL": url}
        self._spawn = spawn
        self._store: Backend | None = None
        self._processes: list[Popen[str]] = []

    def start(self, count: int = 1, *words: str) -> list[Popen[str]]:
        """So many processes more."""
        begun = [self._spawn(*self.work.argv, *words, env=self.env) for _ in range(count)]
        self._processes += begun
        return begun

    def wait_for(self, word: str, times: int = 1) -> list[int]:
        """The pids of those that said `word`, once it was said so often."""

        def is_said() -> bool:
            for each in self._processes:
                if each.poll() and each.returncode > 0 and each.stderr:
                    raise AssertionError(each.stderr.read())
            return len(self.work.said(word)) >= times

        eventually(is_said, within=120)
        return self.work.said(word)

    def started(self, times: int = 1) -> list[int]:
        """The pids of all that began their work, once so many have; never two at once in a slot."""
        pids = self.wait_for("start", times)
        self.check(times)
        return pids

    def check(self, starts: int) -> None:
        assert self.work.said("overlap") == [], self.work.lines()
        assert len(self.work.said("start")) == starts, self.work.lines()

    @property
    def store(self) -> Backend:
        if self._store is None:
            self._store = open_store(self.url)
        return self._store

    def holders(self, name: str = NAME) -> list[Seen]:
        return self.store.holders(name)

    def pids(self) -> list[int]:
        """Who holds a slot by what the store shows; 0 for one that has yet to write who it is."""
        return sorted(int(seen.info.get("pid", 0)) for seen in self.holders())

    def close(self) -> None:
        if self._store:
            self._store.close()


Fleets = Callable[..., Fleet]


@pytest.fixture
def fleet(spawn: Spawner, tmp_path: Path) -> Iterator[Fleets]:
    """Makes the fleet of a program: its body, and the URL of its store (Redis by default)."""
    made: list[Fleet] = []

    def make(body: str, url: str | None = None) -> Fleet:
        directory = tmp_path / f"work{len(made)}"
        made.append(Fleet(spawn, directory, url or valkey.fresh(), body))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(params=["file", "postgres-session", "redis", "dynamodb"])
def url(request: pytest.FixtureRequest) -> str:
    """A fresh store of each kind: one that frees a lease at once, one that lets it run out, …"""
    return STORES[request.param]()


@pytest.fixture
def environment(pytestconfig: pytest.Config, tmp_path: Path) -> Callable[[str], tuple[Path, str]]:
    """The directory of programs of an environment of `support.libraries`, and a PYTHONPATH.

    That leads to lifeline and to nothing else of the suite's own environment.
    """
    cache = Path(pytestconfig.cache.mkdir("libraries")) if pytestconfig.cache else Path("/tmp")
    path = tmp_path / "path"
    path.mkdir()
    (path / "lifeline").symlink_to(Path(lifeline.__file__).parent)
    return lambda name: (libraries.python(name, cache).parent, str(path))


def end(process: Popen[str]) -> None:
    """Ask it to end, and see that it does so in order."""
    process.terminate()
    assert process.wait(120) == 0, process.stderr and process.stderr.read()


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def by_pid(processes: list[Popen[str]], pid: int) -> Popen[str]:
    return next(each for each in processes if each.pid == pid)


def others(processes: list[Popen[str]], pid: int) -> list[Popen[str]]:
    return [each for each in processes if each.pid != pid]
