"""The keeper of a program's leases: what it renews, what it tells, what it costs."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest

from lifeline import Holding, LeaseLost, Lock, lock
from lifeline.errors import StoreUnreachable
from lifeline.leases import keeper, shared
from lifeline.leases.port import UNKNOWN, Claim
from lifeline.leases.stores import open_store
from support.proxy import Proxy
from support.servers import Server, postgres, valkey
from support.waiting import eventually

from .conftest import BRISK
from .history import Broken

LONG = 60.0  # seconds: bounds a test that fails
pytestmark = pytest.mark.usefixtures("often")


@pytest.fixture(params=["redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """A server of the test's own, and the URL of a store in it."""
    made: Server
    if request.param == "redis":
        made = valkey.new_server()
        url = valkey.url_of(made.port)
    else:
        made = own = postgres.new_server()
        url = own.url()
        postgres.set_up(url)
    yield made, url
    made.thaw()
    made.close()


class Counted(Broken):
    """Counts the requests for renewals, and how many claims were in each; can lose the answers."""

    def __init__(self, url: str) -> None:
        super().__init__(open_store(url))
        self.renewed: list[int] = []
        self.fails: Exception | None = None

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        self.renewed.append(len(claims))
        if self.fails:
            raise self.fails
        return list(self._backend.renew(claims))


def counted(url: str) -> Counted:
    store = Counted(url)
    shared._stores[url] = shared.SharedStore(store)
    return store


def held(url: str, name: str = "turn", ttl: float = 30.0) -> tuple[Lock, Holding]:
    turn = lock(name, url, ttl=ttl, grace=0)
    assert turn.acquire(timeout=LONG)
    assert turn.lease is not None
    return turn, turn.lease


def keepers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "lifeline"}


def await_renewal(lease: Holding) -> None:
    """Return once it has been renewed again; it has to be alive then."""
    sent = lease.lease.sent
    eventually(lambda: lease.lease.sent > sent or not lease.alive, within=LONG)
    lease.check()


@BRISK
def test_a_lease_is_renewed_for_as_long_as_it_is_held(url: str) -> None:
    """Again and again; the fence stays the same, and what is left is counted anew."""
    turn, lease = held(url)
    fence = lease.fence
    for _ in range(3):
        await_renewal(lease)
    assert lease.left() > 0
    assert turn.lease is lease and lease.fence == fence
    turn.release()


def test_a_thousand_leases_are_one_thread_and_one_round_trip() -> None:
    """All are renewed at once, whenever they were taken."""
    url = valkey.fresh()
    store = counted(url)
    before = keepers()
    locks = [lock(f"turn {number}", url, ttl=20, grace=0) for number in range(1000)]
    for each in locks:
        assert each.acquire(blocking=False)
    eventually(lambda: store.renewed.count(1000) >= 2, within=LONG)
    assert len(keepers() - before) == 1
    assert all(each.lease and each.lease.alive for each in locks)
    for each in locks:
        each.release()


@BRISK
def test_who_lost_a_lease_is_called_back_once(url: str) -> None:
    """In a thread of its own; `check` raises from then on; a callback that comes late is called at
    once, and a release calls nobody."""
    turn, lease = held(url)
    calls: list[str] = []
    lease.on_lost(lambda: calls.append(threading.current_thread().name))
    store = open_store(url)
    assert store.break_lease("turn", lease.slot) is not None
    store.close()
    eventually(lambda: calls, within=LONG)
    assert not lease.alive
    with pytest.raises(LeaseLost):
        lease.check()
    late: list[int] = []
    lease.on_lost(lambda: late.append(1))
    eventually(lambda: late, within=LONG)
    with pytest.raises(LeaseLost):
        turn.release()
    assert len(calls) == 1 and calls[0] != "lifeline"
    again, lease = held(url, "again")
    lease.on_lost(lambda: calls.append("lost"))
    again.release()
    again, lease = held(url, "again")
    again.release()
    assert len(calls) == 1


def test_a_callback_that_hangs_or_fails_keeps_no_lease_from_being_renewed() -> None:
    """Every other lease in the store lives on."""
    url = valkey.fresh()
    over = threading.Event()
    _, first = held(url, "first")
    turn, second = held(url, "second")
    first.on_lost(lambda: over.wait(LONG))
    store = open_store(url)
    store.break_lease("first", 0)
    store.close()
    eventually(lambda: not first.alive, within=LONG)
    for _ in range(3):
        await_renewal(second)
    over.set()
    turn.release()


def test_a_store_that_hangs_lets_the_lease_run_out_in_time(server: tuple[Server, str]) -> None:
    """`alive` turns false and it is told, though no answer ever came; it stays lost when the
    store comes back and would renew it."""
    paused, url = server
    turn, lease = held(url, ttl=4)
    told = threading.Event()
    lease.on_lost(told.set)
    paused.freeze()
    eventually(lambda: not lease.alive, within=LONG)
    assert told.wait(LONG)
    paused.thaw()
    with pytest.raises(LeaseLost):
        turn.release()
    assert not lease.alive


def test_an_answer_that_gets_lost_loses_no_lease() -> None:
    """Unknown changes nothing: it is asked again, and renewed."""
    url = f"?namespace={uuid.uuid4().hex}"
    with Proxy(valkey.server().port) as proxy:
        url = valkey.url_of(proxy.port, namespace=uuid.uuid4().hex)
        turn, lease = held(url)
        proxy.lose_replies(cut=True)
        eventually(lambda: proxy.lost, within=LONG)
        proxy.heal()
        await_renewal(lease)
        turn.release()


@pytest.mark.parametrize("fault", [KeyError("a fault in a driver"), None])
def test_a_fault_in_a_driver_neither_kills_the_keeper_nor_renews(
    fault: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The leases of that store run out; those of another live on, and it is logged."""
    bad, good = valkey.fresh(), valkey.fresh()
    store = counted(bad)
    store.fails = fault
    _, first = held(bad, ttl=3.0 if fault else 30.0)
    turn, second = held(good)
    if fault:
        with caplog.at_level(logging.WARNING, "lifeline"):
            eventually(lambda: not first.alive, within=LONG)
        assert "not renewed: the store's driver failed: KeyError in test_keeper.py" in caplog.text
    for _ in range(3):
        await_renewal(second)
    assert first.alive == (fault is None)
    turn.release()


def test_a_store_that_hangs_holds_up_no_other() -> None:
    """While a renewal has no answer, the leases in another store are renewed."""
    bad, good = valkey.fresh(), valkey.fresh()
    hangs, over = threading.Event(), threading.Event()
    store = counted(bad)

    def renew(claims: Sequence[Claim]) -> list[str]:
        hangs.set()
        over.wait(LONG)
        return [UNKNOWN] * len(claims)

    store.renew = renew  # type: ignore[method-assign]
    held(bad)
    turn, second = held(good)
    assert hangs.wait(LONG)
    for _ in range(3):
        await_renewal(second)
    over.set()
    turn.release()


def test_a_thread_with_nothing_to_keep_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, and another one keeps what is taken later."""
    monkeypatch.setattr(keeper, "_LINGER", 0.01)
    url, before = valkey.fresh(), keepers()
    for _ in range(2):
        turn, lease = held(url)
        assert keepers() - before
        await_renewal(lease)
        turn.release()
        eventually(lambda: not keepers() - before, within=LONG)


def test_a_release_in_the_middle_of_a_renewal_is_no_loss() -> None:
    """Over and over, while the keeper renews as often as it can."""
    url = valkey.fresh()
    keep, kept = held(url, "kept")
    lost: list[int] = []
    for _ in range(200):
        turn, lease = held(url)
        lease.on_lost(lambda: lost.append(1))
        turn.release()
    kept.check()
    keep.release()
    assert lost == []


def test_what_is_unknown_is_asked_again_soon_but_not_in_a_rush() -> None:
    """A store that answers with nothing costs a few requests a second, not a processor."""
    url = valkey.fresh()
    store = counted(url)
    unknown = [UNKNOWN]
    store.renew = lambda claims: store.renewed.append(1) or unknown  # type: ignore[method-assign]
    _, lease = held(url, ttl=7)
    eventually(lambda: not lease.alive, within=LONG)
    assert 2 <= len(store.renewed) <= 6 / 0.3


def test_a_loss_is_told_while_the_store_is_busy_with_another() -> None:
    """A request that has no answer holds up neither the callback nor the end of the signals."""
    url = valkey.fresh()
    _, lease = held(url, ttl=8)
    told, ended, asked, over = (threading.Event() for _ in range(4))
    lease.on_lost(told.set)
    inbox = lease.signals()
    threading.Thread(target=lambda: (list(inbox), ended.set()), daemon=True).start()
    backend = shared._stores[url]._backend

    def hang(_: object) -> None:
        asked.set()
        over.wait(LONG)
        raise StoreUnreachable("no answer")

    backend.try_acquire = hang  # type: ignore[assignment, method-assign]
    other = lock("another", url)

    def ask() -> None:
        with suppress(StoreUnreachable):
            other.acquire(blocking=False)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    assert asked.wait(LONG)
    assert told.wait(LONG) and ended.wait(LONG)
    assert asking.is_alive(), "the store is busy still"
    over.set()
    asking.join(LONG)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """No thread can be started, as with a limit of tasks or memory: that passes."""
    start, lacking = threading.Thread.start, threading.Event()

    def fail(thread: threading.Thread) -> None:
        if lacking.is_set():
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    yield lambda lacks: lacking.set() if lacks else lacking.clear()
    lacking.clear()


def test_a_loss_is_told_though_no_thread_can_be_started(
    no_threads: Callable[[bool], None],
) -> None:
    """And later leases are kept and told of as ever."""
    url = valkey.fresh()
    _, lease = held(url)
    told: list[str] = []
    lease.on_lost(lambda: told.append("first"))
    no_threads(True)
    store = open_store(url)
    store.break_lease("turn", 0)
    store.close()
    eventually(lambda: told, within=LONG)
    no_threads(False)
    turn, again = held(url, "again")
    for _ in range(2):
        await_renewal(again)
    turn.release()


def test_a_lease_that_no_thread_could_renew_is_not_had(
    no_threads: Callable[[bool], None],
) -> None:
    """That is told, it is free at once, and the object can be used again."""
    url = valkey.fresh()
    turn = lock("turn", url, ttl=600)
    no_threads(True)
    with pytest.raises(RuntimeError, match="thread"):
        turn.acquire()
    assert turn.lease is None and not turn.locked()
    no_threads(False)
    assert turn.acquire(blocking=False)
    assert turn.lease is not None
    await_renewal(turn.lease)
    turn.release()
