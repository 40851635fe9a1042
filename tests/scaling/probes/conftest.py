"""Queues that real libraries fill and real workers empty, on servers of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import redis

from lifeline.scaling.errors import ProbeError
from lifeline.scaling.sample import Sample
from support import libraries
from support.servers import Server, postgres, valkey
from support.spawning import Spawner
from support.waiting import eventually

_databases = count()
APPS = Path(__file__).parent / "apps"


class App:
    """One of the programs in `apps`, at one broker."""

    def __init__(self, name: str, python: Path, url: str, spawn: Spawner, here: Path) -> None:
        self.script = APPS / f"{name}.py"
        self.bin = python.parent
        self.here = here
        self._python = python
        self._spawn = spawn
        self.env = {
            "URL": url,
            "JOBS": str(here),
            "PYTHONPATH": str(APPS),
            "PYTHONWARNINGS": "ignore",
        }

    def run(self, *words: str) -> None:
        """Run the program with these words to its end."""
        done = self._spawn.run(self._python, self.script, *words, env=self.env)
        assert done.returncode == 0, done.stderr

    def start(self, *words: str | Path) -> int:
        """Start the program, or the library's own if the first word is a path: its pid."""
        argv = words if isinstance(words[0], Path) else (self._python, self.script, *words)
        with (self.here / "output").open("ab") as output:
            process = self._spawn(*argv, env=self.env, stdout=output, stderr=output)
        return process.pid

    def wait_for_jobs(self, count: int) -> None:
        """Until so many jobs have begun."""
        try:
            eventually(lambda: len(list(self.here.glob("began-*"))) >= count, within=120)
        except AssertionError:
            said = (self.here / "output").read_text(errors="replace")
            raise AssertionError(f"no {count} jobs have begun:\n{said[-3000:]}") from None

    def let_go(self) -> None:
        (self.here / "go").touch()


@pytest.fixture(scope="session")
def python(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """The interpreter of an environment of `support.libraries`."""
    cache = Path(pytestconfig.cache.mkdir("libraries")) if pytestconfig.cache else Path("/tmp")
    return lambda name: libraries.python(name, cache)


@pytest.fixture
def app(python: Callable[[str], Path], spawn: Spawner, tmp_path: Path) -> Callable[..., App]:
    """Makes an App: `app("rq_app", url)`."""

    def make(name: str, url: str, environment: str = "most", **env: str) -> App:
        made = App(name, python(environment), url, spawn, tmp_path)
        made.env.update(env)
        return made

    return make


@pytest.fixture
def broker() -> Iterator[Server]:
    """A Valkey of its own for a test that freezes it or changes its rights."""
    server = valkey.new_server()
    yield server
    server.close()


@pytest.fixture
def redis_url(spawn: Spawner) -> Iterator[str]:
    """The URL of a database with nothing in it, on the server of all tests of this process."""
    url = f"redis://127.0.0.1:{valkey.server().port}/{next(_databases) % 15 + 1}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        spawn.end()  # who would go on writing
        client.flushdb()


@pytest.fixture
def database() -> str:
    """The URL of a PostgreSQL database with nothing in it, whose sessions live in New York."""
    name = postgres.server().fresh_database()
    postgres.server().execute(f"ALTER DATABASE {name} SET timezone TO 'America/New_York'")
    return postgres.server().url(name)


@pytest.fixture
def settles() -> Callable[..., None]:
    """Waits until a probe says exactly this, whatever the age of the oldest job."""

    def wait(probe: Callable[[], Sample], expected: Sample) -> None:
        seen: list[object] = []

        def is_so() -> bool:
            try:
                seen.append(replace(probe(), oldest_age=None))
            except ProbeError as error:
                seen.append(error)
            return seen[-1] == expected

        try:
            eventually(is_so, within=120, every=0.05)
        except AssertionError:
            raise AssertionError(f"still {seen[-1]}, not {expected}") from None

    return wait
