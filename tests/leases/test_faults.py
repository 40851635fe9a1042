"""Two hosts, one lease, and everything that can go wrong: no two jobs at once.

The rounds of a store run side by side, each with servers of its own: most of their time is waiting
for leases to run out. `python -m bench.faults` plays more of them.
"""

from __future__ import annotations

import pytest

from support.faulting import NOBODY, PASSED, QUICK, STAGES, Outcome, play_all

_MORE_ROUNDS = 2  # of what passed on a lease though it need not have
pytestmark = [pytest.mark.needs("unshare", "postgres"), pytest.mark.timeout(600)]


@pytest.mark.parametrize("store", STAGES)
def test_no_two_jobs_at_once(store: str) -> None:
    """Whatever is killed, stopped, cut off or forgotten, one job has ended before the next begins.

    Where a whole host was stopped, its late lines are refused by who checks fences.
    """
    outcomes = _play(store, list(QUICK[store]))
    assert not [each.fault for each in outcomes if each.note == NOBODY]
    assert len(outcomes) == len(QUICK[store])
    # A machine that is too busy to renew in time loses a lease without a fault, but not each time.
    for _ in range(_MORE_ROUNDS):
        lost = [each.fault for each in outcomes if each.note == PASSED]
        outcomes = _play(store, lost) if lost else []
    assert not [each.fault for each in outcomes if each.note == PASSED]


def _play(store: str, faults: list[str]) -> list[Outcome]:
    outcomes = list(play_all([(store, fault) for fault in faults], at_once=6))
    assert not [f"{each.fault}: {each.broken}" for each in outcomes if each.broken]
    assert not [f"{each.fault}: {each.overlaps}" for each in outcomes if each.overlaps]
    assert not [each.fault for each in outcomes if each.admitted_late]
    return outcomes


def test_an_overlap_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease whose holder does not stop in time is caught by this very harness."""
    monkeypatch.setenv("LIFELINE_FAULTING_BROKEN", "1")
    (outcome,) = play_all([("redis", "stop keeper")])
    assert outcome.overlaps
    assert outcome.late
