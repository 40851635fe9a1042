"""When a lease is lost, when code fails, when the store does not answer."""

from __future__ import annotations

from lifeline.leases.runner import Rest
from support.servers import Server, valkey
from support.spawning import alive

from .conftest import NAME, Fleet, Fleets, end

TOLD = """\
def turn(lease):
    lease.on_lost(lambda: say("told"))
    with hold_turn(lease):
        say("start")
        while lease.sleep(60):
            pass
    try:
        lease.check()
    except LeaseLost:
        say("lost")
    until("go")
    say("end")


exclusive(turn, name=NAME, store=URL, ttl=8)
stand_by("up")
"""


def seen_lost(fleet: Fleet) -> None:
    """Each way in which code can hear of it: a callback, what sleeping says, an exception."""
    fleet.wait_for("told")
    fleet.wait_for("lost")


def test_a_loss_is_told_and_another_takes_over(fleet: Fleets, url: str) -> None:
    """The code hears of it in each way; its process stands by again only once it has returned."""
    running = fleet(TOLD, url)
    (first,) = running.start()
    running.started()
    running.store.break_lease(NAME, 0)
    seen_lost(running)
    (second,) = running.start()
    assert running.started(2) == [first.pid, second.pid]
    running.work.make("go")
    running.wait_for("end")
    end(second)
    assert running.started(3)[2] == first.pid


def test_one_that_lost_its_lease_runs_again(fleet: Fleets) -> None:
    """Nobody else is there: the same process takes the slot again, with a greater fence."""
    running = fleet(TOLD)
    running.start()
    running.started()
    (before,) = running.holders()
    running.store.break_lease(NAME, 0)
    running.work.make("go")
    running.started(2)
    (after,) = running.holders()
    assert after.fence > before.fence


def test_a_silent_store_is_a_loss_when_the_terms_say_so(fleet: Fleets) -> None:
    """No renewal is answered: the code is told in time. It runs again when the store is back."""
    server = valkey.new_server()
    try:
        running = fleet(TOLD, valkey.url_of(server.port))
        running.start()
        running.started()
        server.freeze()
        seen_lost(running)
        running.work.make("go")
        running.wait_for("end")
        running.check(starts=1)
        server.thaw()
        running.started(2)
    finally:
        server.close()


def test_a_store_that_is_not_there_yet_is_waited_for(fleet: Fleets) -> None:
    """It is said once, with the name of the store and nothing secret; the program goes on."""
    server: Server = valkey.new_server()
    try:
        server.kill()
        url = valkey.url_of(server.port).replace("//", "//:hush@")
        running = fleet("exclusive(turn, name=NAME, store=URL, ttl=8)\nstand_by('up')\n", url)
        (process,) = running.start()
        running.wait_for("up")
        assert process.stderr
        told = process.stderr.readline()
        assert "stands by: " in told and f":{server.port}" in told and "hush" not in told
        running.check(starts=0)
        server.start()
        # The server has no password, so it refuses ours: that is another message, and no end.
        assert "stands by: " in (other := process.stderr.readline()) and other != told
        assert alive(process.pid)
    finally:
        server.close()


def test_it_begins_once_the_store_is_there(fleet: Fleets) -> None:
    """Though nobody answered when it was called."""
    server = valkey.new_server()
    try:
        server.kill()
        body = "exclusive(turn, name=NAME, store=URL, ttl=8)\nstand_by('up')\n"
        running = fleet(body, valkey.url_of(server.port))
        running.start()
        running.wait_for("up")
        server.start()
        running.started()
    finally:
        server.close()


def test_another_number_of_slots_waits_until_the_old_ones_are_gone(fleet: Fleets) -> None:
    """A deployment that changes N: it is said, and the new ones begin once nobody holds."""
    body = (
        "exclusive(turn, name=NAME, store=URL, slots=int(sys.argv[1]), ttl=600)\nstand_by('up')\n"
    )
    running = fleet(body)
    (old,) = running.start(1, "1")
    running.started()
    (new,) = running.start(1, "2")
    assert new.stderr and "is held with 1 slots, not 2" in new.stderr.readline()
    running.check(starts=1)
    end(old)
    assert running.started(2) == [old.pid, new.pid]


FAILS = """\
def turn(lease):
    say("start")
    if len(open(HERE + "/log").read().split("start")) < 4:
        raise ZeroDivisionError("in the code")
    while lease.sleep(60):
        pass


exclusive(turn, name=NAME, store=URL, ttl=30)
stand_by("up")
"""


def test_code_that_fails_is_logged_and_tried_again(fleet: Fleets) -> None:
    """With its traceback. The lease, though it lasts for half a minute, is free at once."""
    running = fleet(FAILS)
    (process,) = running.start()
    assert running.started(3) == [process.pid] * 3
    assert len(running.holders()) == 1
    end(process)
    assert process.stderr
    said = process.stderr.read()
    assert said.count("ZeroDivisionError: in the code") == 2
    assert said.count("failed; others may have a try at it now") == 2


def test_after_a_failure_another_has_its_turn(fleet: Fleets) -> None:
    """The one that failed rests first, so that whoever stands by is before it."""
    rests = "import lifeline.leases.runner\n\nlifeline.leases.runner.Rest.FIRST = 600.0\n"
    running = fleet(rests + FAILS.replace("< 4", "< 3"))
    processes = running.start(2)
    assert set(running.started(2)) == {each.pid for each in processes}


def test_rests_grow_up_to_a_minute() -> None:
    """1, 2, 4, … 60 s, and from the beginning after work that has lasted."""
    rest = Rest()
    assert [rest.after(0.1) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [rest.after(60), rest.after(59)] == [1, 2]
