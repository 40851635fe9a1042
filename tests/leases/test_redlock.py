"""Leases of a majority of three or five servers: which have to be there, and what counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lifeline.backends.redis.scripts import Keys
from lifeline.errors import StoreRefused, StoreUnreachable
from lifeline.leases.port import BAD, LOST, RENEWED, Granted, Taken
from support.redis_leases import (
    again,
    claim_of,
    crowd,
    fences_rise,
    opened,
    request,
    take,
)
from support.servers import Server, valkey
from support.waiting import eventually

Servers = Callable[..., list[Server]]


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Makes servers that the test may kill."""
    made: list[Server] = []

    def make(count: int, *options: str) -> list[Server]:
        made.extend(valkey.new_server(*options) for _ in range(count))
        return made

    yield make
    for server in made:
        server.close()


def url_of(servers: list[Server], **options: str | int) -> str:
    return valkey.redlock_url([server.port for server in servers], **options)


def held_at(server: Server) -> list[tuple[str, int]]:
    """Owner and fence of what one server alone would say is held."""
    with opened(valkey.url_of(server.port)) as store:
        return [(seen.owner, seen.fence) for seen in store.holders()]


@pytest.mark.parametrize("down", [1, 2])
@pytest.mark.parametrize("end", [Server.kill, Server.freeze])
@pytest.mark.parametrize("first", [True, False])
def test_a_minority_may_be_down_or_hang(
    servers: Servers, down: int, end: Callable[[Server], None], first: bool
) -> None:
    """With 1 or 2 of 5 gone, whichever they are, before or after: all verbs answer."""
    five = servers(5)
    with opened(url_of(five)) as before, opened(url_of(five)) as after:
        mine = take(before)
        for server in five[:down] if first else five[-down:]:
            end(server)
        assert before.renew([mine]) == [RENEWED]
        assert isinstance(after.try_acquire(request()), Taken)
        assert [seen.owner for seen in after.holders()] == [mine.owner]
        before.release(mine)
        assert take(after).fence > mine.fence


@pytest.mark.parametrize("end", [Server.kill, Server.freeze])
def test_without_a_majority_nothing_is_granted_or_known(
    servers: Servers, end: Callable[[Server], None]
) -> None:
    """With 3 of 5 gone every verb is without answer, and what a try got it gives back."""
    five = servers(5)
    with opened(url_of(five)) as store:
        mine = take(store)
        for server in five[2:]:
            end(server)
        for verb in (
            lambda: store.try_acquire(request("other")),
            lambda: store.renew([mine]),
            store.holders,
            lambda: store.release(mine),
        ):
            with pytest.raises(StoreUnreachable, match="3 of 5 servers fail"):
                verb()
    assert held_at(five[0]) == held_at(five[1]) == []


def test_fences_rise_over_every_change_of_majority(servers: Servers) -> None:
    """Any two of three, one after the other: each grant is greater than all before it."""
    three = servers(3, "--appendonly", "yes", "--appendfsync", "always")
    fences = []
    for missing in (0, 1, 2, 1, 0, 2):
        three[missing].kill()
        with opened(url_of(three)) as store:
            store.patience = 60.0  # both are needed, and may have to wait for a busy disk
            mine = take(store)
            store.release(mine)
        fences.append(mine.fence)
        three[missing].start()
    assert fences == sorted(set(fences))


def test_a_fence_that_one_server_is_ahead_with_is_everybodys(servers: Servers) -> None:
    """Counters that differ end up the same at a majority before work begins."""
    three = servers(3)
    with opened(valkey.url_of(three[1].port)) as alone, opened(url_of(three)) as store:
        ahead = take(alone)
        alone.release(ahead)
        ahead_by = 2**52
        fences = Keys("").fences("job").decode()
        assert valkey.ask(three[1].port, "HSET", fences, "0", str(ahead_by)) == ":0"
        mine = take(store)
        assert mine.fence == ahead_by + 1
        three[1].kill()
        assert held_at(three[0]) == held_at(three[2]) == [(mine.owner, mine.fence)]
        store.release(mine)
        assert take(store).fence > mine.fence


def test_a_server_that_forgot_is_told_again_while_a_majority_remembers(servers: Servers) -> None:
    """One after the other may restart: each renewal mends what the last restart lost."""
    three = servers(3)
    with opened(url_of(three)) as store:
        mine = take(store)
        for server in three:
            server.restart()
            assert again(lambda: store.renew([mine])) == [RENEWED]
            # The connection that broke was made anew by one of these.
            assert store.renew([mine]) == [RENEWED]
            assert held_at(server) == [(mine.owner, mine.fence)]


def test_what_a_majority_forgot_is_lost_and_not_made_anew(servers: Servers) -> None:
    """Nothing is set again, and nothing is deleted where it is still held."""
    three = servers(3)
    with opened(url_of(three)) as store:
        mine = take(store)
        three[0].restart()
        three[1].restart()

        def answer() -> list[str]:
            try:
                return store.renew([mine])
            except StoreUnreachable:
                return []

        assert eventually(answer) == [LOST]
        assert [held_at(server) for server in three] == [[], [], [(mine.owner, mine.fence)]]


def test_what_another_took_meanwhile_stays_the_others(servers: Servers) -> None:
    """Mending does not touch a server that holds the slot for somebody else."""
    three = servers(3)
    with opened(url_of(three)) as store:
        mine = take(store)
        valkey.ask(three[2].port, "FLUSHALL")
        with opened(valkey.url_of(three[2].port)) as alone:
            theirs = take(alone)
        assert store.renew([mine]) == [RENEWED]
        assert held_at(three[2]) == [(theirs.owner, theirs.fence)]


def wait_of(url: str, ttl: float) -> float:
    with opened(url) as store:
        asked = request("waiting", ttl=ttl)
        answer = store.try_acquire(asked)
        assert isinstance(answer, Granted)
        store.release(claim_of(asked, answer))
        return answer.wait


def test_work_waits_until_a_majority_has_been_up_for_the_ttl(servers: Servers) -> None:
    """One young server of three is not waited for, two are."""
    three = servers(3)
    url = "redlock:" + ",".join(f"redis://127.0.0.1:{server.port}" for server in three)
    assert 900 < wait_of(url, 1000) <= 1000
    eventually(lambda: wait_of(url, 3) == 0, within=120)
    three[0].restart()
    assert wait_of(url, 3) == 0
    three[1].restart()
    assert wait_of(url, 1000) > 900


def test_one_server_that_cannot_forget_is_no_majority_of_old_ones(servers: Servers) -> None:
    """It counts at once; another one has to come of age before work begins."""
    three = [*servers(1, "--appendonly", "yes", "--appendfsync", "always"), *servers(2)[1:]]
    url = "redlock:" + ",".join(f"redis://127.0.0.1:{server.port}" for server in three)
    assert 900 < wait_of(url, 1000) <= 1000


def test_a_slot_counts_only_with_a_majority_of_that_slot(servers: Servers) -> None:
    """Two servers with one slot free each, but not the same one, are no majority."""
    three = servers(3)
    with opened(url_of(three)) as store:
        for server, slot in ((three[0], 0), (three[1], 0), (three[1], 1), (three[2], 1)):
            with opened(valkey.url_of(server.port)) as alone:
                asked = request("job", 2)
                only = type(asked)("job", 2, (slot,), asked.owner, 60.0)
                assert isinstance(alone.try_acquire(only), Granted)
        before = [held_at(server) for server in three]
        assert isinstance(store.try_acquire(request("job", 2)), Taken)
        assert [held_at(server) for server in three] == before


def test_the_slot_that_a_majority_has_free_is_found(servers: Servers) -> None:
    """Though the first server says that it is another one."""
    three = servers(3)
    for server in three[1:]:
        with opened(valkey.url_of(server.port)) as alone:
            asked = request("job", 2)
            alone.try_acquire(type(asked)("job", 2, (0,), asked.owner, 60.0))
    with opened(url_of(three)) as store:
        assert {take(store, slots=2).slot} == {1}


def test_one_of_those_who_start_at_once_is_granted() -> None:
    """Votes are not split: of eight at the same moment one wins, each time."""
    url = valkey.stores()["redlock-5"]()
    stores = []
    try:
        for _ in range(8):
            context = opened(url)
            stores.append((context, context.__enter__()))
        with ThreadPoolExecutor(8) as pool:
            for round_ in range(20):
                answers = list(
                    pool.map(
                        lambda pair, n=round_: pair[1].try_acquire(request(f"round {n}")), stores
                    )
                )
                assert sum(isinstance(answer, Granted) for answer in answers) == 1
    finally:
        for context, _ in stores:
            context.__exit__(None, None, None)


def test_never_more_than_there_are_slots() -> None:
    """10 clients take 3 slots 20 times each: one owner a slot at a time, fences rising."""
    got = crowd(valkey.stores()["redlock-3"](), clients=10, rounds=20, slots=3)
    assert len(got) == 200
    assert fences_rise(got)


def test_a_break_is_known_to_a_majority(servers: Servers) -> None:
    """With one server gone, the holder hears LOST and the next fence is greater."""
    three = servers(3)
    with opened(url_of(three)) as store:
        mine = take(store)
        three[0].kill()
        broken = store.break_lease("job", 0)
        assert broken is not None
        assert broken > mine.fence
        assert store.renew([mine]) == [LOST]
        assert take(store).fence > broken
        assert store.break_lease("never held", 0) is None


def test_a_break_that_is_under_way_is_not_healed(servers: Servers) -> None:
    """It reaches one server after another, and the holder renews in between."""
    three = servers(3)
    with opened(url_of(three)) as store:
        mine = take(store)
        for server, said in ((three[0], RENEWED), (three[2], LOST)):
            with opened(valkey.url_of(server.port)) as alone:
                assert alone.break_lease("job", 0) is not None
            assert store.renew([mine]) == [said]
        assert held_at(three[0]) == []
        assert take(store).fence > mine.fence


def test_a_watch_outlives_a_minority(servers: Servers) -> None:
    """Who waits hears of a release with the first or the last server gone."""
    for gone in (0, -1):
        three = servers(3)[-3:]
        three[gone].kill()
        with opened(url_of(three)) as store, opened(url_of(three)) as other:
            wake = other.watch("job")
            assert wake is not None
            store.release(take(store))
            assert eventually(wake.drain)
            wake.close()


def test_a_wrong_password_at_a_majority_is_refused(servers: Servers) -> None:
    """At a minority it is only a server that fails; no secret is told."""
    plain = servers(5, "--requirepass", "s3cr3t")
    locked = "redis://:{}@127.0.0.1:{}?restart_delay=0"

    def url(wrong: int) -> str:
        words = ["wr0ng" if n < wrong else "s3cr3t" for n in range(5)]
        pairs = zip(words, plain, strict=True)
        return "redlock:" + ",".join(locked.format(word, one.port) for word, one in pairs)

    with opened(url(2)) as store:
        take(store)
        assert BAD in {finding.level for finding in store.check()}
    with opened(url(3)) as store, pytest.raises(StoreRefused, match="password") as caught:
        store.try_acquire(request())
    assert "wr0ng" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_the_check_sees_one_server_under_two_names() -> None:
    """Two addresses of one server are not independent."""
    ports = [valkey.server(number).port for number in range(2)]
    places = f"127.0.0.1:{ports[0]}", f"localhost:{ports[0]}", f"127.0.0.1:{ports[1]}"
    url = "redlock:" + ",".join(f"redis://{place}" for place in places)
    with opened(url) as store:
        assert "same server" in store.check()[-1].what
