"""PostgreSQL: breaking leases, modes and slots that differ, names, and setting up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from lifeline.backends.postgres import sql as pg_sql
from lifeline.errors import SlotsMismatch, StoreRefused
from lifeline.leases.keys import key
from lifeline.leases.port import BAD, GOOD, LOST, NOTE, RENEWED, WARNING, Taken
from support.servers import postgres
from support.waiting import eventually

from .pg import Clients, asked, client, database, grant_of, granted, lock_count, lock_pids, take

__all__ = ["client"]  # a fixture
pytestmark = pytest.mark.needs("postgres")

SESSION, XACT, LEASE = "postgres-session", "postgres-xact", "postgres-lease"
BARE = "postgres-session-no-table"


def store(kind: str) -> str:
    return postgres.stores()[kind]()


# --- breaking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SESSION, XACT])
def test_breaking_ends_the_session_and_the_next_waits(kind: str, client: Clients) -> None:
    """The slot is free at once, with a greater fence; the broken holder's time is waited out."""
    url = store(kind)
    one, two = client(url), client(url)
    claim = take(one, asked(ttl=40))
    fence = two.break_lease("turn", 0)
    assert fence is not None
    assert fence > claim.fence
    assert one.renew([claim]) == [LOST]
    grant = eventually(lambda: grant_of(two, asked(ttl=5)))
    assert grant.fence > fence
    assert 30 < grant.wait <= 40


def test_breaking_in_mode_lease_ends_no_session(client: Clients) -> None:
    """One lease is broken; what else the holder has it keeps."""
    url = store(LEASE)
    one, two = client(url), client(url)
    broken, kept = take(one, asked(ttl=40)), take(one, asked("other"))
    assert two.break_lease("turn", 0)
    assert one.renew([broken, kept]) == [LOST, RENEWED]
    assert 30 < granted(two, asked(ttl=5)).wait <= 40


def test_breaking_without_the_table_ends_the_session(client: Clients) -> None:
    """The fence that it tells is above the holder's."""
    url = store(BARE)
    one, two = client(url), client(url)
    claim = take(one, asked())
    fence = two.break_lease("turn", 0)
    assert fence is not None
    assert fence > claim.fence
    assert one.renew([claim]) == [LOST]
    assert eventually(lambda: grant_of(two, asked())).fence > fence


def test_breaking_what_one_holds_oneself_ends_no_session(client: Clients) -> None:
    """The other leases of the same session stay."""
    url = store(SESSION)
    one = client(url)
    broken, kept = take(one, asked()), take(one, asked("other"))
    assert one.break_lease("turn", 0)
    assert one.renew([broken, kept]) == [LOST, RENEWED]
    assert granted(one, asked()).fence > broken.fence


def test_who_may_not_end_the_session_is_told(client: Clients) -> None:
    """The fence has moved on all the same, and the holder hears of it when it renews."""
    url = store(SESSION)
    one = client(url)
    claim = take(one, asked())
    role = _plain_role(url)
    postgres.server().execute(f"GRANT ALL ON lifeline_lock TO {role}", database(url))
    two = client(url.replace("postgres@", f"{role}@"))
    with pytest.raises(StoreRefused, match=r"the fence is \d+ now.*pg_signal_backend"):
        two.break_lease("turn", 0)
    assert lock_pids(url)
    assert one.renew([claim]) == [LOST]
    one.release(claim)
    assert granted(two, asked(ttl=5)).wait > 5


def _plain_role(url: str) -> str:
    role = f"plain_{database(url)}"
    postgres.server().execute(f"CREATE ROLE {role} LOGIN")
    return role


# --- what has to be the same on every machine ---------------------------------------------------


@pytest.mark.parametrize("kind", [SESSION, XACT, LEASE, BARE])
@pytest.mark.parametrize(("first", "second"), [(2, 5), (5, 2), (1, 4096)])
def test_another_number_of_slots_is_refused_while_one_is_held(
    kind: str, first: int, second: int, client: Clients
) -> None:
    """Whichever slot is held, and from another session or the same; afterwards it may change."""
    url = store(kind)
    one, two = client(url), client(url)
    claim = take(one, asked(slots=first))
    for other in (one, two):
        with pytest.raises(SlotsMismatch) as caught:
            other.try_acquire(asked(slots=second))
        assert (caught.value.theirs, caught.value.ours) == (first, second)
    held = lock_count(url)
    one.release(claim)
    assert lock_count(url) < held or kind == LEASE
    assert grant_of(two, asked(slots=second))


@pytest.mark.parametrize("kind", [SESSION, XACT, LEASE])
@pytest.mark.parametrize("other", ["session", "xact", "lease"])
def test_two_modes_do_not_run_side_by_side(kind: str, other: str, client: Clients) -> None:
    """While one machine holds in one mode, another in another mode is refused, not granted."""
    url = store(kind)
    one, two = client(url), client(f"{url.partition('?')[0]}?mode={other}")
    claim = take(one, asked())
    if kind.endswith(other):
        assert isinstance(two.try_acquire(asked()), Taken)
    else:
        with pytest.raises(StoreRefused, match="the same mode"):
            two.try_acquire(asked())
    assert one.renew([claim]) == [RENEWED]
    one.release(claim)
    assert grant_of(two, asked())


def test_an_empty_slot_in_another_mode_is_refused_too(client: Clients) -> None:
    """One of two slots is held in mode lease: the other is not given to a session."""
    url = store(LEASE)
    one, two = client(url), client(url.replace("mode=lease", "mode=session"))
    take(one, asked(slots=2))
    with pytest.raises(StoreRefused, match="mode=lease"):
        two.try_acquire(asked(slots=2))
    assert lock_count(url) == 0


def test_namespaces_do_not_meet(client: Clients) -> None:
    """The same name in two namespaces is two leases, also for who lists them."""
    url = store(SESSION)
    one, two = client(f"{url}?namespace=a"), client(f"{url}?namespace=b")
    take(one, asked())
    take(two, asked())
    assert len(one.holders()) == len(two.holders()) == 1


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [SESSION, XACT, LEASE, BARE])
@pytest.mark.parametrize(
    "name",
    [
        "'; DROP TABLE lifeline_lock; --",
        '"; DROP TABLE lifeline_lock; --',
        "{,}\\\"'",
        "$1",
        "%s",
        "nul \0 and more",
        "größer 猫 🐈",
        "n" * 300,
        "",
    ],
)
def test_a_name_is_never_sql(kind: str, name: str, client: Clients) -> None:
    """Whatever is in it: taken, watched, listed, broken and released under that very name."""
    url = store(kind)
    one, two = client(url), client(url)
    claim = take(one, asked(name))
    wake = two.watch(name)
    assert wake is not None
    assert [seen.name for seen in two.holders(name)] == [name]
    assert isinstance(two.try_acquire(asked(name)), Taken)
    one.release(claim)
    assert eventually(wake.drain)
    assert two.holders(name) == []


def test_a_name_that_the_database_cannot_write_is_refused(client: Clients) -> None:
    """In a database of another encoding: no lock is left behind."""
    server = postgres.server()
    name = f"{server.fresh_database()}_latin"
    server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
    one = client(server.url(name))
    one.setup()
    kept = take(one, asked("größer"))
    with pytest.raises(StoreRefused, match="encoding"):
        one.try_acquire(asked("猫"))
    assert one.renew([kept]) == [RENEWED]
    assert lock_count(server.url(name)) == 1


@pytest.mark.parametrize("kind", [SESSION, XACT, LEASE])
def test_a_row_that_cannot_be_written_leaves_no_lock(kind: str, client: Clients) -> None:
    """An error undoes the row, not a session lock: that is given back before anything else."""
    url = store(kind)
    postgres.server().execute("ALTER TABLE lifeline_lock ADD CHECK (name <> 'turn')", database(url))
    one = client(url)
    kept = take(one, asked("kept"))
    before = lock_count(url)
    with pytest.raises(StoreRefused, match="check constraint"):
        one.try_acquire(asked())
    assert one.renew([kept]) == [RENEWED]
    assert lock_count(url) == before


# --- set up and looked over -------------------------------------------------------------------


def test_ten_may_set_up_at_once(client: Clients) -> None:
    """One creates the table, nine find it there."""
    url = store(BARE)
    backends = [client(url) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(lambda backend: backend.setup(), backends))
    assert sorted(done) == [[]] * 9 + [["created the table lifeline_lock"]]
    assert backends[0].setup() == []


def test_who_waited_for_another_to_set_up_finds_the_table(client: Clients) -> None:
    """Though it has seen that there was none: the other one came between its look and its turn."""
    url = store(BARE)
    turn = "SELECT pg_advisory_xact_lock(%s::bigint)", [key("", "lifeline_lock", "setup")]
    with (
        psycopg.connect(url) as first,
        psycopg.connect(url) as other,
        psycopg.connect(url, autocommit=True) as looking,
        ThreadPoolExecutor(2) as pool,
    ):
        first.execute(*turn)
        done = pool.submit(client(url).setup)
        eventually(lambda: _waiting(looking) == 1)
        others = pool.submit(other.execute, *turn)
        eventually(lambda: _waiting(looking) == 2)
        first.commit()  # `done` looks, and then waits behind the other one
        others.result(timeout=30)
        eventually(lambda: _waiting(looking) == 1)
        other.execute(pg_sql.CREATE_TABLE)
        other.commit()
        assert done.result(timeout=30) == []


def _waiting(connection: psycopg.Connection[Any]) -> int:
    found = connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    return int(found[0]) if found else 0


def test_setting_up_needs_a_right(client: Clients) -> None:
    """Who may not create the table is told which right is missing."""
    url = store(BARE)
    role = _plain_role(url)
    postgres.server().execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database(url))
    with pytest.raises(StoreRefused, match="CREATE on the schema"):
        client(url.replace("postgres@", f"{role}@")).setup()


def test_who_may_not_create_the_table_can_hold_leases(client: Clients) -> None:
    """Without rights there are locks, fences and slots."""
    url = store(BARE)
    role = _plain_role(url)
    postgres.server().execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", database(url))
    one = client(url.replace("postgres@", f"{role}@"))
    claim = take(one, asked(slots=3))
    assert one.renew([claim]) == [RENEWED]
    levels = {finding.level for finding in one.check()}
    assert WARNING in levels
    assert BAD not in levels


@pytest.mark.parametrize("kind", [SESSION, XACT, LEASE])
def test_a_sound_server_has_nothing_bad(kind: str, client: Clients) -> None:
    """Version, encryption, pooler, clocks and table are told, each with a level."""
    found = client(store(kind)).check()
    assert {finding.level for finding in found} <= {GOOD, NOTE, WARNING}
    told = " / ".join(finding.what for finding in found)
    for word in ("PostgreSQL", "encrypted", "direct connection", "clocks", "public.lifeline_lock"):
        assert word in told


@pytest.mark.needs("pgbouncer")
def test_a_pooler_is_found(client: Clients) -> None:
    """Told as a note where the mode goes through it, as bad where it does not."""
    url = store("pgbouncer-xact")
    found = client(url).check()
    assert [f.level for f in found if "pooler" in f.what] == [NOTE]
    found = client(url.partition("?")[0]).check()
    assert [f.level for f in found if "pooler" in f.what] == [BAD]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("DROP TABLE lifeline_lock", "no table lifeline_lock"),
        ("COMMENT ON TABLE lifeline_lock IS 'lifeline/99: other'", "not of the format lifeline/1"),
    ],
)
def test_a_table_that_is_missing_or_foreign_is_found(
    spoil: str, told: str, client: Clients
) -> None:
    """With what to do about it."""
    url = store(LEASE)
    postgres.server().execute(spoil, database(url))
    (finding,) = [f for f in client(url).check() if f.level == BAD]
    assert told in finding.what
    assert "lifeline lock setup" in finding.advice


def test_rights_that_are_missing_are_found(client: Clients) -> None:
    """The table is there, and the role may not write it."""
    url = store(SESSION)
    role = _plain_role(url)
    (finding,) = [f for f in client(url.replace("postgres@", f"{role}@")).check() if f.level == BAD]
    assert finding.advice.startswith("GRANT SELECT, INSERT, UPDATE")
