"""PostgreSQL: what cannot work is said in one line, with what to do and without a secret."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from lifeline.backends.postgres.backend import Postgres
from lifeline.errors import StoreError, StoreRefused, StoreUnreachable, UsageError
from lifeline.leases.port import BAD, Claim, Granted
from lifeline.leases.stores import open_store
from support.servers import free_port, postgres
from support.waiting import eventually

from .pg import Clients, asked, client, database, grant_of, lock_count, take

__all__ = ["client"]  # a fixture
pytestmark = pytest.mark.needs("postgres")

SECRET = "s3cr3t"


def store(kind: str = "postgres-session") -> str:
    return postgres.stores()[kind]()


def refusal(backend_url: str, client: Clients, kind: type[StoreError] = StoreRefused) -> str:
    """The line that an acquisition ends in; nothing that it was raised from is shown."""
    with pytest.raises(kind) as caught:
        client(backend_url).try_acquire(asked())
    error = caught.value
    told = str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert "\n" not in told
    assert SECRET not in told
    assert told.startswith("postgresql://")
    return told


@pytest.mark.parametrize("query", ["", "&mode=xact", "&mode=lease"])
def test_a_wrong_password(query: str, client: Clients) -> None:
    """The server says no: trying again does not help."""
    url = store("postgres-session-no-table")
    _locked_role()
    told = refusal(
        url.replace("postgres@", f"locked:{SECRET}@") + f"?connect_timeout=9{query}", client
    )
    assert "password" in told
    assert "locked@127.0.0.1" in told


def _locked_role() -> None:
    postgres.server().execute(
        "DO $$ BEGIN CREATE ROLE locked LOGIN PASSWORD 'other'; "
        "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )


def test_a_password_that_is_missing(client: Clients) -> None:
    """None in the URL where one is needed."""
    _locked_role()
    told = refusal(store().replace("postgres@", "locked@"), client)
    assert "password" in told


def test_no_such_database(client: Clients) -> None:
    """The message names it."""
    told = refusal(postgres.server().url("nowhere"), client)
    assert 'database "nowhere" does not exist' in told
    assert "name one that exists" in told


def test_no_such_role(client: Clients) -> None:
    """The message names it."""
    told = refusal(postgres.server().url(user="nobody"), client)
    assert 'role "nobody" does not exist' in told


def test_nobody_listens(client: Clients) -> None:
    """Unreachable, which may pass."""
    told = refusal(f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/x", client, StoreUnreachable)
    assert "Connection refused" in told


def test_a_host_that_does_not_exist(client: Clients) -> None:
    """A name that cannot be resolved may be resolved later."""
    refusal(f"postgresql://u:{SECRET}@nowhere.invalid/x", client, StoreUnreachable)


def test_no_encryption_where_it_is_demanded(client: Clients) -> None:
    """sslmode=require, and the server has no TLS."""
    told = refusal(store() + "?sslmode=require", client)
    assert "SSL" in told
    assert "sslmode" in told


def test_a_missing_certificate(client: Clients) -> None:
    """verify-full without a root certificate to verify with."""
    refusal(store() + "?sslmode=verify-full&sslrootcert=/nowhere/root.crt", client)


def test_a_missing_table(client: Clients) -> None:
    """Mode lease cannot do without, and names the command that makes it."""
    told = refusal(store("postgres-session-no-table") + "?mode=lease", client)
    assert "lifeline lock setup URL" in told


def test_a_table_that_was_dropped(client: Clients) -> None:
    """While the backend was connected: the same, and no lock stays behind. Once nothing depends on
    that connection any more, it is as for who comes without a table."""
    url = store()
    one = client(url)
    kept = take(one, asked("kept"))
    postgres.server().execute("DROP TABLE lifeline_lock", database(url))
    with pytest.raises(StoreRefused, match="lifeline lock setup URL"):
        one.try_acquire(asked())
    with pytest.raises(StoreRefused):
        one.renew([kept])
    with pytest.raises(StoreRefused):
        one.release(kept)
    eventually(lambda: lock_count(url) == 0)
    answer = one.try_acquire(asked())
    assert isinstance(answer, Granted)
    assert answer.wait == asked().ttl


def test_no_rights_on_the_table(client: Clients) -> None:
    """The table is there, so locks without it would not see who came before: refused."""
    url = store()
    role = f"plain_{database(url)}"
    postgres.server().execute(f"CREATE ROLE {role} LOGIN")
    told = refusal(url.replace("postgres@", f"{role}@"), client)
    assert "GRANT SELECT, INSERT, UPDATE" in told
    assert lock_count(url) == 0


@pytest.mark.parametrize("kind", ["postgres-session", "postgres-session-no-table"])
def test_a_database_that_is_read_only(kind: str, client: Clients) -> None:
    """A lock of a read-only server would be nobody else's."""
    url = store(kind)
    postgres.server().execute(
        f"ALTER DATABASE {database(url)} SET default_transaction_read_only = on"
    )
    assert "read-only" in refusal(url, client)


@pytest.mark.parametrize("mode", ["session", "xact", "lease"])
def test_a_server_that_becomes_read_only_is_asked_again(mode: str, client: Clients) -> None:
    """A failover looks like that for a while to who could write before: on the connection that is
    open, and on a new one."""
    url = f"{postgres.stores()['postgres-session']()}?mode={mode}"
    one = client(url)
    one.release(take(one, asked()))
    setting = f"ALTER DATABASE {database(url)} SET default_transaction_read_only"
    postgres.server().execute(f"{setting} = on")
    postgres.server().execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        f"WHERE datname = '{database(url)}'"
    )
    for _ in range(3):
        with pytest.raises(StoreUnreachable):
            one.try_acquire(asked())
    with pytest.raises(StoreRefused, match="read-only"):
        client(url).try_acquire(asked())
    postgres.server().execute(f"{setting} = off")
    eventually(lambda: grant_of_either(one))


def grant_of_either(backend: Postgres) -> Granted | None:
    try:
        return grant_of(backend, asked())
    except StoreUnreachable:
        return None


def test_a_replica(client: Clients) -> None:
    """Advisory locks work there, for that server alone: refused, with what to give instead."""
    primary = postgres.new_server()  # the one that tests share is large by now
    replica = postgres.new_replica(primary)
    try:
        told = refusal(replica.url(), client)
        assert "primary" in told
        refusal(replica.url() + "?target_session_attrs=read-write", client)
    finally:
        replica.close()
        primary.close()


def test_a_server_that_hangs(client: Clients) -> None:
    """Unreachable after the patience, for a verb and for a new connection, in each mode."""
    server = postgres.new_server()

    def opened(mode: str) -> tuple[Postgres, Claim]:
        backend = client(f"{url}?mode={mode}", patience=0.3)
        return backend, take(backend, asked(mode))

    def hangs(one: Postgres, claim: Claim) -> None:
        with pytest.raises(StoreUnreachable):
            one.renew([claim])
        with pytest.raises(StoreUnreachable):
            one.try_acquire(asked())
        assert [finding.level for finding in one.check()] == [BAD]
        with pytest.raises(StoreUnreachable):
            client(f"{url}?mode={claim.name}", patience=0.3).try_acquire(asked())

    try:
        url = server.url(server.fresh_database())
        postgres.set_up(url)
        held = [opened(mode) for mode in ("session", "xact", "lease")]
        server.freeze()
        with ThreadPoolExecutor(len(held)) as pool:  # each waits for its patience
            list(pool.map(lambda each: hangs(*each), held))
    finally:
        server.close()


def test_a_server_that_is_shutting_down_or_gone(client: Clients) -> None:
    """A session that is ended by the server is gone: unreachable for all but its renewals."""
    server = postgres.new_server()
    try:
        one = client(server.url(server.fresh_database()))
        take(one, asked())
        server.stop()
        with pytest.raises(StoreUnreachable):
            one.holders()
        with pytest.raises(StoreUnreachable, match="refused"):
            one.holders()
    finally:
        server.close()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}/x@host/db",
        f"postgresql://u:a@{SECRET}@host/db",
        f"postgresql://u:{SECRET}@host:port/db",
        f"postgresql://u:{SECRET}@host:99999/db",
        f"postgresql://u:%zz{SECRET}@host/db",
        f"postgresql://u:{SECRET}@[::1/db",
        f"postgresql://u:{SECRET}@host/db?nonsense=1",
        f"postgresql://u:{SECRET}@host/db?mode=fast",
        f"postgresql://u:{SECRET}@host/db?mode=xact&mode=lease",
    ],
)
def test_a_url_that_cannot_be_one(url: str) -> None:
    """Refused before anything is connected, and not shown: the password may be anywhere in it."""
    with pytest.raises(UsageError) as caught:
        open_store(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_nothing_secret_is_shown_of_a_backend() -> None:
    """Neither of it nor of what it was opened with."""
    backend = open_store(f"postgresql://u:{SECRET}@host/db?password={SECRET}")
    assert SECRET not in f"{backend!r} {vars(backend)!r}"
