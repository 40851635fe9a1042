"""Histories that clients wrote are right, and the check that says so sees what is not."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from subprocess import Popen

import pytest

from lifeline.clock import boottime
from lifeline.leases.stores import open_store
from support.proxy import Proxy
from support.servers import valkey
from support.spawning import Spawner
from support.stores import STORES
from support.waiting import eventually

from .history import Break, Stay, faults, read

PROGRAM = Path(__file__).with_name("history.py")
# Without a table, PostgreSQL cannot tell a clean end: whoever comes next waits for a ttl.
BRISK = sorted(STORES.keys() - {"postgres-session-no-table"})


# --- the check itself -------------------------------------------------------------------------


def stay(fence: int, begin: float, end: float, slot: int = 0) -> Stay:
    return Stay(f"client of {fence}", slot, fence, begin, end)


def test_one_after_the_other_is_right() -> None:
    """With gaps in time and in fences, in any order of the lines; slots are apart."""
    stays = [stay(7, 3, 4), stay(1, 0, 1), stay(2, 1.5, 2), stay(1, 0, 9, slot=1)]
    assert faults(stays) == []
    assert faults([]) == []


@pytest.mark.parametrize(
    "stays",
    [
        [stay(1, 0, 2), stay(2, 1, 3)],
        [stay(1, 0, 9), stay(2, 1, 2), stay(3, 4, 5)],
        [stay(1, 0, 9), stay(2, 10, 11), stay(3, 10.5, 10.6)],
        [stay(1, 0, 1), stay(2, 1, 2)],
    ],
)
def test_two_at_once_are_seen(stays: list[Stay]) -> None:
    """Also if one began long before, and if they only touch."""
    assert any("two at once" in fault for fault in faults(stays))


@pytest.mark.parametrize("fences", [(1, 1), (2, 1), (5, 7, 6)])
def test_a_fence_that_does_not_rise_is_seen(fences: tuple[int, ...]) -> None:
    """It stays, it goes back, it goes back later."""
    stays = [stay(fence, 2 * n, 2 * n + 1) for n, fence in enumerate(fences)]
    stays = [Stay(f"{n}", *list(vars(each).values())[1:]) for n, each in enumerate(stays)]
    assert any("does not rise" in fault for fault in faults(stays))


def test_work_after_a_break_is_seen_and_what_hears_of_it_in_time_is_excused() -> None:
    """The holder of a broken lease hears of it at its next renewal, within a ttl."""
    broken = Break(0, fence=2, at=5.0, ttl=3.0)
    assert faults([stay(1, 0, 7), stay(3, 6, 9)], [broken]) == []
    assert any("works on" in fault for fault in faults([stay(1, 0, 8.5)], [broken]))
    assert any("two at once" in fault for fault in faults([stay(1, 0, 8.5), stay(3, 6, 9)]))


def test_what_a_killed_client_wrote_counts_up_to_its_last_moment(tmp_path: Path) -> None:
    """Half a line at the end does not."""
    file = tmp_path / "stamps"
    file.write_text("one 0 4 10.5\none 0 4 11.5\ntwo 1 9 11.0\none 0 4 12")
    assert sorted(read(file), key=lambda each: each.slot) == [
        Stay("one", 0, 4, 10.5, 11.5),
        Stay("two", 1, 9, 11.0, 11.0),
    ]


# --- clients of every store -------------------------------------------------------------------


class Clients:
    """Starts clients that write to one file."""

    def __init__(self, spawn: Spawner, directory: Path) -> None:
        self.stamps = directory / "stamps"
        self._spawn = spawn

    def start(self, mode: str, url: str, *words: object, broken: str = "") -> Popen[str]:
        slots, ttl, *rest = words
        asked = [url, "turn", str(slots), str(ttl), str(self.stamps), *map(str, rest)]
        return self._spawn(sys.executable, PROGRAM, mode, *asked, env={"LIFELINE_BROKEN": broken})

    def stays(self) -> list[Stay]:
        return read(self.stamps)

    def worked(self, process: Popen[str]) -> Stay | None:
        """What this one has written so far."""
        return next((each for each in self.stays() if each.client == str(process.pid)), None)


@pytest.fixture
def clients(spawn: Spawner, tmp_path: Path) -> Clients:
    return Clients(spawn, tmp_path)


def finish(*processes: Popen[str]) -> None:
    """All of them end, and none has anything to complain of."""
    for process in processes:
        _, said = process.communicate(timeout=110)
        assert process.returncode == 0, said


@pytest.mark.parametrize("url", BRISK, indirect=True)
def test_twenty_clients_over_five_slots_leave_a_right_history(url: str, clients: Clients) -> None:
    """Four processes of five threads, fifty rounds each: never two in a slot, fences rise."""
    rounds = 15 if url.startswith("dynamodb:") else 50  # the stand-in for it is slow
    finish(*(clients.start("tries", url, 5, 20, rounds, 5) for _ in range(4)))
    stays = clients.stays()
    assert len(stays) >= 100  # or it showed nothing
    assert {each.slot for each in stays} == set(range(5))
    assert faults(stays) == []


@pytest.mark.parametrize("url", BRISK, indirect=True)
def test_nothing_that_is_counted_under_the_lock_is_lost(
    url: str, clients: Clients, tmp_path: Path
) -> None:
    """Eight processes add one a hundred times each, to a number that nothing else guards; fewer
    times where nobody is told of a release: there each turn takes a while to be found free."""
    clients.stamps = tmp_path / "number"
    clients.stamps.write_text("0")
    rounds = 10 if url.startswith("dynamodb:") else 100
    finish(*(clients.start("count", url, 1, 20, rounds) for _ in range(8)))
    assert clients.stamps.read_text() == str(8 * rounds)


def test_killed_holders_leave_a_right_history(url: str, clients: Clients) -> None:
    """Each is killed while it works; the next one begins when the store can tell, with a newer
    fence, and not before the one before is dead."""
    for number in range(1, 4):
        one = clients.start("stay", url, 1, 2, 600)
        eventually(lambda one=one: clients.worked(one), within=120)
        one.kill()
        one.wait()
        assert len(clients.stays()) == number
    assert faults(clients.stays()) == []


# --- stores that are broken on purpose --------------------------------------------------------


@pytest.mark.parametrize("broken", ["", "releases"])
def test_a_store_that_releases_on_a_failed_renewal_is_caught(broken: str, clients: Clients) -> None:
    """The answer to a renewal gets lost. That changes nothing, if the store is not broken."""
    # Works for long enough to be overtaken, or ends by itself.
    ttl, seconds = (60, 600) if broken else (9, 6)
    namespace = uuid.uuid4().hex
    with Proxy(valkey.server().port) as proxy:
        far = valkey.url_of(proxy.port, namespace=namespace)
        near = valkey.url_of(valkey.server().port, namespace=namespace)
        one = clients.start("stay", far, 1, ttl, seconds, broken=broken)
        eventually(lambda: clients.worked(one), within=120)
        two = clients.start("stay", near, 1, 9, 0.2)
        proxy.lose_replies(cut=True)
        eventually(lambda: proxy.lost, within=120)
        proxy.heal()
        finish(two)
        if broken:
            one.kill()
            one.wait()
        else:
            finish(one)
    assert len(clients.stays()) == 2
    assert any("two at once" in fault for fault in faults(clients.stays())) == bool(broken)


@pytest.mark.parametrize("broken", ["", "recreates"])
def test_a_store_that_renews_what_is_lost_is_caught(broken: str, clients: Clients) -> None:
    """A lease is broken by hand. Its holder hears of it, if the store is not broken."""
    url, ttl = valkey.url_of(valkey.server().port, namespace=uuid.uuid4().hex), 3.0
    one = clients.start("stay", url, 1, ttl, 600, broken=broken)
    eventually(lambda: clients.worked(one), within=120)
    store = open_store(url)
    fence = store.break_lease("turn", 0)
    assert fence is not None
    broke = Break(0, fence, boottime(), ttl)
    store.close()

    def works_on() -> bool:
        return any("works on" in fault for fault in faults(clients.stays(), [broke]))

    if broken:
        eventually(works_on, within=120)
        one.kill()
        one.wait()
    else:
        finish(one)
        assert not works_on()
