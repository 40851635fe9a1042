"""Holders in this process, on a store of each kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import count

import pytest

from lifeline import Holding, Lock, lock, signal
from lifeline.leases.terms import Terms
from support.stores import STORES

#: Stores behind a pooler that hands connections on: they carry no signals.
POOLED = {name for name in STORES if name.startswith("pgbouncer")}
TTL, SHORT_TTL = 60.0, 8.0  # seconds
RENEW = 0.5  # seconds: mailboxes are read at the pace of renewals, so these come often

_numbers = count()
_waits: set[str] = set()  # URLs where everybody who takes a slot waits for a whole ttl

#: As `signal`, for what will be heard: it returns at once then, and is patient on a busy machine.
say = partial(signal, wait=60.0)


def made(kind: str) -> str:
    """The URL of a fresh store of that kind."""
    try:
        url = STORES[kind]()
        if kind.endswith("no-table"):
            _waits.add(url)
        return url
    except pytest.skip.Exception as skipped:
        if os.environ.get("LIFELINE_REQUIRE_TOOLS") == "1":
            pytest.fail(f"nothing may be skipped here: {skipped}", pytrace=False)
        raise


@pytest.fixture(params=sorted(STORES.keys() - POOLED))
def url(request: pytest.FixtureRequest) -> str:
    """A fresh store of each kind that carries signals."""
    return made(request.param)


@pytest.fixture
def name() -> str:
    """A lease's name that no other test uses."""
    return f"mailer {os.getpid()}-{next(_numbers)}"


Hold = Callable[..., Holding]
HoldAll = Callable[..., list[Holding]]


TurnAt = Callable[..., Lock]


@pytest.fixture
def turn_at() -> TurnAt:
    """A lock whose lease is renewed often, and lasts while the machine is busy with other things.

    A fixture, because what a test imports from here is another copy of this module.
    """

    def make(name: str, url: str, slots: int = 1) -> Lock:
        turn = lock(name, url, slots=slots)
        turn.terms = Terms(SHORT_TTL if url in _waits else TTL, renew=RENEW, grace=0.5)
        return turn

    return make


@pytest.fixture
def hold(turn_at: TurnAt) -> Iterator[Hold]:
    """Takes a slot of a name in a store; it is released after the test."""
    with ExitStack() as held:

        def take(name: str, url: str, slots: int = 1) -> Holding:
            turn = turn_at(name, url, slots)
            assert turn.acquire(timeout=60)
            assert turn.lease is not None
            held.callback(_release, turn)
            return turn.lease

        yield take


@pytest.fixture
def hold_all(hold: Hold) -> HoldAll:
    """Takes a slot of each of the names, at the same time: with some stores each has to wait."""

    def take(names: list[str], url: str, slots: int = 1) -> list[Holding]:
        with ThreadPoolExecutor(len(names)) as threads:
            return list(threads.map(lambda name: hold(name, url, slots), names))

    return take


def _release(turn: Lock) -> None:
    if turn.lease is not None:
        turn.leave(failed=True)
