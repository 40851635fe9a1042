"""alock(): the same lease, for tasks of an event loop."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from lifeline import LeaseLost, alock, lock
from lifeline.clock import boottime
from lifeline.errors import StoreUnreachable
from lifeline.leases import shared
from lifeline.leases.stores import open_store
from support.servers import free_port, valkey
from support.waiting import eventually

from .conftest import BRISK
from .history import Broken

LONG = 60.0  # seconds: bounds a test that fails


@BRISK
def test_it_has_the_manners_of_lock(url: str) -> None:
    """Taken, refused, waited for in vain, released; what is not held cannot be released."""

    async def main() -> None:
        one, two = alock("turn", url), alock("turn", url)
        assert await one.acquire() is True
        assert one.lease is not None and one.lease.alive
        assert await two.acquire(blocking=False) is False
        began = boottime()
        assert await two.acquire(timeout=0.2) is False
        assert boottime() - began >= 0.2
        assert await two.locked()
        assert [seen.owner for seen in await two.holders()] == [one.lease.owner]
        with pytest.raises(RuntimeError):
            await two.release()
        await one.release()
        with pytest.raises(RuntimeError):
            await one.release()
        async with two as lease:
            lease.check()
            assert not await one.acquire(blocking=False)
        with pytest.raises(KeyError):
            async with two:
                raise KeyError
        assert not await one.locked()

    asyncio.run(main())


@BRISK
def test_it_is_the_same_lease_as_that_of_lock(url: str) -> None:
    """A thread and a task keep each other out."""

    async def main() -> None:
        async with alock("turn", url):
            assert not lock("turn", url).acquire(blocking=False)
        with lock("turn", url):
            assert not await alock("turn", url).acquire(blocking=False)

    asyncio.run(main())


@BRISK
def test_many_tasks_take_turns(url: str) -> None:
    """Ten tasks that share one object, and ten with an object each: one at a time."""
    inside = 0
    turns = 0

    async def work(turn: object) -> None:
        nonlocal inside, turns
        async with turn:  # type: ignore[attr-defined]
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            inside -= 1
            turns += 1

    async def main() -> None:
        one = alock("turn", url)
        await asyncio.gather(*(work(one) for _ in range(10)))
        # Others stand one after the other: where nobody is told, each wait is a poll.
        for _ in range(10):
            await work(alock("turn", url))

    asyncio.run(main())
    assert turns == 20


@BRISK
def test_a_task_that_is_cancelled_while_it_waits_has_nothing(url: str) -> None:
    """Whenever that comes: the lease goes to the next one, and the object can be used again."""

    async def main() -> None:
        one, two = alock("turn", url), alock("turn", url)
        for moment in (0, 0.001, 0.005, 0.02, 0.1):
            await one.acquire()
            waiting = asyncio.create_task(two.acquire())
            await asyncio.sleep(moment)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await one.release()
            assert two.lease is None
            await _have_nothing(two)

    asyncio.run(main())


@BRISK
def test_a_task_that_is_cancelled_while_it_is_granted_gives_it_back(url: str) -> None:
    """The answer to its request comes to nobody: it is released, not left to run out."""

    async def main() -> None:
        for moment in (0, 0.0005, 0.001, 0.002, 0.004):
            one = alock("turn", url, ttl=600)
            asking = asyncio.create_task(one.acquire())
            await asyncio.sleep(moment)
            asking.cancel()
            try:
                await asking
            except asyncio.CancelledError:
                assert one.lease is None
            else:
                await one.release()
            await _have_nothing(one)

    asyncio.run(main())


async def _have_nothing(one: object) -> None:
    """The lease is free, or is about to be."""
    deadline = boottime() + LONG
    while await one.locked():  # type: ignore[attr-defined]
        assert boottime() < deadline
        await asyncio.sleep(0.005)


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("url", ["redis", "postgres-session", "dynamodb"], indirect=True)
def test_an_event_loop_that_is_blocked_loses_no_lease(url: str) -> None:
    """The keeper is a thread: it renews while no task can run."""

    async def main() -> None:
        async with alock("turn", url) as lease:
            sent = lease.lease.sent
            # It blocks the loop: what a task must not do, and some do.
            eventually(lambda: lease.lease.sent > sent, within=LONG)
            lease.check()

    asyncio.run(main())


@BRISK
def test_a_lease_that_was_lost_is_told_at_the_end(url: str) -> None:
    """By LeaseLost, though no renewal came to know of it; the body's own error says more."""

    async def main(error: type[Exception] | None) -> None:
        async with alock(f"turn {error}", url, ttl=600) as lease:
            store = open_store(url)
            assert store.break_lease(lease.name, lease.slot) is not None
            store.close()
            if error:
                raise error

    with pytest.raises(LeaseLost):
        asyncio.run(main(None))
    with pytest.raises(KeyError):
        asyncio.run(main(KeyError))


def test_a_store_that_gives_no_answer_is_told() -> None:
    """To who does not wait, and to whose time is up; nothing is held."""

    async def main() -> None:
        one = alock("turn", valkey.url_of(free_port()))
        with pytest.raises(StoreUnreachable):
            await one.acquire(blocking=False)
        with pytest.raises(StoreUnreachable):
            await one.acquire(timeout=0.2)
        assert one.lease is None
        with pytest.raises(ValueError):
            await one.acquire(blocking=False, timeout=1)

    asyncio.run(main())


def test_a_forked_child_does_not_wait_for_its_parents_turn() -> None:
    """The object was held at the fork, by a task that is not in the child."""
    url = valkey.fresh()
    one = alock("turn", url)
    asyncio.run(one.acquire())
    child = os.fork()
    if child == 0:
        try:
            os._exit(asyncio.run(asyncio.wait_for(one.acquire(blocking=False), LONG)))
        except BaseException:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    asyncio.run(one.release())
    child = os.fork()
    if child == 0:
        try:
            os._exit(asyncio.run(asyncio.wait_for(one.acquire(), LONG)))
        except BaseException:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


class Slow(Broken):
    """It takes its time to begin to listen."""

    def __init__(self, url: str) -> None:
        super().__init__(open_store(url))
        self.asked, self.go = threading.Event(), threading.Event()
        self.fds: list[int] = []

    def watch(self, name: str) -> object:
        self.asked.set()
        self.go.wait(LONG)
        wake = self._backend.watch(name)
        self.fds.append(wake.fileno())
        return wake


def test_a_task_that_is_cancelled_while_it_begins_to_listen_leaves_no_connection() -> None:
    """What the store gave after that is closed."""
    url = valkey.fresh()
    store = Slow(url)
    shared._stores[url] = shared.SharedStore(store)  # type: ignore[arg-type]

    async def main() -> None:
        one, two = alock("turn", url), alock("turn", url)
        await one.acquire()
        waiting = asyncio.create_task(two.acquire())
        while not store.asked.is_set():
            await asyncio.sleep(0.005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        store.go.set()
        eventually(lambda: store.fds and not _is_open(store.fds[0]), within=LONG)
        await one.release()

    asyncio.run(main())


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
