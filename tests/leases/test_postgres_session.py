"""PostgreSQL: what a session has to be, and what a pause of the server may cost it."""

from __future__ import annotations

import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
import pytest

from lifeline.backends.postgres import Postgres
from lifeline.backends.postgres.link import Link
from lifeline.backends.postgres.session import Statement
from lifeline.backends.postgres.url import parse
from lifeline.clock import boottime
from lifeline.errors import StoreRefused, StoreUnreachable
from lifeline.leases.port import LOST, RENEWED, UNKNOWN, Claim, Granted, Taken
from support.proxy import Proxy
from support.servers import postgres
from support.waiting import eventually

from .pg import (
    Clients,
    asked,
    client,
    connections,
    database,
    grant_of,
    granted,
    lock_count,
    lock_pids,
    take,
)

__all__ = ["client"]  # a fixture
pytestmark = pytest.mark.needs("postgres")

SESSION, LEASE, BARE = "postgres-session", "postgres-lease", "postgres-session-no-table"


def store(kind: str) -> str:
    return postgres.stores()[kind]()


# --- poolers ----------------------------------------------------------------------------------


@pytest.mark.needs("pgbouncer")
def test_behind_a_pooler_a_session_lock_is_given_to_two() -> None:
    """The hazard itself: two clients of pgbouncer in transaction mode are one session."""
    pooler = postgres.new_pooler(postgres.server(), pool_size=1)
    try:
        url = f"postgresql://postgres@127.0.0.1:{pooler.port}/{postgres.server().fresh_database()}"
        with (
            psycopg.connect(url, autocommit=True) as one,
            psycopg.connect(url, autocommit=True) as two,
        ):
            got = [each.execute("SELECT pg_try_advisory_lock(7)").fetchone() for each in (one, two)]
        assert got == [(True,), (True,)]
    finally:
        pooler.close()


@pytest.mark.needs("pgbouncer")
@pytest.mark.parametrize("mode", ["", "?mode=session"])
def test_behind_a_pooler_mode_session_is_refused(mode: str, client: Clients) -> None:
    """It is noticed by the backend's number, and the message names the two modes that work."""
    url = store("pgbouncer-xact").replace("?mode=xact", mode)
    with pytest.raises(StoreRefused, match=r"pooler.*mode=xact.*mode=lease"):
        client(url).try_acquire(asked())
    assert lock_count(url) == 0


@pytest.mark.needs("pgbouncer")
@pytest.mark.parametrize("kind", ["pgbouncer-xact", "pgbouncer-lease"])
def test_behind_a_pooler_releases_are_not_heard(kind: str, client: Clients) -> None:
    """LISTEN would stay with a connection that is somebody else's next."""
    assert client(store(kind)).watch("turn") is None


@pytest.mark.needs("pgbouncer")
def test_behind_a_pooler_a_held_lease_is_safe_from_other_clients(client: Clients) -> None:
    """With the lock in an open transaction the two clients are two."""
    url = store("pgbouncer-xact")
    one, two = client(url), client(url)
    claim = take(one, asked())
    assert isinstance(two.try_acquire(asked()), Taken)
    one.release(claim)
    assert isinstance(two.try_acquire(asked()), Granted)


def test_an_open_transaction_holds_nothing_back(client: Clients) -> None:
    """It has no number and no snapshot, so vacuum and CREATE INDEX CONCURRENTLY go on."""
    url = store("postgres-xact")
    one = client(url)
    claim = take(one, asked())
    assert one.renew([claim]) == [RENEWED]
    (pid,) = lock_pids(url)
    rows = postgres.server().execute(
        f"SELECT state, backend_xid, backend_xmin FROM pg_stat_activity WHERE pid = {pid}"
    )
    assert rows == [("idle in transaction", None, None)]


# --- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcp_keepalives_idle", "5"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "20000"),
        ("idle_session_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("lock_timeout", "2s"),
        ("default_transaction_isolation", "read committed"),
    ],
)
def test_the_server_looks_after_the_session(name: str, value: str) -> None:
    """Set for each session, whatever the database and the role are set to."""
    url = store(BARE)
    for setting in ("idle_session_timeout = '9s'", "default_transaction_isolation = serializable"):
        postgres.server().execute(f"ALTER DATABASE {database(url)} SET {setting}")
    link = Link(parse(url), 4, boottime)
    assert link.run(Statement(f"SHOW {name}")) == [[(value,)]]
    link.drop()


def test_the_client_looks_after_the_connection() -> None:
    """A server that is gone without a word is noticed within 20 s, also between statements."""
    link = Link(parse(store(BARE)), 4, boottime)
    with socket.socket(fileno=os.dup(link.main().fileno())) as connection:
        told = [
            connection.getsockopt(level, option)
            for level, option in (
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            )
        ]
    assert told == [1, 5, 5, 3, 20000]
    link.drop()


def test_the_driver_keeps_its_own_options() -> None:
    """What libpq takes may stand in the URL, and comes before our defaults."""
    link = Link(parse(store(BARE) + "?application_name=mine&keepalives_idle=7"), 4, boottime)
    assert link.run(Statement("SHOW application_name")) == [[("mine",)]]
    link.drop()


# --- pauses -----------------------------------------------------------------------------------


def test_a_pause_of_the_server_costs_no_lease(client: Clients) -> None:
    """The reply that came late is taken in, and the session holds what it held."""
    url = store(SESSION)
    one = client(url)
    claim = take(one, asked())
    (pid,) = lock_pids(url)
    one.patience = 0.2
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            with pytest.raises(StoreUnreachable, match="no answer"):
                one.renew([claim])
            with pytest.raises(StoreUnreachable):
                one.holders()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert eventually(lambda: _renewed(one, claim)) == [RENEWED]
    assert lock_pids(url) == [pid]


def _renewed(backend: Postgres, *claims: Claim) -> list[str] | None:
    """What a renewal says, if the server answers in time: a busy machine may be slower."""
    with suppress(StoreUnreachable):
        return backend.renew(claims)
    return None


@pytest.mark.parametrize("kind", [SESSION, BARE])
def test_an_acquisition_that_was_answered_late_is_granted_once(kind: str, client: Clients) -> None:
    """The same owner comes back: one lock, one fence, and free after one release."""
    url = store(kind)
    one, two = client(url), client(url)
    take(one, asked("other"))
    request = asked()
    (pid,) = lock_pids(url)
    before = lock_count(url)
    one.patience = 0.2
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnreachable):
            one.try_acquire(request)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: lock_count(url) > before)
    one.patience = 60
    assert isinstance(two.try_acquire(asked()), Taken)
    claim = take(one, request)
    assert one.renew([claim]) == [RENEWED]
    one.release(claim)
    assert granted(two, asked()).fence > claim.fence


@pytest.mark.parametrize("kind", [SESSION, BARE])
def test_a_grant_that_came_too_late_is_given_back(kind: str, client: Clients) -> None:
    """Its owner does not ask again: the next renewal of anything frees it, ended clean."""
    url = store(kind)
    one, two = client(url), client(url)
    kept = take(one, asked("other"))
    (pid,) = lock_pids(url)
    before = lock_count(url)
    one.patience = 0.2
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnreachable):
            one.try_acquire(asked())
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: lock_count(url) > before)
    assert eventually(lambda: _renewed(one, kept)) == [RENEWED]
    assert lock_count(url) == before
    assert granted(two, asked()).wait == (0 if kind == SESSION else 30)


@pytest.mark.parametrize("kind", [SESSION, BARE, "postgres-xact"])
def test_a_grant_that_comes_too_late_stays_with_nobody(kind: str, client: Clients) -> None:
    """Whoever asked has no other lease and asks no more: what it was granted is free all the same,
    and the same owner could still come back."""
    url = store(kind)
    one = client(url)
    one.release(take(one, asked("other")))
    pid = one._link.main().backend_pid
    one.patience = 0.2
    request = asked()
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnreachable):
            one.try_acquire(request)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: pid not in connections(url) and lock_count(url) == 0)
    one.patience = 60
    assert isinstance(one.try_acquire(request), Granted)


@pytest.mark.parametrize("kind", [SESSION, BARE, "postgres-xact"])
@pytest.mark.parametrize("others", [0, 1])
def test_what_could_not_be_released_is_free_once_the_server_answers(
    kind: str, others: int, client: Clients
) -> None:
    """Without another verb if nothing else is held; else with the next renewal of that."""
    url = store(kind)
    one = client(url)
    kept = [take(one, asked(f"other {number}")) for number in range(others)]
    before = lock_count(url)
    claim = take(one, asked())
    pids = connections(url)
    one.patience = 0.2
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnreachable):
            one.renew([claim])
        with pytest.raises(StoreUnreachable):
            one.release(claim)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    one.patience = 60
    if kept:
        assert eventually(lambda: _renewed(one, kept[0])) == [RENEWED]
    eventually(lambda: lock_count(url) == before)
    assert isinstance(client(url).try_acquire(asked()), Granted)


@pytest.mark.parametrize("kind", [SESSION, BARE, "postgres-xact"])
def test_what_is_not_renewed_in_time_does_not_stay(kind: str, client: Clients) -> None:
    """Its holder counts it as lost and has no reason to say so: it ends with another's renewal."""
    url = store(kind)
    one = client(url)
    kept = take(one, asked("other", ttl=3600))
    before = lock_count(url)
    take(one, asked(ttl=0.1))

    def is_gone() -> bool:
        assert one.renew([kept]) == [RENEWED]
        return lock_count(url) == before

    eventually(is_gone)


def test_without_the_table_a_late_grant_is_no_clean_end(client: Clients) -> None:
    """A holder's session ends while it works; another is granted the slot too late and gives it
    back: who listened waits for the first one all the same."""
    url = store(BARE)
    one, two, three = client(url), client(url), client(url)
    take(one, asked())
    kept = take(two, asked("other"))
    assert three.watch("turn")
    assert isinstance(three.try_acquire(asked()), Taken)
    pids = lock_pids(url)
    one.close()
    eventually(lambda: lock_pids(url) != pids)
    (pid,) = lock_pids(url)
    before = lock_count(url)
    two.patience = 0.2
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnreachable):
            two.try_acquire(asked())
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: lock_count(url) > before)
    two.patience = 60
    assert two.renew([kept]) == [RENEWED]
    assert lock_count(url) == before
    assert granted(three, asked(ttl=7)).wait == 7


def test_a_transaction_that_hangs_costs_the_others_nothing(client: Clients) -> None:
    """All are asked before any is waited for; the one that hangs is not known."""
    url = store("postgres-xact")
    one = client(url)
    claim = take(one, asked("hangs"))
    (pid,) = lock_pids(url)
    others = [take(one, asked(f"other {number}")) for number in range(3)]
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):  # the second time the first answer is still missing
            one.patience = 2
            answers = eventually(lambda: _renewed(one, claim, *others))
            assert answers == [UNKNOWN, RENEWED, RENEWED, RENEWED]
    finally:
        os.kill(pid, signal.SIGCONT)
    one.patience = 60
    assert eventually(lambda: _all_renewed(one, claim, *others))


def _all_renewed(backend: Postgres, *claims: Claim) -> bool:
    return backend.renew(claims) == [RENEWED] * len(claims)


def test_a_frozen_connection_is_left_if_nothing_depends_on_it(client: Clients) -> None:
    """Mode lease connects anew: the other connection works."""
    url = store(LEASE)
    one = client(url)
    claim = take(one, asked())
    one.patience = 0.5
    rows = postgres.server().execute(
        f"SELECT pid FROM pg_stat_activity WHERE datname = '{database(url)}'"
    )
    ((pid,),) = rows
    os.kill(int(str(pid)), signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnreachable):
            one.renew([claim])
        assert eventually(lambda: _renewed(one, claim)) == [RENEWED]
    finally:
        os.kill(int(str(pid)), signal.SIGCONT)


def test_the_reply_to_a_renewal_before_is_no_answer_to_this_one(client: Clients) -> None:
    """A late RENEWED is taken in and not passed on: meanwhile the lease was broken."""
    url = store(SESSION)
    one, two = client(url), client(url)
    claim = take(one, asked())
    (pid,) = lock_pids(url)
    one.patience = 0.2
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnreachable):
            one.renew([claim])
    finally:
        os.kill(pid, signal.SIGCONT)
    assert two.break_lease("turn", 0)
    one.patience = 60
    assert one.renew([claim]) == [LOST]


@pytest.mark.parametrize("kind", [SESSION, LEASE])
def test_the_same_owner_is_granted_the_same_over_a_new_connection(
    kind: str, client: Clients
) -> None:
    """The reply was lost with the connection: nothing ran, so nothing is waited for."""
    url = store(kind)
    request = asked()
    one, two = client(url), client(url)
    first = granted(one, request)
    one.close()
    again = eventually(lambda: grant_of(two, request))
    assert (again.slot, again.fence, again.wait) == (first.slot, first.fence, 0)


def test_the_same_owner_is_granted_no_lock_that_is_gone(client: Clients) -> None:
    """In mode xact the lock and the row are on two connections: both have to be there."""
    url = store("postgres-xact")
    one = client(url)
    request = asked()
    take(one, request)
    (pid,) = lock_pids(url)
    postgres.server().execute(f"SELECT pg_terminate_backend({pid}, 10000)")
    assert isinstance(one.try_acquire(request), Granted)
    assert lock_pids(url) not in ([], [pid])


# --- many, and forks --------------------------------------------------------------------------


def test_a_thousand_claims_are_renewed_in_one_statement(client: Clients) -> None:
    """All rows are written by one transaction, over one connection."""
    url = store(SESSION)
    one = client(url)
    claims = [take(one, asked(f"turn {number}")) for number in range(1000)]
    assert one.renew(claims) == [RENEWED] * 1000
    rows = postgres.server().execute(
        "SELECT count(DISTINCT xmin::text), count(*) FROM lifeline_lock", database(url)
    )
    assert rows == [(1, 1000)]
    assert len(lock_pids(url)) == 1


def test_a_session_lock_is_never_stacked(client: Clients) -> None:
    """Asked for a hundred times by others in the same process, it is free after one release."""
    url = store(SESSION)
    one, two = client(url), client(url)
    claim = take(one, asked())
    for _ in range(100):
        assert isinstance(one.try_acquire(asked()), Taken)
    one.release(claim)
    assert lock_count(url) == 0
    assert isinstance(two.try_acquire(asked()), Granted)


@pytest.mark.parametrize("kind", [SESSION, "postgres-xact", LEASE])
@pytest.mark.parametrize("forgets", [True, False])
def test_a_forked_child_leaves_the_session_alone(kind: str, forgets: bool, client: Clients) -> None:
    """Neither its forget() nor its exit says a word to the server."""
    url = store(kind)
    one, two = client(url), client(url)
    claim = take(one, asked())
    child = os.fork()
    if not child:
        try:
            if forgets:
                one.forget()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert one.renew([claim]) == [RENEWED]
    assert isinstance(two.try_acquire(asked()), Taken)


def test_after_forget_a_child_has_a_connection_of_its_own(client: Clients) -> None:
    """What the parent holds is lost to the child, and taken for everybody."""
    url = store(SESSION)
    one = client(url)
    claim = take(one, asked())
    child = os.fork()
    if not child:
        code = 1
        try:
            one.forget()
            if one.renew([claim]) == [LOST] and isinstance(one.try_acquire(asked()), Taken):
                code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert one.renew([claim]) == [RENEWED]


@pytest.mark.parametrize("passed", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", [SESSION, "postgres-xact"])
def test_a_forked_child_keeps_no_session_that_was_being_made(kind: str, passed: int) -> None:
    """A thread connects or asks while another forks: the child has no copy of its socket, which
    would keep the lock for as long as the child lives."""
    url = store(kind)
    port = postgres.server().port
    with Proxy(port) as proxy, ThreadPoolExecutor(1) as pool:
        proxy.delay(0.1)
        one = Postgres(parse(url.replace(f":{port}/", f":{proxy.port}/")), boottime, 60)
        asking = pool.submit(one.try_acquire, asked())
        eventually(lambda: proxy.connections and proxy.passed >= passed)
        child = os.fork()
        if not child:
            os._exit(len(_connected_to(proxy.port)))
        assert os.WEXITSTATUS(os.waitpid(child, 0)[1]) == 0
        assert isinstance(asking.result(), Granted)
        one.close()


def _connected_to(port: int) -> list[int]:
    """This process' sockets that lead to the port."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as each:
            if each.getpeername()[1:2] == (port,):
                found.append(int(name))
    return found
