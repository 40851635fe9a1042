"""Asking Redis stores for leases, in the words of the port, without a kernel."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any, TypeVar

from lifeline.backends.redis import RedisBackend
from lifeline.backends.redis.url import read
from lifeline.errors import StoreUnreachable
from lifeline.leases.keys import slot_order
from lifeline.leases.port import Backend, Claim, Granted, Request
from lifeline.leases.stores import open_store
from support.waiting import eventually

T = TypeVar("T")
TTL = 60.0


def request(name: str = "job", slots: int = 1, ttl: float = TTL, owner: str = "") -> Request:
    owner = owner or uuid.uuid4().hex
    return Request(name, slots, slot_order(owner, slots), owner, ttl, {"host": "here", "pid": 7})


def claim_of(asked: Request, granted: Granted) -> Claim:
    return Claim(
        asked.name, granted.slot, asked.slots, asked.owner, granted.fence, asked.ttl, asked.info
    )


def take(store: Backend, name: str = "job", slots: int = 1, ttl: float = TTL) -> Claim:
    """A lease that has to be free."""
    asked = request(name, slots, ttl)
    answer = store.try_acquire(asked)
    assert isinstance(answer, Granted), answer
    return claim_of(asked, answer)


def again(verb: Callable[[], T]) -> T:
    """What the verb answers; a connection that broke since the last one costs one try."""
    try:
        return verb()
    except StoreUnreachable:
        return verb()


@contextmanager
def opened(url: str) -> Iterator[Any]:
    store = open_store(url)
    try:
        yield store
    finally:
        store.close()


def hasty(url: str) -> RedisBackend:
    """A store on one server that gives up soon."""
    return RedisBackend(read(url), patience=0.3)


def crowd(url: str, clients: int, rounds: int, slots: int) -> list[Claim]:
    """Every lease that so many threads got, each so many times, in the order of the grants.

    AssertionError if a slot was given to two at a time.
    """
    inside: dict[int, str] = {}
    got: list[Claim] = []
    wrong: list[str] = []
    guard = Lock()

    def enter(store: Backend) -> Claim:
        asked = request("crowd", slots)

        def granted() -> Claim | None:
            answer = store.try_acquire(asked)
            return claim_of(asked, answer) if isinstance(answer, Granted) else None

        return eventually(granted, within=100, every=0.01)

    def one() -> None:
        with opened(url) as store:
            for _ in range(rounds):
                mine = enter(store)
                with guard:
                    if other := inside.get(mine.slot):
                        wrong.append(f"slot {mine.slot}: {other} and {mine.owner}")
                    inside[mine.slot] = mine.owner
                    got.append(mine)
                with guard:
                    del inside[mine.slot]
                store.release(mine)

    threads = [Thread(target=one) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    return got


def fences_rise(got: list[Claim]) -> bool:
    """Whether each slot's fences rose with each grant."""
    for slot in {claim.slot for claim in got}:
        fences = [claim.fence for claim in got if claim.slot == slot]
        if fences != sorted(set(fences)):
            return False
    return True
