"""Leases in one Redis or Valkey: what each verb promises, on a real server."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from lifeline.backends.redis import RedisBackend
from lifeline.backends.redis.scripts import Keys
from lifeline.errors import SlotsMismatch, StoreRefused
from lifeline.leases.port import LOST, RENEWED, Granted, Taken
from support.redis_leases import claim_of, crowd, fences_rise, opened, request, take
from support.servers import valkey
from support.waiting import eventually

NAMES = [
    "plain",
    "Plain",
    "two words",
    "}{:*?[a-z]",
    "a\nb\r\n$1\r\nX",
    "nul\0nul",
    "'); redis.call('FLUSHALL') --",
    '"]}; return 1',
    "ключ-鍵-🔑",
    "é",
    "e\u0301",
    "x" * 300,
    "🔑" * 300,
]


@pytest.fixture
def url() -> str:
    return valkey.fresh()


@pytest.fixture
def store(url: str) -> Iterator[RedisBackend]:
    with opened(url) as made:
        yield made


@pytest.fixture
def other(url: str) -> Iterator[RedisBackend]:
    """The same store, seen from another machine."""
    with opened(url) as made:
        yield made


def test_the_same_request_again_is_granted_the_same(store: RedisBackend) -> None:
    """A retry after a lost answer gets the slot and the fence that it already has."""
    asked = request(slots=3)
    assert store.try_acquire(asked) == store.try_acquire(asked)
    assert len(store.holders()) == 1


def test_the_same_request_again_lasts_from_then_on(store: RedisBackend) -> None:
    """A retry counts its ttl anew, as the kernel counts from the request that was answered."""
    asked = request(ttl=10)
    store.try_acquire(asked)
    store.try_acquire(request(ttl=1000, owner=asked.owner))
    assert (store.holders()[0].left or 0) > 500


def test_another_owner_is_refused_and_told_who_has_it(
    store: RedisBackend, other: RedisBackend
) -> None:
    """A taken lease names its holder; on the holder's own connection too."""
    mine = take(store)
    for asking in (store, other):
        answer = asking.try_acquire(request())
        assert isinstance(answer, Taken)
        assert [(seen.owner, seen.info["pid"]) for seen in answer.seen] == [(mine.owner, 7)]


def test_as_many_as_there_are_slots(store: RedisBackend) -> None:
    """Three slots are held by three owners, each its own, and a fourth is refused."""
    assert {take(store, slots=3).slot for _ in range(3)} == {0, 1, 2}
    assert isinstance(store.try_acquire(request(slots=3)), Taken)


@pytest.mark.parametrize("ours", [1, 2, 5])
def test_another_number_of_slots_is_refused_while_one_is_held(
    store: RedisBackend, ours: int
) -> None:
    """Also if the slot that is held is not one of those that are asked for."""
    held = [take(store, slots=3) for _ in range(3)]
    for claim in held:
        if claim.slot != 2:
            store.release(claim)
    with pytest.raises(SlotsMismatch):
        store.try_acquire(request(slots=ours))


def test_the_number_of_slots_may_change_while_none_is_held(store: RedisBackend) -> None:
    """What was held with 3 slots and is not any more can be taken with 2."""
    store.release(take(store, slots=3))
    assert take(store, slots=2).slots == 2


def test_only_the_owner_renews(store: RedisBackend, other: RedisBackend) -> None:
    """Another owner's renewal says LOST and leaves the lease alone."""
    mine = take(store)
    theirs = claim_of(request(), Granted(mine.slot, mine.fence))
    assert other.renew([theirs, mine]) == [LOST, RENEWED]
    assert [seen.owner for seen in store.holders()] == [mine.owner]


def test_a_renewal_extends(store: RedisBackend) -> None:
    """After a renewal the lease has its whole ttl before it."""
    asked = request(ttl=1000)
    answer = store.try_acquire(request(ttl=5, owner=asked.owner))
    assert isinstance(answer, Granted)
    assert store.renew([claim_of(asked, answer)]) == [RENEWED]
    assert (store.holders()[0].left or 0) > 500


def test_a_thousand_leases_are_renewed_at_once(store: RedisBackend) -> None:
    """One call answers for each claim, in their order."""
    claims = [take(store, f"job {n}") for n in range(1000)]
    store.release(claims[500])
    assert store.renew(claims) == [RENEWED] * 500 + [LOST] + [RENEWED] * 499


def test_what_has_run_out_is_lost_and_not_made_anew(store: RedisBackend) -> None:
    """A renewal of an expired lease says LOST, though the slot is free, and leaves it free."""
    mine = take(store, ttl=0.02)
    eventually(lambda: not store.holders("job"))
    assert store.renew([mine]) == [LOST]
    assert store.holders() == []


def test_only_the_owner_releases(store: RedisBackend) -> None:
    """A release by who does not hold it does nothing; by the holder, twice, is fine."""
    mine = take(store)
    store.release(claim_of(request(), Granted(mine.slot, mine.fence)))
    assert [seen.owner for seen in store.holders()] == [mine.owner]
    store.release(mine)
    store.release(mine)
    assert store.holders() == []


def test_fences_rise_over_release_expiry_and_breaking(store: RedisBackend) -> None:
    """Each acquisition has a greater fence than all before, however the one before it ended."""
    first = take(store)
    store.release(first)
    second = take(store, ttl=0.02)
    eventually(lambda: not store.holders("job"))
    third = take(store)
    broken = store.break_lease("job", third.slot)
    assert broken is not None
    fences = [first.fence, second.fence, third.fence, broken, take(store).fence]
    assert fences == sorted(set(fences))


def test_a_broken_lease_is_lost(store: RedisBackend, other: RedisBackend) -> None:
    """Its holder hears LOST, and breaking what nobody holds says None."""
    mine = take(store)
    assert other.break_lease("job", 0) is not None
    assert store.renew([mine]) == [LOST]
    assert other.break_lease("job", 0) is None
    assert other.break_lease("never held", 0) is None


def test_names_are_what_they_are(store: RedisBackend) -> None:
    """No name, whatever is in it, meets another or does anything but name a lease."""
    claims = [take(store, name) for name in NAMES]
    assert sorted(seen.name for seen in store.holders()) == sorted(NAMES)
    assert [seen.name for name in NAMES for seen in store.holders(name)] == NAMES
    assert store.renew(claims) == [RENEWED] * len(NAMES)


def test_namespaces_do_not_meet(store: RedisBackend) -> None:
    """The same name in two namespaces is two leases."""
    take(store)
    with opened(valkey.fresh()) as elsewhere:
        assert elsewhere.holders() == []
        take(elsewhere)


def test_holders_are_listed_by_name_and_slot_and_forgotten_when_gone(
    store: RedisBackend, url: str
) -> None:
    """The index holds what is held; what expired is out of it after the next look."""
    for name, ttl in [("b", 60), ("a", 60), ("a", 60), ("gone", 0.02)]:
        take(store, name, slots=2, ttl=ttl)
    eventually(lambda: not store.holders("gone"))
    seen = store.holders()
    assert [(one.name, one.slot) for one in seen][:2] == [("a", 0), ("a", 1)]
    assert [one.name for one in seen] == ["a", "a", "b"]
    index = Keys(url.rpartition("=")[2]).index.decode()
    assert valkey.ask(valkey.server().port, "SCARD", index) == ":3"


def test_a_release_wakes_who_waits(store: RedisBackend, other: RedisBackend) -> None:
    """The watcher's descriptor becomes readable at a release or break of its name, of no other."""
    wake = other.watch("job")
    assert wake is not None
    store.release(take(store, "another job"))
    assert not wake.drain()
    for end in (store.release, lambda claim: store.break_lease(claim.name, claim.slot)):
        end(take(store))
        assert select.select([wake], [], [], 30)[0] == [wake]
        assert wake.drain()
        assert not wake.drain()
    wake.close()


def test_a_server_that_forgot_the_scripts_is_told_them_again(store: RedisBackend) -> None:
    """SCRIPT FLUSH costs nobody a lease."""
    mine = take(store)
    valkey.ask(valkey.server().port, "SCRIPT", "FLUSH")
    assert store.renew([mine]) == [RENEWED]


def test_two_names_with_one_key_are_told_apart(store: RedisBackend, url: str) -> None:
    """The clear name stands beside the lease; another one there is refused, not mixed up."""
    fences = Keys(url.rpartition("=")[2]).fences("job").decode()
    valkey.ask(valkey.server().port, "HSET", fences, "name", "its-twin")
    with pytest.raises(StoreRefused, match="its-twin"):
        store.try_acquire(request())


def test_a_forked_child_lets_go_without_a_word(store: RedisBackend) -> None:
    """The parent's connection works on after the child has forgotten it."""
    mine = take(store)
    child = os.fork()
    if not child:
        store.forget()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert store.renew([mine]) == [RENEWED]


def test_closing_keeps_the_lease_and_the_next_verb_connects(store: RedisBackend) -> None:
    """A closed store is opened again by the next verb, and finds its lease."""
    mine = take(store)
    store.close()
    assert store.renew([mine]) == [RENEWED]


def test_never_more_than_there_are_slots(url: str) -> None:
    """20 clients take 5 slots 50 times each: one owner a slot at a time, fences rising."""
    got = crowd(url, clients=20, rounds=50, slots=5)
    assert len(got) == 1000
    assert fences_rise(got)
