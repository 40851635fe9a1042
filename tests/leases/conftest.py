"""A store of each kind for tests of leases, and somebody who asks it for them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from lifeline.leases import shared, terms
from lifeline.leases.keys import slot_order
from lifeline.leases.port import Backend, Claim, Granted, Request, Taken
from lifeline.leases.stores import open_store
from support.spawning import Spawner
from support.stores import STORES
from support.waiting import eventually

HOLDER = Path(__file__).with_name("holder.py")
# Without a table, PostgreSQL cannot tell a clean end: whoever comes next waits for a ttl, and who
# does not wait passes.
BRISK = pytest.mark.parametrize(
    "url", sorted(STORES.keys() - {"postgres-session-no-table"}), indirect=True
)


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Stores that a test has used are closed after it: their servers are others' too. What it
    still holds is not kept any longer."""
    before = dict(shared._stores)
    yield
    for url in shared._stores.keys() - before:
        store = shared._stores.pop(url)
        store.keeper.abandon_all()
        store._backend.close()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of this process are renewed several times a second, whatever their ttl: it can be so
    long that no machine is too busy to keep it. Nor has the store to answer within 0.3 s."""
    monkeypatch.setattr(terms, "RENEW", 0.3)
    monkeypatch.setattr(shared.SharedStore, "hurry", lambda self, patience: None)


class Party:
    """One client of a store: a connection of its own, and the patience to observe."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._seen: dict[tuple[int, str], tuple[float, float]] = {}

    def ask(
        self, name: str, slots: int = 1, *, owner: str = "", ttl: float = 30.0, **info: str | int
    ) -> Claim | Taken:
        """One request for a slot of `name`: the claim, or what is in the way."""
        owner = owner or os.urandom(16).hex()
        request = Request(name, slots, slot_order(owner, slots), owner, ttl, info, self._observed())
        answer = self.backend.try_acquire(request)
        if isinstance(answer, Granted):
            return Claim(name, answer.slot, slots, owner, answer.fence, ttl, info)
        for seen in answer.seen:
            self._seen.setdefault((seen.slot, seen.version), (time.monotonic(), seen.ttl))
        return answer

    def take(self, name: str, slots: int = 1, *, ttl: float = 30.0, **info: str | int) -> Claim:
        """A slot that has to be free."""
        claim = self.ask(name, slots, ttl=ttl, **info)
        assert isinstance(claim, Claim), claim
        return claim

    def await_turn(self, name: str, slots: int = 1, *, ttl: float = 30.0) -> Claim:
        """A slot as soon as the store gives one away."""

        def granted() -> Claim | None:
            claim = self.ask(name, slots, ttl=ttl)
            return claim if isinstance(claim, Claim) else None

        return eventually(granted, within=120, every=0.05)

    def renew(self, *claims: Claim) -> list[str]:
        return self.backend.renew(claims)

    def _observed(self) -> dict[int, str]:
        """What has stood still for its ttl: the rule for stores that have no clock."""
        now = time.monotonic()
        return {
            slot: version
            for (slot, version), (since, ttl) in self._seen.items()
            if version and now - since > ttl
        }


@pytest.fixture(params=sorted(STORES))
def url(request: pytest.FixtureRequest) -> str:
    """A fresh store of each kind that there is."""
    try:
        return STORES[request.param]()
    except pytest.skip.Exception as skipped:
        if os.environ.get("LIFELINE_REQUIRE_TOOLS") == "1":
            pytest.fail(f"nothing may be skipped here: {skipped}", pytrace=False)
        raise


@pytest.fixture
def party(url: str) -> Iterator[Callable[[], Party]]:
    """Makes clients of the store, each with a connection of its own."""
    opened: list[Backend] = []

    def make() -> Party:
        opened.append(open_store(url))
        return Party(opened[-1])

    yield make
    for backend in opened:
        backend.close()


@pytest.fixture
def held_elsewhere(url: str, spawn: Spawner) -> Callable[..., tuple[Popen[str], Claim]]:
    """Has another process take a slot: that process, and its claim."""

    def hold(name: str, slots: int = 1, *, ttl: float = 1.0) -> tuple[Popen[str], Claim]:
        process = spawn(sys.executable, HOLDER, url, name, str(slots), str(ttl))
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return process, Claim(**json.loads(line))

    return hold
