"""Simultaneous starters, as real processes: in every round exactly one runs.

`python -m bench.election --rounds 10000` plays more of the same.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.election import KINDS, Arena, installed, random_round
from support.lifelines import gate, has_exec, run, unique_sleep
from support.spawning import Spawner
from support.waiting import eventually


@pytest.fixture
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """Where starters have the default for `settle`, or what a test asks for."""
    with tempfile.TemporaryDirectory(prefix="election-") as directory:
        yield Arena(Path(directory), installed(), getattr(request, "param", None))


# Fifty starters on a machine that is busy besides: the limit bounds a failing round only.
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("arena", [60.0], indirect=True)
@pytest.mark.parametrize("seed", range(10))
def test_one_of_many_mixed_starters_runs(arena: Arena, seed: int) -> None:
    """Of 2 to 50 starters, mixed in kind and late in exec, exactly one runs in each round."""
    chance = random.Random(seed)
    for _ in range(6):
        result = random_round(arena, chance)
        assert not result.failure, f"{result.failure}: {result}"


@pytest.mark.parametrize("kind", KINDS)
def test_two_of_one_kind(arena: Arena, kind: str) -> None:
    """Two starters of one kind in the same instant give one runner: neither two nor none."""
    for _ in range(5):
        result = arena.play([kind, kind], [0.0, 0.0])
        assert not result.failure, f"{result.failure}: {result}"


def test_younger_ones_that_leave_one_by_one_are_waited_for(spawn: Spawner, tmp_path: Path) -> None:
    """As on a busy machine: together they take longer than `settle`, which is for each of them."""
    words = unique_sleep()
    environment, opened = gate(tmp_path / "gate")
    oldest = spawn(*run("--settle", "20s", "--", *words), env=environment)
    eventually(lambda: has_exec(oldest.pid, words[1]))
    younger = [spawn(*words) for _ in range(2)]
    for each in younger:
        eventually(lambda pid=each.pid: has_exec(pid, words[1]))  # type: ignore[misc]
    opened.touch()
    for each in younger:
        time.sleep(12)
        each.kill()
        each.wait(60)
    children = Path(f"/proc/{oldest.pid}/task/{oldest.pid}/children")
    eventually(lambda: oldest.poll() is not None or children.read_text())
    assert oldest.poll() is None


@pytest.mark.parametrize("late", KINDS)
def test_an_older_starter_that_comes_late(arena: Arena, late: str) -> None:
    """A starter forked first, but late in exec, finds that somebody younger has decided."""
    for kind in KINDS:
        result = arena.play([late, kind], [0.4, 0.0])
        assert not result.failure, f"{result.failure}: {result}"
