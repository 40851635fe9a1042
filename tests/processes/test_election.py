"""Simultaneous starters, as real processes: in every round exactly one runs.

`python -m bench.election --rounds 10000` plays more of the same.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.election import KINDS, Arena, installed, random_round


@pytest.fixture
def arena() -> Iterator[Arena]:
    with tempfile.TemporaryDirectory(prefix="election-") as directory:
        yield Arena(Path(directory), installed())


@pytest.mark.timeout(600)
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


@pytest.mark.parametrize("late", KINDS)
def test_an_older_starter_that_comes_late(arena: Arena, late: str) -> None:
    """A starter forked first, but late in exec, finds that somebody younger has decided."""
    for kind in KINDS:
        result = arena.play([late, kind], [0.4, 0.0])
        assert not result.failure, f"{result.failure}: {result}"
