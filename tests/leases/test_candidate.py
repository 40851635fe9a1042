"""When one who stands by asks, and what it asks for. Pure: the clock is a number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lifeline.leases.candidate import POLL, Candidate, Observations
from lifeline.leases.port import Granted, Seen, Taken
from lifeline.leases.terms import Terms

OWNER = "5f" * 16
CHANCES = st.floats(0, 1)
TERMS = Terms(10.0, grace=2.0)


def seen(slot: int = 0, version: str = "", left: float | None = None, ttl: float = 10.0) -> Seen:
    return Seen("turn", slot, 3, "another", 7, ttl, {}, left, version)


def candidate(observations: Observations | None = None, terms: Terms = TERMS) -> Candidate:
    return Candidate("turn", 3, OWNER, terms, {"host": "here"}, observations)


@given(
    st.lists(
        st.tuples(st.floats(0.01, 20), st.integers(0, 2), st.sampled_from("abc"), CHANCES),
        max_size=40,
    ),
    st.floats(1, 30),
)
def test_nothing_is_asked_for_that_was_not_seen_unchanged_for_its_ttl(
    steps: list[tuple[float, int, str, float]], ttl: float
) -> None:
    """Whatever versions come and go, in whatever rhythm: the ttl is that of the holder."""
    one, now = candidate(), 1000.0
    history: dict[int, list[tuple[float, str]]] = {0: [], 1: [], 2: []}
    for passed, slot, version, chance in steps:
        now += passed
        history[slot].append((now, version))
        one.answered(Taken((seen(slot, version, ttl=ttl),)), now, chance)
        for each, asked in one.request().observed.items():
            since = now
            for when, what in reversed(history[each]):
                if what != asked:
                    break
                since = when
            assert now - since >= ttl


@given(CHANCES, st.floats(0, 9.99))
def test_what_stood_still_for_its_ttl_is_asked_for_and_not_before(
    chance: float, part: float
) -> None:
    """By the version that was seen; a new answer without it takes that back."""
    one = candidate()
    one.answered(Taken((seen(version="v"),)), 100.0, chance)
    one.answered(Taken((seen(version="v"),)), 100.0 + part, chance)
    assert dict(one.request().observed) == {}
    one.answered(Taken((seen(version="v"),)), 110.0, chance)
    assert dict(one.request().observed) == {0: "v"}
    assert one.at_once  # also if it was to ask but once
    one.answered(Taken((seen(version="v"),)), 110.1, chance)
    assert not one.at_once  # it was asked for, and not granted: that makes no rush
    one.answered(Taken((seen(version="w"),)), 110.2, chance)
    assert dict(one.request().observed) == {}
    assert not one.at_once


@given(CHANCES, st.floats(0.01, 9))
def test_the_next_request_comes_when_the_lease_may_be_had(chance: float, left: float) -> None:
    """As the store tells, or as was observed: not before, and within a moment after it; or with
    the next poll, if that is earlier."""
    poll = POLL * (1 + 0.25 * chance)
    told = candidate().answered(Taken((seen(left=left),)), 50.0, chance)
    assert min(left, poll) <= told <= min(left + 0.1, poll)
    one = candidate()
    one.answered(Taken((seen(version="v"),)), 50.0, chance)
    delay = one.answered(Taken((seen(version="v"),)), 60.0 - left, chance)
    assert min(left, poll) - 1e-6 <= delay <= min(left + 0.1, poll) + 1e-6


@given(CHANCES, st.floats(2, 600))
def test_the_poll_has_jitter_and_bounds(chance: float, ttl: float) -> None:
    """From half the ttl, five seconds at most, to a quarter more; nothing for a grant."""
    one = candidate(terms=Terms(ttl, grace=0.0))
    least = min(POLL, ttl / 2)
    assert least <= one.answered(Taken((seen(),)), 0.0, chance) <= least * 1.25
    assert least <= one.answered(Taken(), 0.0, chance) <= least * 1.25
    assert 1.0 <= one.failed(chance) <= 1.25
    assert one.answered(Granted(0, 1), 0.0, chance) == 0.0


@given(CHANCES, CHANCES)
def test_two_who_stand_by_do_not_ask_in_step(one: float, two: float) -> None:
    """Another chance gives another moment."""
    waits = [candidate().answered(Taken((seen(left=1.0),)), 0.0, each) for each in (one, two)]
    assert (waits[0] < waits[1]) == (one < two) or abs(one - two) < 1e-9


def test_a_request_always_has_the_same_owner_and_every_slot_once() -> None:
    """So an answer that got lost does no harm, and no slot is left out."""
    one = candidate()
    first = one.request()
    one.answered(Taken((seen(version="v"),)), 1.0, 0.5)
    assert one.request().owner == first.owner == OWNER
    assert sorted(one.request().order) == [0, 1, 2]
    assert first.info == {"host": "here"}


def test_what_one_has_seen_serves_the_next() -> None:
    """Observations are kept: also written down and read again, within one boot."""
    kept = Observations()
    candidate(kept).answered(Taken((seen(version="v"),)), 100.0, 0.5)
    again = candidate(Observations(kept.seen))
    again.answered(Taken((seen(version="v"),)), 110.0, 0.5)
    assert dict(again.request().observed) == {0: "v"}
    shared = candidate(kept)
    shared.answered(Taken((seen(version="v"),)), 110.0, 0.5)
    assert dict(shared.request().observed) == {0: "v"}


def test_an_observation_from_after_now_is_of_another_boot() -> None:
    """A clock that has begun anew proves nothing about what was seen before."""
    one = candidate(Observations({"0:turn": ("v", 5000.0)}))
    one.answered(Taken((seen(version="v"),)), 100.0, 0.5)
    assert dict(one.request().observed) == {}


def test_slots_are_observed_each_for_itself() -> None:
    """One that stands still does not speak for its neighbour, nor for another name."""
    one = candidate()
    for now, version in ((0.0, "a"), (10.0, "b")):
        one.answered(Taken((seen(0, "still"), seen(1, version))), now, 0.5)
    assert dict(one.request().observed) == {0: "still"}
