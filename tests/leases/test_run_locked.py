"""run_locked() and lifeline(main, lock=URL): run if it is free, otherwise pass."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lifeline import LeaseLost, StoreUnreachable, lock, run_locked
from lifeline.clock import boottime
from lifeline.leases.stores import open_store
from support.lifelines import namespace
from support.servers import files, free_port, valkey
from support.spawning import Spawner
from support.waiting import eventually

from .conftest import BRISK


@BRISK
def test_it_runs_if_it_is_free_and_gives_the_value(url: str) -> None:
    """With the arguments; nothing is held afterwards."""
    done = run_locked("turn", lambda *args, **kwargs: (args, kwargs), 1, 2, store=url, word="x")
    assert done.ran and bool(done)
    assert done.value == ((1, 2), {"word": "x"})
    assert done.holder is None
    assert not lock("turn", url).locked()


@BRISK
def test_it_passes_if_it_is_not_and_says_who_has_it(url: str) -> None:
    """At once, and without calling; beside it, another slot is free."""
    calls: list[int] = []
    with lock("turn", url) as lease:
        passed = run_locked("turn", calls.append, 1, store=url)
        assert not passed.ran and not passed and passed.value is None
        assert passed.holder is not None
        assert (passed.holder.owner, passed.holder.fence) == (lease.owner, lease.fence)
        assert passed.holder.info["pid"] == os.getpid()
    assert calls == []
    with lock("pool", url, slots=2):
        assert run_locked("pool", calls.append, 2, store=url, slots=2).ran
    assert calls == [2]


@BRISK
def test_what_it_raises_comes_through_and_nothing_stays_held(url: str) -> None:
    """Also what is no Exception."""
    for error in (KeyError, KeyboardInterrupt, SystemExit):

        def fail(error: type[BaseException] = error) -> None:
            raise error

        with pytest.raises(error):
            run_locked("turn", fail, store=url)
        assert not lock("turn", url).locked()


@pytest.mark.usefixtures("often")
@pytest.mark.parametrize("url", ["redis", "postgres-lease", "dynamodb"], indirect=True)
def test_work_that_takes_longer_than_the_ttl_stays_alone(url: str) -> None:
    """The lease is renewed for as long as it takes; nobody else gets it."""
    ttl = 6.0

    def work() -> float:
        began = boottime()
        other = lock("turn", url, ttl=ttl)

        def is_over() -> bool:
            with suppress(StoreUnreachable):  # a busy machine's store may be late
                return other.acquire(blocking=False) or boottime() - began > ttl
            return False

        eventually(is_over, within=120)
        assert other.lease is None
        return boottime() - began

    assert (run_locked("turn", work, store=url, ttl=ttl).value or 0) > ttl


@BRISK
def test_a_lease_that_was_lost_meanwhile_is_told_at_the_end(url: str) -> None:
    """By LeaseLost, though the work came to its end; its own error says more than that."""

    def lose(name: str, fail: bool) -> None:
        store = open_store(url)
        [seen] = store.holders(name)
        store.break_lease(name, seen.slot)
        store.close()
        if fail:
            raise KeyError

    with pytest.raises(LeaseLost):
        run_locked("turn", lose, "turn", False, store=url)
    with pytest.raises(KeyError):
        run_locked("other", lose, "other", True, store=url)


def test_without_an_answer_of_the_store_nothing_is_called() -> None:
    """StoreError says so: that is neither yes nor no."""
    calls: list[int] = []
    with pytest.raises(StoreUnreachable):
        run_locked("turn", calls.append, 1, store=valkey.url_of(free_port()))
    assert calls == []


# --- lifeline(main, lock=URL) -----------------------------------------------------------------

PROGRAM = """
import os, sys, time
from lifeline import lifeline

def main():
    with open(sys.argv[1], "a") as log:
        log.write(f"{os.environ['WHO']}\\n")
    while not os.path.exists(sys.argv[1] + ".over"):
        time.sleep(0.01)

outcome = lifeline(main, lock=os.environ["THE_STORE"], slots=2)
print("ran" if outcome.ran else f"passed for {outcome.holder.info['host']}")
"""


@pytest.mark.needs("unshare")
def test_over_all_hosts_as_many_run_as_there_are_slots(spawn: Spawner, tmp_path: Path) -> None:
    """Each in a process table of its own, so as on a host of its own: the third passes, and says
    for whom; on one host the second never asks the store."""
    script, log = tmp_path / "program.py", tmp_path / "log"
    script.write_text(PROGRAM)
    words = [sys.executable, script, log]
    store = files.fresh()

    def began() -> list[str]:
        return log.read_text().split() if log.exists() else []

    running = []
    for number in range(2):
        env = {"WHO": str(number), "THE_STORE": store}
        env["LIFELINE_STATE_DIR"] = str(tmp_path / f"state {number}")
        running.append(spawn(*namespace(*words), env=env))
        eventually(lambda number=number: len(began()) == number + 1, within=120)
    env = {"WHO": "2", "THE_STORE": store, "LIFELINE_STATE_DIR": str(tmp_path / "state 2")}
    third = spawn.run(*namespace(*words), env=env)
    assert third.stdout.startswith("passed for "), third.stderr
    assert began() == ["0", "1"]
    (tmp_path / "log.over").touch()
    for process in running:
        out, err = process.communicate(timeout=120)
        assert out == "ran\n", err
    fourth = spawn.run(*namespace(*words), env=env)
    assert fourth.stdout == "ran\n", fourth.stderr


CLAIMS = """
import os, sys
from lifeline import lifeline
lifeline(lock=sys.argv[1], ttl=3)
print("runs", flush=True)
sys.stdin.readline()
"""


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("url", ["file", "redis", "postgres-session"], indirect=True)
def test_a_program_that_ends_lets_the_next_host_begin(
    url: str, spawn: Spawner, tmp_path: Path
) -> None:
    """lifeline(lock=URL) ends the second quietly while the first runs, and releases at its end."""
    script = tmp_path / "program.py"
    script.write_text(CLAIMS)
    words = namespace(sys.executable, script, url)

    def env(number: int) -> dict[str, str]:
        return {"LIFELINE_STATE_DIR": str(tmp_path / f"state {number}")}

    one = spawn(*words, env=env(1), stdin=-1)
    assert one.stdout is not None and one.stdout.readline() == "runs\n", one.communicate()
    two = spawn.run(*words, env=env(2))
    assert (two.stdout, two.stderr, two.returncode) == ("", "", 0)
    one.communicate("\n", timeout=60)
    three = spawn.run(*words, env=env(3))
    assert (three.stdout, three.returncode) == ("runs\n", 0), three.stderr
