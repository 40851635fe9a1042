"""What every store promises, asked of real servers at the level of the port."""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from subprocess import Popen
from threading import Lock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifeline.clock import boottime
from lifeline.errors import SlotsMismatch, StoreRefused, StoreUnreachable
from lifeline.leases.port import BAD, LOST, RENEWED, Claim, Seen, Taken
from lifeline.leases.stores import open_store
from support.proxy import Proxy
from support.waiting import eventually

from .conftest import BRISK, Party

Parties = Callable[[], Party]
Holds = Callable[..., tuple[Popen[str], Claim]]

# Any text but NUL, which PostgreSQL cannot keep, and halves of surrogate pairs, which are no text.
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


def held(party: Party, name: str) -> list[tuple[str, int, str, int]]:
    return [(s.name, s.slot, s.owner, s.fence) for s in party.backend.holders(name)]


# --- one slot ---------------------------------------------------------------------------------


def test_what_is_free_is_granted_and_renewed_and_free_again(party: Parties) -> None:
    """A lease goes from hand to hand; each holder has a greater fence than the one before."""
    one, two = party(), party()
    first = one.take("turn")
    assert isinstance(two.ask("turn"), Taken)
    assert one.renew(first) == [RENEWED]
    assert one.backend.release(first) is True
    second = two.take("turn")
    assert second.fence > first.fence
    assert isinstance(one.ask("turn"), Taken)
    two.backend.release(second)
    assert one.take("turn").fence > second.fence


def test_it_cannot_be_taken_twice_over_one_connection(party: Parties) -> None:
    """Another owner in the same process is another owner."""
    one = party()
    claim = one.take("turn")
    assert isinstance(one.ask("turn"), Taken)
    assert one.renew(claim) == [RENEWED]
    assert len(held(one, "turn")) == 1


def test_asking_again_as_the_same_owner_is_granted_the_same(party: Parties) -> None:
    """So a request whose answer got lost can be sent again; also if other slots are free."""
    one, two = party(), party()
    for slots in (1, 3):
        claim = one.take(f"turn {slots}", slots)
        assert one.ask(claim.name, slots, owner=claim.owner) == claim
        assert len(held(two, claim.name)) == 1
        one.backend.release(claim)
        assert held(two, claim.name) == []


def counts_from_now(party: Party, before: Seen, ttl: float) -> bool:
    """Whether the store counts a longer time than `before`, where it counts any."""
    [after] = party.backend.holders(before.name)
    if before.version:
        return after.version != before.version
    return before.left is None or (after.left or 0) > ttl


def test_a_request_that_is_sent_again_counts_anew(party: Parties) -> None:
    """Its answer may have got lost. The holder counts from the second one, so must the store: or
    others would be let in before the holder's time is up."""
    one, two = party(), party()
    claim = one.take("turn", ttl=600)
    [before] = two.backend.holders("turn")
    assert one.ask("turn", owner=claim.owner, ttl=1200) == replace(claim, ttl=1200.0)
    assert counts_from_now(two, before, 600)


def test_a_renewal_counts_anew(party: Parties) -> None:
    """The ttl is what is left after it."""
    one, two = party(), party()
    claim = one.take("turn", ttl=600)
    [before] = two.backend.holders("turn")
    assert one.renew(replace(claim, ttl=1200.0)) == [RENEWED]
    assert counts_from_now(two, before, 600)


def test_a_stranger_can_neither_renew_nor_release(party: Parties) -> None:
    """Though it knows the slot and the fence: nothing changes."""
    one, two = party(), party()
    claim = one.take("turn")
    stranger = replace(claim, owner=os.urandom(16).hex())
    assert two.renew(stranger) == [LOST]
    assert two.backend.release(stranger) is False
    assert one.renew(claim) == [RENEWED]
    assert isinstance(two.ask("turn"), Taken)


def test_a_release_that_comes_too_late_changes_nothing(party: Parties) -> None:
    """The slot has another holder by then, and keeps it; it is told."""
    one, two = party(), party()
    stale = one.take("turn")
    one.backend.release(stale)
    claim = two.take("turn")
    assert one.backend.release(stale) is False
    assert one.renew(stale) == [LOST]
    assert two.renew(claim) == [RENEWED]
    assert [(name, slot) for name, slot, *_ in held(one, "turn")] == [("turn", 0)]


def test_what_is_free_cannot_be_renewed(party: Parties) -> None:
    """A renewal never makes a claim anew: lost is lost, though nobody else has it."""
    one, two = party(), party()
    claim = one.take("turn")
    one.backend.release(claim)
    assert one.renew(claim) == [LOST]
    assert held(two, "turn") == []
    two.take("turn")


def test_many_are_renewed_at_once_each_with_its_own_answer(party: Parties) -> None:
    """In the order in which they were asked."""
    one = party()
    claims = [one.take(f"turn {number}") for number in range(5)]
    one.backend.release(claims[3])
    false = replace(claims[1], owner=os.urandom(16).hex())
    asked = [claims[3], claims[0], false, claims[2], claims[4]]
    assert one.renew(*asked) == [LOST, RENEWED, LOST, RENEWED, RENEWED]
    assert one.renew() == []


# --- broken -----------------------------------------------------------------------------------


def test_a_broken_lease_is_lost_and_its_fence_is_behind(party: Parties) -> None:
    """The holder's next renewal says so and takes nothing back, and so does its release; the next
    holder's fence is newer than the one that breaking gave."""
    one, two = party(), party()
    claim = one.take("turn")
    fence = two.backend.break_lease("turn", 0)
    assert fence is not None and fence > claim.fence
    assert one.renew(claim) == [LOST]
    assert held(two, "turn") == []
    successor = two.await_turn("turn")
    assert successor.fence > fence
    assert one.renew(claim) == [LOST]
    assert one.backend.release(claim) is False
    assert two.renew(successor) == [RENEWED]


@BRISK
def test_the_release_of_a_broken_lease_says_so(party: Parties) -> None:
    """Also if no renewal has come to know of it."""
    one, two = party(), party()
    claim = one.take("turn")
    assert two.backend.break_lease("turn", 0) is not None
    assert one.backend.release(claim) is False


def test_a_store_can_be_hurried(party: Parties) -> None:
    """It goes on as before."""
    one = party()
    claim = one.take("turn")
    one.backend.patience = 2.5
    assert one.backend.patience == 2.5
    assert one.renew(claim) == [RENEWED]
    assert one.backend.release(claim) is True


def test_a_store_in_a_hurry_gives_up_sooner_also_on_an_open_connection(url: str) -> None:
    """It was patient when it connected; a network that swallows everything keeps no verb longer
    than is asked for now."""
    with ExitStack() as stack:
        proxies = []

        def behind_a_proxy(found: re.Match[str]) -> str:
            proxies.append(stack.enter_context(Proxy(int(found[1]))))
            return f"127.0.0.1:{proxies[-1].port}"

        backend = open_store(re.sub(r"127\.0\.0\.1:(\d+)", behind_a_proxy, url))
        stack.callback(backend.close)
        if not proxies:
            pytest.skip("nothing is between this store and who uses it")
        backend.patience = 240.0
        one = Party(backend)
        claim = one.take("turn")
        assert one.renew(claim) == [RENEWED]
        backend.patience = 0.5
        for proxy in proxies:
            proxy.black_hole()
        began = boottime()
        for verb in (lambda: one.renew(claim), lambda: one.ask("turn")):
            with pytest.raises(StoreUnreachable):
                verb()
        assert boottime() - began < 120


def test_what_is_not_held_cannot_be_broken(party: Parties) -> None:
    """Neither what never was, nor what was released, nor a slot beside the one that is held."""
    one = party()
    assert one.backend.break_lease("never", 0) is None
    one.backend.release(one.take("turn"))
    assert one.backend.break_lease("turn", 0) is None
    claim = one.take("turn", 2)
    assert one.backend.break_lease("turn", 1 - claim.slot) is None
    assert one.renew(claim) == [RENEWED]


# --- names ------------------------------------------------------------------------------------


def test_names_that_differ_in_case_or_space_are_different(party: Parties) -> None:
    """Also those that are written the same and encoded otherwise."""
    one = party()
    names = ["job", "Job", "JOB", "job ", " job", "job\n", "caf\u00e9", "cafe\u0301", "job%", "j_b"]
    names += ["job#0", "job/0", "a:b", "{job}", "..", "*", "'; --", "--name", "\U0001f600"]
    claims = [one.take(name) for name in names]
    assert one.renew(*claims) == [RENEWED] * len(names)
    for claim in claims:
        assert held(one, claim.name) == [(claim.name, 0, claim.owner, claim.fence)]


@pytest.mark.parametrize("letter", ["n", "\u00e9", "\U0001f600"])
def test_a_name_may_have_300_characters(party: Parties, letter: str) -> None:
    """Of any width; the last one counts as much as the first."""
    one = party()
    names = [letter * 299 + last for last in "ab"]
    claims = [one.take(name) for name in names]
    assert one.renew(*claims) == [RENEWED, RENEWED]
    for claim in claims:
        assert held(one, claim.name) == [(claim.name, 0, claim.owner, claim.fence)]
        one.backend.release(claim)
        assert held(one, claim.name) == []


@pytest.fixture
def one(party: Parties) -> Party:
    return party()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_a_name_may_be_any_text(one: Party, name: str) -> None:
    """It is held, shown and released as it was given."""
    claim = one.take(name, where="here")
    assert isinstance(one.ask(name), Taken)
    assert held(one, name) == [(name, 0, claim.owner, claim.fence)]
    one.backend.release(claim)
    assert held(one, name) == []


# --- slots ------------------------------------------------------------------------------------


def test_every_slot_is_given_once(party: Parties) -> None:
    """As many holders as there are slots, each with another; one that is freed is given again."""
    parties = [party() for _ in range(3)]
    claims = [one.take("pool", 3) for one in parties]
    assert sorted(claim.slot for claim in claims) == [0, 1, 2]
    assert isinstance(parties[0].ask("pool", 3), Taken)
    parties[1].backend.release(claims[1])
    again = parties[2].take("pool", 3)
    assert again.slot == claims[1].slot
    assert again.fence > claims[1].fence


def test_another_number_of_slots_is_refused_while_one_is_held(party: Parties) -> None:
    """More or fewer, wherever the holder sits; once nobody holds one, the number may change."""
    one, two = party(), party()
    claims = [one.take("pool", 3) for _ in range(3)]
    for claim in claims[:2]:
        one.backend.release(claim)
    for slots in (1, 2, 4):
        with pytest.raises(SlotsMismatch) as caught:
            two.ask("pool", slots)
        assert (caught.value.theirs, caught.value.ours) == (3, slots)
    assert one.renew(claims[2]) == [RENEWED]
    one.backend.release(claims[2])
    assert two.take("pool", 2).slots == 2


def test_twenty_clients_never_share_a_slot_and_fences_rise(party: Parties) -> None:
    """Fifty rounds each over five slots: what a client enters is empty, and newer than before."""
    slots, clients, rounds = 5, 20, 50
    mutex = Lock()
    inside: set[int] = set()
    fences: dict[int, list[int]] = {slot: [] for slot in range(slots)}

    def client(one: Party) -> int:
        served = 0
        for _ in range(rounds):
            claim = one.ask("pool", slots)
            if isinstance(claim, Taken):
                continue
            with mutex:
                assert claim.slot not in inside, "two holders of a slot"
                inside.add(claim.slot)
                fences[claim.slot].append(claim.fence)
            assert one.renew(claim) == [RENEWED]
            with mutex:
                inside.remove(claim.slot)
            one.backend.release(claim)
            served += 1
        return served

    with ThreadPoolExecutor(clients) as pool:
        served = list(pool.map(client, [party() for _ in range(clients)]))
    assert sum(served) >= rounds  # or it showed nothing
    for row in fences.values():
        assert row == sorted(set(row))


# --- who has it -------------------------------------------------------------------------------


def test_holders_are_shown_with_what_they_said_of_themselves(
    party: Parties, request: pytest.FixtureRequest
) -> None:
    """Also to the one who is refused."""
    bare = "no-table" in request.node.callspec.id
    one, two = party(), party()
    claims = [one.take("pool", 2, host="alpha", pid=17), two.take("pool", 2, host="beta", pid=18)]
    refused = party().ask("pool", 2)
    assert isinstance(refused, Taken)
    for shown in (two.backend.holders("pool"), refused.seen):
        assert sorted(seen.slot for seen in shown) == [0, 1]
        by_owner = {mine.owner: mine for mine in claims}
        told = [seen for seen in shown if seen.fence or not bare]  # without a table, only its own
        assert bare or len(told) == 2
        for seen in told:
            mine = by_owner[seen.owner]
            assert (seen.slot, seen.slots, seen.fence) == (mine.slot, 2, mine.fence)
            assert dict(seen.info) == dict(mine.info)


def test_the_holders_of_all_names_are_shown(party: Parties) -> None:
    """By name and slot; without what is free."""
    one, two = party(), party()
    one.take("pool", 2)
    two.take("pool", 2)
    one.take("another")
    one.backend.release(one.take("free"))
    try:
        seen = two.backend.holders()
    except StoreRefused as refused:
        assert "lifeline lock setup" in str(refused)  # a store that keeps no names before that
        return
    assert [(s.name, s.slot) for s in seen] == [("another", 0), ("pool", 0), ("pool", 1)]


def test_looking_at_holders_disturbs_nobody(party: Parties) -> None:
    """What was looked at while it was free can be taken, and what is held stays held."""
    one, two = party(), party()
    for _ in range(20):
        claim = one.take("turn")
        assert len(held(two, "turn")) == 1
        assert one.renew(claim) == [RENEWED]
        one.backend.release(claim)
        assert held(two, "turn") == []


def test_a_waiter_is_woken_by_a_release(party: Parties) -> None:
    """Where the store can tell: not before, and not by another name."""
    one, two = party(), party()
    claim, other = one.take("turn"), one.take("another")
    wake = two.backend.watch("turn")
    if wake is None:
        pytest.skip("this store tells nobody")
    assert isinstance(two.ask("turn"), Taken)
    one.renew(claim)
    one.backend.release(other)
    assert wake.drain() is False
    one.backend.release(claim)
    eventually(lambda: select.select([wake], [], [], 1)[0] and wake.drain())
    assert wake.drain() is False
    two.take("turn")
    wake.close()


# --- ends that nobody announced ---------------------------------------------------------------


def test_what_a_killed_holder_had_goes_to_another(party: Parties, held_elsewhere: Holds) -> None:
    """Once the store knows or the time is up; the dead one's claim is lost for good."""
    began = boottime()
    process, claim = held_elsewhere("turn", ttl=1.0)
    one = party()
    asked = one.ask("turn")
    process.kill()
    process.wait()
    if not isinstance(asked, Taken):
        assert boottime() - began > 1.0  # this machine is busy: it has run out by now
        one.backend.release(asked)
    successor = one.await_turn("turn")
    assert successor.fence > claim.fence
    two = party()
    assert two.renew(claim) == [LOST]
    two.backend.release(claim)
    assert isinstance(two.ask("turn"), Taken)


def test_a_stopped_holder_that_wakes_up_has_lost_what_another_has(
    party: Parties, held_elsewhere: Holds
) -> None:
    """Or it still has it, where a lease has no time to run out: never both."""
    process, _ = held_elsewhere("turn", ttl=1.0)
    process.send_signal(signal.SIGSTOP)
    one = party()
    if not all(each.version or each.left is not None for each in one.backend.holders("turn")):
        assert isinstance(one.ask("turn"), Taken)
        return
    successor = one.await_turn("turn")
    process.send_signal(signal.SIGCONT)
    assert [owner for _, _, owner, _ in held(one, "turn")] == [successor.owner]


def test_a_forked_child_that_forgets_leaves_the_lease_to_its_parent(party: Parties) -> None:
    """It neither ends the parent's connection nor its lease."""
    one = party()
    claim = one.take("turn")
    child = os.fork()
    if child == 0:
        try:
            one.backend.forget()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert one.renew(claim) == [RENEWED]
    assert isinstance(party().ask("turn"), Taken)
    one.backend.release(claim)
    party().take("turn")


def test_a_closed_connection_is_made_again(party: Parties) -> None:
    """The next verb connects by itself; closing twice does no harm."""
    one = party()
    one.backend.release(one.take("turn"))
    one.backend.close()
    one.backend.close()
    claim = one.take("turn")
    assert one.renew(claim) == [RENEWED]


# --- setting up -------------------------------------------------------------------------------


def test_a_good_store_has_no_bad_findings(party: Parties, url: str) -> None:
    """Every finding is a line, and every one that is not good says what to do or what it means."""
    findings = party().backend.check()
    assert findings
    assert [finding for finding in findings if finding.level == BAD] == []
    for finding in findings:
        assert "\n" not in finding.what + finding.advice


def test_setting_up_twice_does_nothing_more(party: Parties) -> None:
    """And what is held stays held."""
    one = party()
    one.backend.setup()
    claim = one.take("turn")
    assert party().backend.setup() == []
    assert one.renew(claim) == [RENEWED]
