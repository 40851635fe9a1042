"""lock(): the manners of threading.Lock, over every store there is."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from subprocess import Popen

import pytest

from lifeline import Lock, UsageError, lock
from lifeline.clock import boottime
from lifeline.errors import LeaseLost, StoreUnreachable
from lifeline.leases import candidate, shared
from lifeline.leases.port import Claim, Granted, Request
from lifeline.leases.stores import open_store
from lifeline.locked import call_locked
from support.servers import valkey
from support.spawning import Spawner
from support.stores import STORES
from support.waiting import eventually

from .conftest import BRISK
from .history import Broken

LONG = 60.0  # seconds: bounds a test that fails


def in_thread(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


# --- manners ----------------------------------------------------------------------------------


@BRISK
def test_it_is_taken_and_released_as_a_lock_of_threads_is(url: str) -> None:
    """True, false while another has it, true again; `locked` tells."""
    one, two = lock("turn", url), lock("turn", url)
    assert one.acquire() is True
    assert one.lease is not None and one.lease.alive
    assert two.acquire(blocking=False) is False
    assert two.lease is None
    assert one.locked() and two.locked()
    one.release()
    assert one.lease is None
    assert not two.locked()
    assert two.acquire(blocking=False) is True
    two.release()


@BRISK
def test_who_waits_with_a_limit_gives_up_when_it_is_over(url: str) -> None:
    """Not before; and it gets the lease if that is released in time."""
    one, two = lock("turn", url), lock("turn", url)
    one.acquire()
    began = boottime()
    assert two.acquire(timeout=0.3) is False
    assert boottime() - began >= 0.3
    got: list[bool] = []
    waiter = in_thread(lambda: got.append(two.acquire(timeout=LONG)))
    one.release()
    waiter.join(LONG)
    assert got == [True]
    two.release()


@BRISK
def test_the_body_of_with_runs_under_the_lease_only(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads take turns; both are over in the end, also by an error."""
    monkeypatch.setattr(candidate, "POLL", 0.2)  # where nobody is told of a release
    inside: list[str] = []

    def work(name: str) -> None:
        with lock("turn", url) as lease:
            lease.check()
            inside.append(f"{name} in")
            inside.append(f"{name} out")

    threads = [in_thread(lambda name=name: work(name)) for name in "ab"]
    for thread in threads:
        thread.join(LONG)
    assert sorted(inside[::2]) == ["a in", "b in"]
    assert [word.replace("in", "out") for word in inside[::2]] == inside[1::2]
    with pytest.raises(KeyError), lock("turn", url):
        raise KeyError
    assert not lock("turn", url).locked()


@BRISK
def test_it_is_not_re_entrant(url: str) -> None:
    """Neither over the same object nor over another of the same name."""
    one = lock("turn", url)
    with one:
        assert one.acquire(blocking=False) is False
        assert one.acquire(timeout=0.05) is False
        assert lock("turn", url).acquire(blocking=False) is False
        assert one.lease is not None and one.lease.alive


@BRISK
def test_what_is_not_held_cannot_be_released(url: str) -> None:
    """Never held, held by another, released before: RuntimeError, and nothing changes."""
    one, two = lock("turn", url), lock("turn", url)
    with pytest.raises(RuntimeError):
        one.release()
    two.acquire()
    with pytest.raises(RuntimeError):
        one.release()
    assert two.lease is not None and two.lease.alive
    two.release()
    with pytest.raises(RuntimeError):
        two.release()


@BRISK
def test_any_thread_may_release(url: str) -> None:
    """And the object can be taken again, by any."""
    one = lock("turn", url)
    one.acquire()
    in_thread(one.release).join(LONG)
    assert one.lease is None
    assert one.acquire(blocking=False)
    one.release()


@pytest.mark.parametrize(
    ("blocking", "timeout"), [(False, 1.0), (False, 0.0), (True, -2.0), (True, -0.5)]
)
def test_what_makes_no_sense_is_refused_as_threading_does(blocking: bool, timeout: float) -> None:
    """A limit for who does not wait, and a negative one."""
    with pytest.raises(ValueError) as theirs:
        threading.Lock().acquire(blocking, timeout)
    with pytest.raises(ValueError) as ours:
        lock("turn", STORES["file"]()).acquire(blocking, timeout)
    assert str(ours.value).split()[0] == str(theirs.value).split()[0]


# --- names and terms --------------------------------------------------------------------------


@BRISK
def test_names_are_told_apart_by_every_letter(url: str) -> None:
    """Case, spaces, any script, 300 characters: all are held at once."""
    names = ["job", "Job", "job ", "caf\u00e9", "cafe\u0301", "\u65e5\u672c", "\U0001f600"]
    names += ["x" * 299 + "a", "x" * 299 + "b"]
    locks = [lock(name, url) for name in names]
    assert [each.acquire(blocking=False) for each in locks] == [True] * len(names)
    assert [lock(name, url).acquire(blocking=False) for name in names] == [False] * len(names)
    for each in locks:
        each.release()


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 301])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    """Before any store is asked."""
    with pytest.raises(UsageError):
        Lock(name, "redis://nowhere.invalid/")


def test_terms_that_cannot_be_kept_are_refused() -> None:
    """With the sum; so are slots that cannot be."""
    with pytest.raises(UsageError, match="ttl is too short"):
        lock("turn", STORES["file"](), ttl=5, grace=5)
    with pytest.raises(UsageError, match="slots"):
        lock("turn", STORES["file"](), slots=0)


def test_without_a_url_it_is_the_one_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """LIFELINE_LOCK, which may name another variable in turn."""
    url = STORES["file"]()
    monkeypatch.setenv("LIFELINE_LOCK", "env:THE_STORE")
    monkeypatch.setenv("THE_STORE", url)
    with lock("turn"):
        assert lock("turn", url).locked()


@BRISK
def test_each_of_the_slots_is_given_once(url: str) -> None:
    """Three at most, each in another slot; the fourth takes what becomes free."""
    locks = [lock("pool", url, slots=3) for _ in range(4)]
    assert [each.acquire(blocking=False) for each in locks] == [True, True, True, False]
    leases = [each.lease for each in locks if each.lease]
    assert sorted(lease.slot for lease in leases) == [0, 1, 2]
    assert len(locks[0].holders()) == 3
    locks[1].release()
    assert not locks[3].locked()
    assert locks[3].acquire(blocking=False)
    assert locks[3].lease is not None
    assert (locks[3].lease.slot, locks[3].lease.slots) == (leases[1].slot, 3)
    assert locks[3].lease.fence > leases[1].fence
    for each in (locks[0], locks[2], locks[3]):
        each.release()


# --- other processes --------------------------------------------------------------------------

Holds = Callable[..., tuple[Popen[str], Claim]]


def test_what_a_killed_process_held_is_taken_over(url: str, held_elsewhere: Holds) -> None:
    """By who waits, as soon as the store can tell."""
    process, claim = held_elsewhere("turn", ttl=2.0)
    one = lock("turn", url, ttl=3, grace=0)
    got: list[int] = []

    def wait() -> None:
        with one as lease:
            got.append(lease.fence)

    process.kill()
    process.wait()
    in_thread(wait).join(LONG)
    assert got and got[0] > claim.fence


@BRISK
def test_who_asks_now_and_then_takes_over_what_nobody_renews(
    url: str, held_elsewhere: Holds
) -> None:
    """Each time anew and without waiting, as a timer in a program does: where the store has no
    clock, what was seen before counts."""
    process, _ = held_elsewhere("turn", ttl=1.5)
    process.kill()
    process.wait()

    def granted() -> bool:
        return lock("turn", url).acquire(blocking=False)

    eventually(granted, within=LONG, every=0.1)


def tells(name: str) -> bool:
    return name not in {"postgres-session-no-table", "dynamodb"} and "pgbouncer" not in name


HAND_OVER = sorted(filter(tells, STORES))


@pytest.mark.parametrize("url", HAND_OVER, indirect=True)
def test_who_waits_is_told_of_a_release(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not find out by asking: its next request would come after this test has failed."""
    monkeypatch.setattr(candidate, "POLL", 10_000.0)
    one, two = lock("turn", url, ttl=3600), lock("turn", url, ttl=3600)
    one.acquire()
    asked = two.store.try_acquire
    requests: list[float] = []
    monkeypatch.setattr(
        two.store, "try_acquire", lambda request: (requests.append(boottime()), asked(request))[1]
    )
    got: list[bool] = []
    waiter = in_thread(lambda: got.append(two.acquire(timeout=3000)))
    eventually(lambda: len(requests) >= 2, within=LONG)  # the second once it listens
    one.release()
    waiter.join(LONG)
    assert got == [True]
    two.release()


@BRISK
@pytest.mark.usefixtures("often")
def test_after_a_fork_the_child_holds_nothing_and_the_parent_all(url: str) -> None:
    """The child can neither release nor renew, nor have it beside its parent; the parent's lease
    is renewed as before."""
    one = lock("turn", url)
    one.acquire()
    held = one.lease
    assert held is not None
    child = os.fork()
    if child == 0:
        try:
            os._exit(_what_is_wrong_in_a_child(one, held))
        except BaseException:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for _ in range(2):
        sent = held.lease.sent
        eventually(lambda sent=sent: held.lease.sent > sent or not held.alive, within=LONG)
    held.check()
    assert lock("turn", url).acquire(blocking=False) is False
    one.release()


def _what_is_wrong_in_a_child(one: Lock, held: object) -> int:
    """0 if nothing is."""
    if held.alive or one.lease is not None:  # type: ignore[attr-defined]
        return 1
    try:
        held.check()  # type: ignore[attr-defined]
    except LeaseLost:
        pass
    else:
        return 2
    try:
        one.release()
    except RuntimeError:
        pass
    else:
        return 3
    if one.acquire(blocking=False):
        return 4
    alive = [thread.name for thread in threading.enumerate()]
    return 5 if "lifeline" in alive else 0


# --- stores that do not answer ----------------------------------------------------------------


def test_an_unreachable_store_is_told_to_who_does_not_wait(spawn: Spawner) -> None:
    """Who waits gets the lease once the store is back."""
    server = valkey.new_server()
    url = valkey.url_of(server.port)
    server.kill()
    one = lock("turn", url)
    with pytest.raises(StoreUnreachable):
        one.acquire(blocking=False)
    with pytest.raises(StoreUnreachable):
        one.acquire(timeout=0.2)
    assert one.lease is None
    got: list[bool] = []
    waiter = in_thread(lambda: got.append(one.acquire(timeout=LONG)))
    server.start()
    waiter.join(LONG)
    server.close()
    assert got == [True]


def test_a_release_without_an_answer_is_told_and_the_object_is_free() -> None:
    """By StoreError; `with` only logs it, for its work is done."""
    server = valkey.new_server()
    one = lock("turn", valkey.url_of(server.port))
    two = lock("another", valkey.url_of(server.port))
    one.acquire()
    with two:
        server.kill()
    with pytest.raises(StoreUnreachable):
        one.release()
    assert one.lease is None
    with pytest.raises(RuntimeError):
        one.release()
    server.close()


HOLDS_THE_GIL = """
import ctypes, sys, threading
from lifeline import LeaseLost, lock
turn = lock("turn", sys.argv[1], ttl=4, grace=0)
turn.acquire()
lease = turn.lease
assert lease.alive
ctypes.PyDLL(None).sleep(3)  # no other thread of this interpreter runs meanwhile
assert not lease.alive and lease.left() == 0
try:
    lease.check()
except LeaseLost:
    print("lost")
"""


@pytest.mark.parametrize("url", ["file", "redis", "postgres-session"], indirect=True)
def test_a_lease_is_over_by_the_clock_though_no_thread_could_see_it(
    url: str, spawn: Spawner
) -> None:
    """A call into C holds the interpreter for longer than the ttl: then it is not alive, before
    the keeper has had a moment to find that out."""
    ran = spawn.run(sys.executable, "-c", HOLDS_THE_GIL, url)
    assert (ran.stdout, ran.returncode) == ("lost\n", 0), ran.stderr


@BRISK
@pytest.mark.parametrize("renewed", [False, True])
@pytest.mark.usefixtures("often")
def test_the_end_of_a_lease_that_was_lost_says_so(url: str, renewed: bool) -> None:
    """`release` and `with` raise LeaseLost, whether a renewal has come to know of it or not; an
    error of the body itself comes first."""
    for error in (LeaseLost, KeyError):
        turn = lock(f"turn {error}", url)  # the next one of a name may have to wait for a ttl
        with pytest.raises(error), turn as lease:
            if not renewed:
                turn.store.keeper.abandon_all()
            store = open_store(url)
            assert store.break_lease(turn.name, lease.slot) is not None
            store.close()
            if renewed:
                eventually(lambda lease=lease: not lease.alive, within=LONG)
            assert lease.alive is not renewed
            if error is KeyError:
                raise KeyError


class Late(Broken):
    """Its first answer comes when the lease is over already: the process was stopped meanwhile."""

    grants = 0

    def try_acquire(self, request: Request) -> object:
        answer = self._backend.try_acquire(request)
        if isinstance(answer, Granted):
            self.grants += 1
            if self.grants == 1:
                time.sleep(request.ttl)
        return answer


@pytest.fixture
def late() -> tuple[str, Late]:
    url = valkey.fresh()
    store = Late(open_store(url))
    shared._stores[url] = shared.SharedStore(store)  # type: ignore[arg-type]
    return url, store


def test_work_does_not_begin_under_a_lease_that_is_over(late: tuple[str, Late]) -> None:
    """It is asked for once more, for another owner: what releases the first frees no second."""
    url, store = late
    with lock("turn", url, ttl=3, grace=0):
        assert store.grants == 2


def test_who_does_not_wait_is_told_that_the_lease_is_over(late: tuple[str, Late]) -> None:
    """By LeaseLost; nothing was called, and the object is free."""
    url, store = late
    turn, called = lock("turn", url, ttl=3, grace=0), []
    with pytest.raises(LeaseLost):
        call_locked(turn, lambda: called.append(1))
    assert (turn.lease, called, store.grants) == (None, [], 1)
