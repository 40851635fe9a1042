"""Terms and leases as arithmetic: nobody works on when another may begin.

Real time is played: the holder's clock and the store's run at rates of their own.
"""

from __future__ import annotations

import math
import sys
from subprocess import check_output

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lifeline import embed
from lifeline.errors import UsageError
from lifeline.leases.lease import ASK, KEEP, KILL, LOST, RENEWED, STOP, UNKNOWN, Lease
from lifeline.leases.terms import KILL_COST, LEAST_RENEWALS, TTL, Terms, default_grace

DRIFT = 0.02
SECONDS = st.floats(0, 100)
RATES = st.floats(1 - DRIFT / 2, 1 + DRIFT / 2)  # any two differ by DRIFT at most, nearly


@st.composite
def terms(draw: st.DrawFn) -> Terms:
    """Terms that hold."""
    grace = draw(st.floats(0, 20))
    ttl = draw(st.floats((grace + KILL_COST + 1) / (1 - DRIFT), 200))
    return Terms(ttl, grace=grace, drift=DRIFT)


# --- terms ------------------------------------------------------------------------------------


@given(SECONDS, st.none() | SECONDS, SECONDS, st.floats(0, 0.5))
def test_terms_leave_room_for_three_renewals_or_are_refused(
    ttl: float, renew: float | None, grace: float, drift: float
) -> None:
    """Before the work has to be stopped; and a refusal shows the sum."""
    try:
        made = Terms(ttl, renew, grace, drift)
    except UsageError as refused:
        assert "\n" not in str(refused)
        return
    lease = Lease(made, 0.0)
    assert 0 < made.renew * LEAST_RENEWALS <= lease.stop + 1e-6
    assert lease.stop + grace + KILL_COST <= made.ttl * (1 - drift) + 1e-9


def test_the_sum_is_in_the_message() -> None:
    """With every number that went into it, and what to do."""
    with pytest.raises(UsageError) as caught:
        Terms(15, renew=5, grace=10)
    said = str(caught.value)
    for part in ("15 s", "2%", "10 s grace", "1 s for KILL", "3.7 s", "every 5 s", "15 s;"):
        assert part in said
    assert "raise the ttl" in said


@pytest.mark.parametrize(
    ("ttl", "renew", "grace", "drift"),
    [
        (0, None, 0, 0),
        (-1, None, 0, 0),
        (30, 0, 10, 0.02),
        (30, -1, 10, 0.02),
        (30, None, -1, 0.02),
        (30, None, 10, 1),
        (30, None, 10, -0.1),
        (math.nan, None, 10, 0.02),
        (30, math.nan, 10, 0.02),
    ],
)
def test_terms_that_mean_nothing_are_refused(
    ttl: float, renew: float | None, grace: float, drift: float
) -> None:
    """Nothing below zero, no drift that eats the lease, nothing that is not a number."""
    with pytest.raises(UsageError):
        Terms(ttl, renew, grace, drift)


def test_terms_are_not_refused_for_a_rounding() -> None:
    """The interval that is chosen here fits three times, though a third was rounded up."""
    assert Terms(14.5, grace=0).renew == pytest.approx(13.21 / 3)


def test_the_defaults_are_those_that_are_promised() -> None:
    """A job is told to stop after 18.4 s without an answer, and gone after 29.4 s."""
    lease = Lease(Terms(), 0.0)
    assert (lease.renew, lease.stop, lease.kill, lease.dead) == pytest.approx((5, 18.4, 28.4, 29.4))


@given(st.floats(5, 1000))
def test_the_default_grace_fits_into_every_ttl_of_five_seconds_or_more(ttl: float) -> None:
    """So that whoever shortens the ttl alone is not refused."""
    Terms(ttl, grace=default_grace(ttl))


# --- one lease --------------------------------------------------------------------------------


@given(terms(), SECONDS, SECONDS, SECONDS)
def test_what_is_due_only_ever_gets_more_urgent(
    made: Terms, sent: float, one: float, two: float
) -> None:
    """As time goes by without an answer: keep, ask, stop, kill."""
    order = [KEEP, ASK, STOP, KILL]
    lease = Lease(made, sent)
    early, late = sorted((sent + one, sent + two))
    assert order.index(lease.due(early)) <= order.index(lease.due(late))
    assert lease.covers(early) or not lease.covers(late)
    assert lease.covers(late) == (lease.due(late) in (KEEP, ASK))


@given(terms(), SECONDS, st.lists(st.tuples(st.sampled_from([RENEWED, UNKNOWN]), SECONDS)))
def test_an_answer_never_takes_time_away_and_an_unknown_one_gives_none(
    made: Terms, sent: float, answers: list[tuple[str, float]]
) -> None:
    """The newest confirmed request counts, in whatever order answers come."""
    lease = Lease(made, sent)
    for answer, at in answers:
        lease = lease.after(answer, at)
    confirmed = [at for answer, at in answers if answer == RENEWED]
    assert lease.sent == max([sent, *confirmed])


@given(terms(), SECONDS, st.lists(st.tuples(st.sampled_from([RENEWED, UNKNOWN, LOST]), SECONDS)))
def test_lost_is_final(made: Terms, sent: float, answers: list[tuple[str, float]]) -> None:
    """No later answer makes it alive, and none gives the work more time to end."""
    lease = Lease(made, sent).after(LOST, sent)
    dead = lease.dead
    for answer, at in answers:
        lease = lease.after(answer, at)
    assert lease.lost and lease.dead == dead
    assert not lease.covers(sent)
    assert lease.due(sent) in (STOP, KILL)


# --- two holders ------------------------------------------------------------------------------

# From the one renewal to the next: how long until it is sent, until it arrives and until the
# answer does, in seconds of real time; what gets lost on the way.
RENEWALS = st.lists(
    st.tuples(
        SECONDS, st.floats(0, 30), st.floats(0, 30), st.sampled_from(["", "request", "reply"])
    )
)


@given(terms(), RATES, RATES, RENEWALS, st.floats(0, 30))
def test_the_holder_is_dead_before_the_store_gives_the_lease_to_another(
    made: Terms,
    holder: float,
    store: float,
    renewals: list[tuple[float, float, float, str]],
    arrives: float,
) -> None:
    """Whatever is delayed or lost, while clocks drift apart by no more than the terms allow for."""
    assume(store / holder <= 1 / (1 - made.drift))
    now = 0.0  # real time
    lease = Lease(made, now * holder)
    expires = now + arrives + made.ttl / store
    for pause, there, back, lost in renewals:
        now += pause
        if not lease.covers(now * holder):
            break
        sent = now
        now += there
        answer = UNKNOWN
        if lost != "request":
            if now < expires:
                expires = now + made.ttl / store
                answer = RENEWED
            else:
                answer = LOST
        now += back
        lease = lease.after(UNKNOWN if lost else answer, sent * holder)
        assert lease.dead / holder <= expires + 1e-9


@given(terms(), RATES, RATES, RENEWALS, st.floats(0, 30), SECONDS)
def test_the_holder_is_dead_before_one_who_observed_it_begins(
    made: Terms,
    holder: float,
    taker: float,
    renewals: list[tuple[float, float, float, str]],
    arrives: float,
    looked: float,
) -> None:
    """Where the store has no clock: the taker has seen the lease unchanged for a ttl of its own
    clock, from the arrival of what it read."""
    assume(taker / holder <= 1 / (1 - made.drift))
    now = 0.0
    lease = Lease(made, now * holder)
    written = arrives  # when the version was last changed
    for pause, there, back, lost in renewals:
        now += pause
        if not lease.covers(now * holder):
            break
        sent = now
        now += there
        if lost != "request":
            written = now
        now += back
        lease = lease.after(UNKNOWN if lost else RENEWED, sent * holder)
    begins = written + looked + made.ttl / taker  # the version was read when it was there
    assert lease.dead / holder <= begins + 1e-9


def test_terms_without_drift_do_overlap_with_clocks_that_drift() -> None:
    """So the two above would fail if the drift were not reckoned with."""
    made = Terms(30, drift=0)
    holder, store = 1 - DRIFT / 2, 1 + DRIFT / 2
    assert Lease(made, 0).dead / holder > made.ttl / store


def test_a_script_has_the_same_ttl_without_loading_the_terms() -> None:
    """lifeline() knows the number by itself: most scripts have no lease."""
    assert embed.TTL == TTL
    source = "import sys, lifeline.embed; print('lifeline.leases' in sys.modules)"
    assert check_output([sys.executable, "-c", source], text=True) == "False\n"
