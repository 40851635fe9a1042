"""What the tests of PostgreSQL share: backends as they are, requests, and a look at the server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lifeline.backends.postgres import Postgres
from lifeline.backends.postgres.url import parse
from lifeline.clock import boottime
from lifeline.leases.port import Claim, Granted, Request
from support.servers import postgres


def asked(name: str = "turn", *, slots: int = 1, owner: str = "", ttl: float = 30.0) -> Request:
    return Request(name, slots, tuple(range(slots)), owner or os.urandom(16).hex(), ttl)


def grant_of(backend: Postgres, request: Request) -> Granted | None:
    answer = backend.try_acquire(request)
    return answer if isinstance(answer, Granted) else None


def granted(backend: Postgres, request: Request) -> Granted:
    """A slot that has to be free."""
    answer = backend.try_acquire(request)
    assert isinstance(answer, Granted), answer
    return answer


def claimed(request: Request, grant: Granted) -> Claim:
    return Claim(request.name, grant.slot, request.slots, request.owner, grant.fence, request.ttl)


def take(backend: Postgres, request: Request) -> Claim:
    return claimed(request, granted(backend, request))


def database(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def connections(url: str) -> list[int]:
    """The backends that serve lifeline in the database."""
    rows = postgres.server().execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'lifeline' AND "
        f"datname = '{database(url)}' ORDER BY pid"
    )
    return [int(str(pid)) for (pid,) in rows]


def lock_pids(url: str) -> list[int]:
    """The backends that hold an advisory lock in the database."""
    rows = postgres.server().execute(
        "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND "
        f"database = (SELECT oid FROM pg_database WHERE datname = '{database(url)}')"
    )
    return [int(str(pid)) for (pid,) in rows]


def lock_count(url: str) -> int:
    """How many advisory locks are held in the database."""
    rows = postgres.server().execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
        f"database = (SELECT oid FROM pg_database WHERE datname = '{database(url)}')"
    )
    return int(str(rows[0][0]))


class Clients:
    """Opens backends: `clients(url)`; a silent server is given `patience` seconds."""

    def __init__(self) -> None:
        self._opened: list[Postgres] = []

    def __call__(self, url: str, patience: float = 4.0) -> Postgres:
        self._opened.append(Postgres(parse(url), boottime, patience))
        return self._opened[-1]

    def close(self) -> None:
        for backend in self._opened:
            backend.close()


@pytest.fixture
def client() -> Iterator[Clients]:
    """Opens backends, and closes them after the test."""
    clients = Clients()
    yield clients
    clients.close()
