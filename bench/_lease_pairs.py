"""Acquiring and releasing: lifeline, the bare driver with lifeline's own statements, the peers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import redis

from bench._lease_servers import Servers
from bench.measure import Row, ratio, spread, timed_in_turns
from lifeline import lock
from lifeline.backends.postgres.session import Session, Statement
from lifeline.backends.redis.line import Line

Pair = Callable[[], object]
TTL = 30
MOST = 1.3  # times the bare driver

_BATCH = 40  # pairs in a turn


class Contenders:
    """What takes turns at one kind of store. `bare` and `peers` are labels."""

    def __init__(self) -> None:
        self.pairs: dict[str, Pair] = {}
        self.bare: dict[str, str] = {}  # label -> whose statements they are
        self.peers: list[str] = []
        self.notes: list[str] = []
        self.alive = ExitStack()

    def add_peer(self, label: str, module: str, make: Callable[[], Pair]) -> None:
        """A peer, unless it is not installed."""
        if importlib.util.find_spec(module) is None:
            self.notes.append(f"{label} is left out, it is not installed")
            return
        self.pairs[label] = make()
        self.peers.append(label)


def measured(servers: Servers, seconds: float) -> list[tuple[str, str, list[Row]]]:
    """A section for each kind of store, `seconds` for each."""
    sections = []
    for title, make in (("PostgreSQL", _postgres), ("Redis", _redis)):
        contenders = make(servers)
        with contenders.alive:
            spent = timed_in_turns(contenders.pairs, seconds, _BATCH)
        rounds = len(next(iter(spent.values())))
        notes = "".join(f"; {note}" for note in contenders.notes)
        head = f"acquire and release, {title}; {rounds} rounds of {_BATCH} each{notes}"
        sections.append((head, "us a pair", _rows(contenders, spent)))
    return sections


def _rows(contenders: Contenders, spent: dict[str, list[float]]) -> list[Row]:
    """lifeline against each: below 1 it is the faster one."""
    rows = []
    for label in contenders.pairs:
        row = Row(label, spread(spent[label]).median * 1e6)
        if ours := contenders.bare.get(label):
            row.times, row.of, row.target = ratio(spent[ours], spent[label]), ours, MOST
        elif label in contenders.peers:
            ours = next(iter(contenders.pairs))
            row.times, row.of, row.target = ratio(spent[ours], spent[label]), ours, 1.0
        rows.append(row)
    return rows


def _ours(url: str) -> Pair:
    ours = lock("bench", url, ttl=TTL)

    def pair() -> None:
        ours.acquire()
        ours.release()

    return pair


@contextmanager
def _recorded(owner: type, pair: Pair) -> Iterator[list[Any]]:
    """What `owner.send` is given during one pair, once everything is warm: list of batches."""
    for _ in range(3):
        pair()
    sent: list[Any] = []
    original = owner.send  # type: ignore[attr-defined]

    def send(self: object, *batch: Any, **options: Any) -> None:
        sent.append(batch)
        original(self, *batch, **options)

    owner.send = send  # type: ignore[attr-defined]
    try:
        pair()
    finally:
        owner.send = original  # type: ignore[attr-defined]
    yield sent


# --- PostgreSQL -------------------------------------------------------------------------------


def _postgres(servers: Servers) -> Contenders:
    found = Contenders()
    url = servers.session()
    for label, store in (("lifeline", url), ("lifeline, mode=lease", url + "?mode=lease")):
        pair = _ours(store)
        found.pairs[label] = pair
        with _recorded(Session, pair) as batches:
            for how, is_piped in (("psycopg", False), ("psycopg, in a pipeline", True)):
                bare = f"{how}: the statements of {label}"
                connection = found.alive.enter_context(psycopg.connect(url, autocommit=True))
                found.pairs[bare] = _bare_postgres(connection, batches, is_piped)
                found.bare[bare] = label
    engine_url = url.replace("postgresql:", "postgresql+psycopg:")
    found.add_peer("pals", "pals", lambda: _pals(engine_url))
    found.add_peer(
        "sqlalchemy-dlock, connection from the pool",
        "sqlalchemy_dlock",
        lambda: _dlock(engine_url),
    )
    found.add_peer(
        "sqlalchemy-dlock, one connection for all",
        "sqlalchemy_dlock",
        lambda: _dlock_kept(engine_url, found.alive),
    )
    return found


def _bare_postgres(
    connection: psycopg.Connection[Any], batches: list[tuple[Statement, ...]], is_piped: bool
) -> Pair:
    """The same statements, a transaction for each batch, with each new fence in its place.

    psycopg prepares what it runs often, by itself.
    """
    (first, second), cursor = batches, psycopg.RawCursor(connection)
    asking = cursor if not is_piped else psycopg.RawCursor(connection)

    def pair() -> None:
        with ExitStack() as both:
            if is_piped:
                both.enter_context(connection.pipeline())
            both.enter_context(connection.transaction())
            for sql, params in first[:-1]:
                cursor.execute(sql.encode(), params)
            asking.execute(first[-1].sql.encode(), first[-1].params)
        granted = asking.fetchone()
        assert granted and granted[0] == "granted", granted
        with ExitStack() as both:
            if is_piped:
                both.enter_context(connection.pipeline())
            both.enter_context(connection.transaction())
            for sql, params in second:
                is_guarded = len(params) == 3  # key, owner, fence
                fenced = (*params[:2], str(granted[2])) if is_guarded else params
                cursor.execute(sql.encode(), fenced)

    return pair


def _pals(url: str) -> Pair:
    import pals

    peer = pals.Locker("bench", url).lock("pals")

    def pair() -> None:
        if not peer.acquire():
            raise RuntimeError("pals did not get its lock")
        peer.release()

    return pair


def _dlock(url: str) -> Pair:
    """As its README shows it."""
    from sqlalchemy import create_engine
    from sqlalchemy_dlock import create_sadlock

    engine = create_engine(url)

    def pair() -> None:
        with engine.connect() as connection, create_sadlock(connection, "dlock"):
            pass

    return pair


def _dlock_kept(url: str, alive: ExitStack) -> Pair:
    """No more than two statements that write nothing: no fence, no holder, no hand-over."""
    from sqlalchemy import create_engine
    from sqlalchemy_dlock import create_sadlock

    connection = alive.enter_context(create_engine(url).connect())
    peer = create_sadlock(connection, "dlock kept")

    def pair() -> None:
        peer.acquire()
        peer.release()

    return pair


# --- Redis ------------------------------------------------------------------------------------


def _redis(servers: Servers) -> Contenders:
    found = Contenders()
    pair = _ours(servers.redis())
    found.pairs["lifeline"] = pair
    port = servers.valkey.port
    with _recorded(Line, pair) as batches:
        calls = [batch[0] for batch in batches]
        for label, own in (
            ("redis-py: its scripts, connection of its own", True),
            ("redis-py: its scripts, connection from the pool", False),
        ):
            client = redis.Redis(port=port, single_connection_client=own)
            found.alive.callback(client.close)
            found.pairs[label] = _bare_redis(client, calls)
            found.bare[label] = "lifeline"
    client = redis.Redis(port=port)
    found.alive.callback(client.close)
    found.pairs["redis-py Lock"] = _redis_py(client)
    found.peers.append("redis-py Lock")
    found.add_peer("python-redis-lock", "redis_lock", lambda: _redis_lock(client))
    found.add_peer("pottery, one master", "pottery", lambda: _pottery(client))
    return found


def _bare_redis(client: redis.Redis, calls: list[Any]) -> Pair:
    """The same words to the same scripts; those of a pair fit each other without a change."""
    (first, one), (last, other) = [(call.script.digest, call.words) for call in calls]

    def pair() -> None:
        granted: Any = client.evalsha(first, *one)
        assert granted.startswith(b"granted"), granted
        assert client.evalsha(last, *other) == 1

    return pair


def _redis_py(client: redis.Redis) -> Pair:
    peer = client.lock("redis-py", timeout=TTL)

    def pair() -> None:
        peer.acquire()
        peer.release()

    return pair


def _redis_lock(client: redis.Redis) -> Pair:
    import redis_lock

    peer = redis_lock.Lock(client, "python-redis-lock", expire=TTL)

    def pair() -> None:
        peer.acquire()
        peer.release()

    return pair


def _pottery(client: redis.Redis) -> Pair:
    import pottery

    peer = pottery.Redlock(key="pottery", masters={client}, auto_release_time=TTL)

    def pair() -> None:
        if not peer.acquire():
            raise RuntimeError("pottery did not get its lock")
        peer.release()

    return pair
