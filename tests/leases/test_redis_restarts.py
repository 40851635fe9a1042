"""Leases in one Redis or Valkey that restarts, forgets, hangs or loses what was said."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis

from lifeline.errors import StoreRefused, StoreUnreachable
from lifeline.leases.port import LOST, RENEWED, Backend, Granted
from support.proxy import Proxy
from support.redis_leases import again, claim_of, hasty, opened, request, take
from support.servers import Server, valkey
from support.waiting import eventually

_APPENDS = ("--appendonly", "yes", "--appendfsync")


@pytest.fixture
def servers() -> Iterator[Callable[..., Server]]:
    """Makes servers that the test may kill."""
    made: list[Server] = []

    def make(*options: str) -> Server:
        made.append(valkey.new_server(*options))
        return made[-1]

    yield make
    for server in made:
        server.close()


def test_a_restart_that_forgets_loses_the_lease(servers: Callable[..., Server]) -> None:
    """The renewal says LOST and does not make the lease anew, though nobody else has it."""
    server = servers()
    with opened(valkey.url_of(server.port)) as store:
        mine = take(store)
        server.restart()
        assert again(lambda: store.renew([mine])) == [LOST]
        assert store.holders() == []


def test_a_restart_that_may_have_forgotten_loses_the_lease(servers: Callable[..., Server]) -> None:
    """LOST also if the server still has it: in between, it may have been somebody else's."""
    server = servers(*_APPENDS, "no")  # written at once, synced some time
    with opened(valkey.url_of(server.port)) as store:
        mine = take(store)
        server.restart()
        assert [seen.owner for seen in again(store.holders)] == [mine.owner]
        assert store.renew([mine]) == [LOST]
        store.release(mine)
        assert take(store).fence > mine.fence


def test_a_restart_that_cannot_forget_keeps_the_lease(servers: Callable[..., Server]) -> None:
    """With appendfsync always the renewal goes on, and nothing has to wait after the restart."""
    server = servers(*_APPENDS, "always")
    with opened(f"redis://127.0.0.1:{server.port}") as store:
        mine = take(store)
        eventually(lambda: wait_for_work(store) == 0, within=120)  # its data are old enough
        server.restart()
        assert again(lambda: store.renew([mine])) == [RENEWED]
        assert wait_for_work(store) == 0
        store.release(mine)
        assert take(store).fence > mine.fence
        assert store.renew([mine]) == [LOST]
        store.break_lease("job", 0)
        assert store.renew([mine]) == [LOST]


def wait_for_work(store: Backend, ttl: float = 2) -> float:
    """How long somebody who is granted a lease of `ttl` seconds in this moment has to wait."""
    asked = request("short", ttl=ttl)
    answer = store.try_acquire(asked)
    assert isinstance(answer, Granted)
    store.release(claim_of(asked, answer))
    return answer.wait


def test_work_waits_after_the_data_were_emptied(servers: Callable[..., Server]) -> None:
    """After FLUSHALL nobody works before what was promised until then has run out."""
    server = servers(*_APPENDS, "always")
    with opened(f"redis://127.0.0.1:{server.port}") as store:
        eventually(lambda: wait_for_work(store) == 0, within=120)
        valkey.ask(server.port, "FLUSHALL")
        assert wait_for_work(store, ttl=10000) > 9000


def test_work_waits_until_a_young_server_has_been_up_for_the_ttl(
    servers: Callable[..., Server],
) -> None:
    """What a server that forgot may have promised has run out by then."""
    server = servers()
    with opened(f"redis://127.0.0.1:{server.port}") as store:
        answer = store.try_acquire(request(ttl=10000))
        assert isinstance(answer, Granted)
        assert 9000 < answer.wait <= 10000

        eventually(lambda: wait_for_work(store) == 0, within=120)


def test_the_delay_after_a_restart_can_be_set(servers: Callable[..., Server]) -> None:
    """`?restart_delay=` takes the place of the ttl; 0 does without."""
    server = servers()
    for delay in (0, 5000):
        with opened(valkey.url_of(server.port, restart_delay=delay, namespace=delay)) as store:
            answer = store.try_acquire(request())
            assert isinstance(answer, Granted)
            assert delay - 60 < answer.wait <= delay


def test_flushall_loses_the_lease_and_fences_rise_over_it(servers: Callable[..., Server]) -> None:
    """The renewal says LOST; who is next has a greater fence all the same."""
    server = servers()
    with opened(valkey.url_of(server.port)) as store:
        mine = take(store)
        valkey.ask(server.port, "FLUSHALL")
        assert store.renew([mine]) == [LOST]
        assert store.holders() == []
        assert take(store).fence > mine.fence


def test_a_frozen_server_is_unreachable_and_what_it_was_asked_may_still_happen(
    servers: Callable[..., Server],
) -> None:
    """The verb gives up; the server does it later; the retry finds that, and nothing else."""
    server = servers()
    store = hasty(valkey.url_of(server.port))
    store.release(take(store, "scripts are known from now on"))
    asked = request(slots=3)
    server.freeze()
    with pytest.raises(StoreUnreachable, match="no answer in time"):
        store.try_acquire(asked)
    server.thaw()
    with opened(valkey.url_of(server.port)) as other:
        (seen,) = eventually(other.holders)
        assert store.try_acquire(asked) == Granted(seen.slot, seen.fence)
        assert len(other.holders()) == 1
    store.close()


def test_a_frozen_server_cannot_be_connected_to(servers: Callable[..., Server]) -> None:
    """The kernel accepts for it; the verb gives up all the same."""
    server = servers()
    server.freeze()
    with pytest.raises(StoreUnreachable):
        hasty(valkey.url_of(server.port)).try_acquire(request())


def test_a_lost_answer_leaves_nothing_in_doubt_for_the_retry(
    servers: Callable[..., Server],
) -> None:
    """Acquire, renew, release: each was done, its answer lost, and can be asked again."""
    server = servers()
    with Proxy(server.port) as proxy, opened(valkey.url_of(proxy.port)) as store:
        asked = request()
        known = take(store, "scripts are known from now on")
        store.renew([known])
        store.release(known)

        def unheard(verb: Callable[[], object]) -> None:
            proxy.lose_replies(cut=True)
            with pytest.raises(StoreUnreachable):
                verb()
            proxy.heal()

        unheard(lambda: store.try_acquire(asked))
        (seen,) = store.holders()
        answer = store.try_acquire(asked)
        assert answer == Granted(seen.slot, seen.fence)
        mine = claim_of(asked, answer)
        unheard(lambda: store.renew([mine]))
        assert store.renew([mine]) == [RENEWED]
        unheard(lambda: store.release(mine))
        store.release(mine)
        assert store.holders() == []


def test_a_watcher_hears_of_the_end_of_its_server(servers: Callable[..., Server]) -> None:
    """Who would wait for nothing is told."""
    server = servers()
    with opened(valkey.url_of(server.port)) as store:
        wake = store.watch("job")
        assert wake is not None
        server.kill()
        with pytest.raises(StoreUnreachable):
            eventually(wake.drain)
        with pytest.raises(StoreUnreachable):
            wake.drain()


def test_a_replica_is_refused(servers: Callable[..., Server]) -> None:
    """What can only read grants nothing, and says where to go."""
    primary = servers()
    replica = servers("--replicaof", f"127.0.0.1 {primary.port}")
    with opened(valkey.url_of(replica.port)) as store:
        with pytest.raises(StoreRefused, match="read-only replica"):
            store.try_acquire(request())
        assert store.check()[0].level == "bad"


def test_a_primary_that_becomes_a_replica_refuses(servers: Callable[..., Server]) -> None:
    """Over the connection that was made before, too."""
    server = servers()
    with opened(valkey.url_of(server.port)) as store:
        mine = take(store)
        valkey.ask(server.port, "REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreRefused, match="read-only replica"):
            store.renew([mine])


def test_sentinels_tell_where_the_primary_is(servers: Callable[..., Server]) -> None:
    """After a failover the lease is lost, and the new primary grants the next."""
    primary = servers()
    replica = servers("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
    sentinel = valkey.new_sentinel("main", primary.port)
    try:
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main/0?restart_delay=0"
        with opened(url) as store:
            mine = take(store)
            eventually(lambda: _copies(replica.port, mine.owner), within=120)
            # What a failover comes to, without the half minute that sentinels take to agree on it.
            primary.kill()
            assert valkey.ask(replica.port, "REPLICAOF", "NO", "ONE") == "+OK"
            assert valkey.ask(sentinel.port, "SENTINEL", "REMOVE", "main") == "+OK"
            address = ("127.0.0.1", str(replica.port), "1")
            assert valkey.ask(sentinel.port, "SENTINEL", "MONITOR", "main", *address) == "+OK"
            assert [seen.owner for seen in again(store.holders)] == [mine.owner]
            assert store.renew([mine]) == [LOST]
            store.release(mine)
            assert take(store).fence > mine.fence
        unknown = url.replace("/main/", "/unknown/")
        with opened(unknown) as store, pytest.raises(StoreRefused, match="unknown"):
            store.holders()
    finally:
        sentinel.close()


def test_a_failover_that_is_not_done_yet_is_transient(servers: Callable[..., Server]) -> None:
    """A replica that a sentinel still calls the primary is asked again later, not refused."""
    replica = servers("--replicaof", "127.0.0.1 1")
    sentinel = valkey.new_sentinel("main", replica.port)
    try:
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main?restart_delay=0"
        with opened(url) as store, pytest.raises(StoreUnreachable, match="failover"):
            store.holders()
    finally:
        sentinel.close()


def _copies(port: int, owner: str) -> bool:
    """Whether the replica has the owner's lease."""
    with redis.Redis(port=port) as client:
        return any(client.hget(key, "owner") == owner.encode() for key in client.keys("*:0"))
