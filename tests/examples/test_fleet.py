"""examples/fleet: two of three hosts work, on a real PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

import psycopg
import pytest

from support.hosts import Host, keeper_of, runner_of
from support.lifelines import LIFELINE, lifeline
from support.servers import postgres
from support.spawning import Spawner
from support.waiting import eventually

from .conftest import QUICK, path_with

pytestmark = pytest.mark.needs("unshare", "postgres")


class Part(NamedTuple):
    """One slot's part of the work: how much is done, and by which fence."""

    done: int
    fence: int


def parts(url: str) -> dict[int, Part]:
    """What the table says of each slot."""
    with psycopg.connect(url, autocommit=True) as database:
        if database.execute("SELECT to_regclass('part')").fetchone() == (None,):
            return {}
        rows = database.execute("SELECT slot, done, fence FROM part").fetchall()
    return {slot: Part(done, fence) for slot, done, fence in rows}


def test_two_of_three_work_and_the_third_replaces_one_that_dies(
    deploy: Callable[..., Path], host: Callable[[str], Host], spawn: Spawner
) -> None:
    """Each host has a part; when one is killed, the one that stood by works on its part."""
    url = postgres.server().url(postgres.server().fresh_database())
    env = {"DATABASE_URL": url, "PATH": path_with(Path(sys.executable).parent)}
    assert lifeline(spawn, "lock", "setup", "env:DATABASE_URL", env=env).returncode == 0
    config = deploy("fleet") / "lifeline.toml"

    def start(name: str) -> Popen[str]:
        return host(name).start(LIFELINE, "run", "worker", *QUICK, "--config", config, **env)

    first = start("one")
    (gone,) = eventually(lambda: parts(url), within=90, every=0.1)
    second = start("two")
    eventually(lambda: len(parts(url)) == 2, within=90, every=0.1)
    third = start("three")
    assert keeper_of(runner_of(third))  # it stands by
    before = parts(url)
    first.kill()

    eventually(lambda: parts(url)[gone].fence > before[gone].fence, within=90, every=0.1)
    kept = 1 - gone
    assert parts(url)[kept].fence == before[kept].fence
    now = parts(url)
    eventually(lambda: all(parts(url)[slot].done > now[slot].done for slot in now), within=120)
    assert second.poll() is None and third.poll() is None
