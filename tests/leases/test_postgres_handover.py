"""PostgreSQL: when a successor may begin, and what a session that is gone means."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from lifeline.errors import StoreRefused
from lifeline.leases.port import LOST, RENEWED, Claim, Taken
from lifeline.leases.stores import open_store
from support.servers import postgres
from support.spawning import Spawner
from support.waiting import eventually

from .pg import Clients, asked, claimed, client, grant_of, granted, lock_pids, take

__all__ = ["client"]  # a fixture

pytestmark = pytest.mark.needs("postgres")

HOLDER = Path(__file__).with_name("holder.py")
WITH_TABLE = ["postgres-session", "postgres-xact"]
TERMINATE = "SELECT pg_terminate_backend({}, 10000)"


@pytest.mark.parametrize("kind", [*WITH_TABLE, "postgres-lease"])
def test_who_takes_over_from_a_clean_end_begins_at_once(kind: str, client: Clients) -> None:
    """After a release, the wait is nothing."""
    url = postgres.stores()[kind]()
    one, two = client(url), client(url)
    one.release(take(one, asked()))
    assert granted(two, asked()).wait == 0


@pytest.mark.parametrize("kind", WITH_TABLE)
def test_who_takes_over_from_a_session_that_was_ended_waits(kind: str, client: Clients) -> None:
    """The server frees the lock at once; the job of the one before may run until its stop_by."""
    url = postgres.stores()[kind]()
    one, two = client(url), client(url)
    claim = take(one, asked(ttl=20))
    (pid,) = lock_pids(url)
    postgres.server().execute(TERMINATE.format(pid))
    grant = granted(two, asked(ttl=50))
    assert 15 < grant.wait <= 20
    assert grant.fence > claim.fence
    assert one.renew([claim]) == [LOST]
    assert isinstance(one.try_acquire(asked()), Taken)


@pytest.mark.parametrize("kind", WITH_TABLE)
def test_who_takes_over_from_a_killed_process_waits(
    kind: str, client: Clients, spawn: Spawner
) -> None:
    """Nobody said that the job is gone: the successor waits out what the row says."""
    url = postgres.stores()[kind]()
    process = spawn(sys.executable, HOLDER, url, "turn", "1", "20")
    assert process.stdout is not None
    assert process.stdout.readline()
    two = client(url)
    assert isinstance(two.try_acquire(asked()), Taken)
    process.send_signal(signal.SIGKILL)
    request = asked()
    grant = eventually(lambda: grant_of(two, request), within=120)
    assert 5 < grant.wait <= 20


def test_a_clean_end_does_not_hide_who_came_before(client: Clients) -> None:
    """The second holder ends before it could begin: the third still waits for the first."""
    url = postgres.stores()["postgres-session"]()
    one, two, three = client(url), client(url), client(url)
    take(one, asked(ttl=40))
    one.close()
    second = asked(ttl=1)
    grant = eventually(lambda: grant_of(two, second))
    assert grant.wait > 30
    two.release(claimed(second, grant))
    assert 30 < granted(three, asked(ttl=1)).wait <= 40


def test_a_free_slot_goes_before_one_that_has_to_be_waited_for(client: Clients) -> None:
    """Of two slots that can be locked, the one whose holder ended clean is given first."""
    url = postgres.stores()["postgres-session"]()
    one, two = client(url), client(url)
    take(one, asked(slots=2))
    one.close()
    eventually(lambda: not lock_pids(url))
    grant = granted(two, asked(slots=2))
    assert (grant.slot, grant.wait) == (1, 0)


def test_renewing_moves_the_time_by_which_the_holder_is_gone(client: Clients) -> None:
    """stop_by is counted from the last renewal, by the server's clock."""
    url = postgres.stores()["postgres-session"]()
    one, two = client(url), client(url)
    claim = take(one, asked(ttl=1))
    longer = Claim(claim.name, claim.slot, claim.slots, claim.owner, claim.fence, 100)
    assert one.renew([longer]) == [RENEWED]
    one.close()
    assert eventually(lambda: grant_of(two, asked(ttl=1))).wait > 90


def test_a_lease_breaks_only_by_its_end(client: Clients) -> None:
    """In mode lease a connection that is gone frees nothing, and its owner may come back."""
    url = postgres.stores()["postgres-lease"]()
    one, two = client(url), client(url)
    claim = take(one, asked())
    one.close()
    assert isinstance(two.try_acquire(asked()), Taken)
    assert two.renew([claim]) == [RENEWED]


# --- without the table ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["session", "xact"])
def test_without_the_table_a_taker_waits_a_whole_ttl(mode: str, client: Clients) -> None:
    """It cannot know whether somebody died a moment ago."""
    url = _bare(mode)
    one, two = client(url), client(url)
    first = take(one, asked())
    one.release(first)
    second = granted(two, asked(ttl=7))
    assert second.wait == 7
    assert second.fence > first.fence


@pytest.mark.parametrize("mode", ["session", "xact"])
def test_without_the_table_a_release_that_was_heard_is_clean(mode: str, client: Clients) -> None:
    """Who listened all the time and last heard of a release begins at once."""
    url = _bare(mode)
    one, two = client(url), client(url)
    claim = take(one, asked())
    wake = two.watch("turn")
    assert wake is not None
    one.release(claim)
    assert eventually(wake.drain)
    assert granted(two, asked()).wait == 0


@pytest.mark.parametrize("mode", ["session", "xact"])
def test_without_the_table_an_acquisition_outdates_a_release(mode: str, client: Clients) -> None:
    """Released, taken by another, who dies: heard, and the taker waits."""
    url = _bare(mode)
    one, two, three = client(url), client(url), client(url)
    claim = take(one, asked())
    assert two.watch("turn")
    one.release(claim)
    take(three, asked())
    three.close()
    eventually(lambda: not lock_pids(url))
    assert granted(two, asked(ttl=7)).wait == 7


def test_without_the_table_a_new_session_has_heard_nothing(client: Clients) -> None:
    """What was heard on a session that broke proves nothing any more."""
    url = _bare("session")
    one, two = client(url), client(url)
    claim = take(one, asked())
    assert two.watch("turn")
    other = take(two, asked("other"))
    pids = lock_pids(url)
    one.release(claim)
    take(two, asked("third"))  # with the answer comes what was told
    for pid in pids:
        postgres.server().execute(TERMINATE.format(pid))
    assert two.renew([other]) == [LOST]
    assert granted(two, asked(ttl=7)).wait == 7


def test_without_the_table_a_holder_is_a_session(client: Clients) -> None:
    """The server's locks tell that somebody holds, and whose session it is; of one name only."""
    url = _bare("session")
    one, two = client(url), client(url)
    claim = take(one, asked(slots=3))
    (pid,) = lock_pids(url)
    (seen,) = two.holders("turn")
    assert (seen.slot, seen.slots, seen.info) == (claim.slot, 3, {"backend": pid})
    (mine,) = one.holders("turn")
    assert (mine.owner, mine.fence) == (claim.owner, claim.fence)
    with pytest.raises(StoreRefused, match="lock setup"):
        two.holders()


def test_the_table_is_used_as_soon_as_it_is_there(client: Clients) -> None:
    """Fences made with the table are above those that were made without."""
    url = _bare("session")
    one = client(url)
    claim = take(one, asked())
    assert open_and_set_up(url)
    assert one.renew([claim]) == [RENEWED]
    one.release(claim)
    again = take(one, asked())
    assert again.fence > claim.fence
    assert [seen.owner for seen in one.holders()] == [again.owner]
    one.release(again)
    assert not lock_pids(url)


def _bare(mode: str) -> str:
    return f"{postgres.stores()['postgres-session-no-table']()}?mode={mode}"


def open_and_set_up(url: str) -> list[str]:
    backend = open_store(url)
    done = backend.setup()
    backend.close()
    return done
