"""Forks: the process that runs it holds it, and no master holds anything for its children."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lifeline.leases.port import Granted
from lifeline.leases.stores import open_store
from support.redis_leases import request
from support.servers import files, valkey
from support.spawning import alive, look
from support.waiting import eventually

from .conftest import NAME, Fleets, end, kill

SHORT = "dict(name=NAME, store=URL, ttl=8)"  # seconds: where a holder is killed
LONG = "dict(name=NAME, store=URL, ttl=600)"

# A master that forks so many workers and replaces whatever ends, until TERM.
SERVER = """\
def master(count, work):
    def leave(*_):
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        sys.exit()

    workers = set()
    while True:
        while len(workers) < count:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            if (pid := os.fork()) == 0:
                work()
                sys.exit()
            workers.add(pid)
            signal.signal(signal.SIGTERM, leave)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        workers.discard(os.wait()[0])


def worker():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    stand_by("worker")


"""


def parent(pid: int) -> int:
    seen = look(pid)
    return seen.ppid if seen else 0


@pytest.mark.parametrize(
    ("store", "body"),
    [
        pytest.param(
            valkey.fresh,
            f"exclusive(turn, **{SHORT}, forks=True)\nmaster(3, worker)\n",
            id="before the fork",
        ),
        pytest.param(
            files.fresh,
            f"def work():\n    exclusive(turn, **{SHORT}, forks=True)\n    worker()\n\n\n"
            "master(3, work)\n",
            id="in the worker",
        ),
        pytest.param(
            files.fresh,
            f"def work():\n    exclusive(turn, **{SHORT})\n    worker()\n\n\nmaster(3, work)\n",
            id="in the worker, nothing said",
        ),
    ],
)
def test_a_worker_runs_it_and_holds_it(fleet: Fleets, store: Callable[[], str], body: str) -> None:
    """With forks=True it is the same whether the program is loaded before the fork or after it:
    never the master. A worker that is killed is succeeded by another."""
    running = fleet(SERVER + body, store())
    (master,) = running.start()
    running.wait_for("worker", 3)
    for times in (1, 2):
        pid = running.started(times)[-1]
        assert parent(pid) == master.pid
        assert running.pids() == [pid]
        kill(pid)
        running.wait_for("worker", 3 + times)


def test_as_many_workers_as_there_are_slots(fleet: Fleets) -> None:
    """Of four, two; of those, each in a slot of its own."""
    running = fleet(SERVER + f"exclusive(turn, **{LONG}, slots=2, forks=True)\nmaster(4, worker)\n")
    (master,) = running.start()
    running.wait_for("worker", 4)
    pids = running.started(2)
    assert len(set(pids)) == 2 and {parent(pid) for pid in pids} == {master.pid}
    assert running.pids() == sorted(pids)


def test_workers_that_end_in_order_hand_over(fleet: Fleets) -> None:
    """A server that is told to end leaves no lease behind that would have to run out."""
    body = f"exclusive(turn, **{LONG}, forks=True)\nmaster(3, worker)\n"
    running = fleet(SERVER + body)
    (master,) = running.start()
    running.wait_for("worker", 3)
    running.started()
    end(master)
    eventually(lambda: running.pids() == [], within=120)


def test_without_a_word_it_is_the_process_that_called(fleet: Fleets) -> None:
    """Its forked children have nothing: no lease, no place in the queue, no turn later on."""
    body = (
        f"handle = exclusive(turn, **{SHORT})\n"
        "lease = handle.wait()\n"
        "def work():\n"
        "    tell([lease.alive, lease.sleep(60), handle.lease, handle.wait(), handle.stop()])\n"
        "    worker()\n"
        "master(1, work)\n"
    )
    running = fleet(SERVER + body, files.fresh())
    (master,) = running.start()
    (worker,) = running.wait_for("worker")
    assert running.started() == running.pids() == [master.pid]
    assert master.stdout and master.stdout.readline() == "[false, false, null, null, true]\n"
    kill(master.pid)
    (other,) = running.start()
    assert running.started(2) == [master.pid, other.pid]
    assert alive(worker)


def test_the_children_of_a_worker_begin_nothing(fleet: Fleets) -> None:
    """The worker stands by; what it forks for its own purposes does not."""
    body = (
        f"handle = exclusive(turn, **{LONG}, forks=True)\n"
        "def work():\n"
        "    mine = handle.wait()\n"
        "    if os.fork() == 0:\n"
        "        tell([mine.alive, handle.lease, handle.wait()])\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    tell([mine.alive, handle.lease is mine])\n"
        "    worker()\n"
        "tell([handle.lease, handle.wait()])\n"
        "master(1, work)\n"
    )
    running = fleet(SERVER + body)
    (master,) = running.start()
    assert master.stdout
    told = [master.stdout.readline() for _ in range(3)]
    assert told == ["[null, null]\n", "[false, null, null]\n", "[true, true]\n"]
    running.wait_for("worker")
    running.wait_for("start")
    running.check(starts=1)


def test_a_daemon_is_no_worker(fleet: Fleets) -> None:
    """A master that has made itself a daemon was forked, too, and yet begins nothing itself."""
    body = (
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "say('daemon')\n"
        f"exclusive(turn, **{LONG}, forks=True)\n"
        "master(1, worker)\n"
    )
    running = fleet(SERVER + body)
    running.start()
    (daemon,) = running.wait_for("daemon")
    (worker,) = running.wait_for("worker")
    assert running.started() == [worker]
    assert parent(worker) == daemon


def test_a_child_that_becomes_another_program_takes_no_slot(fleet: Fleets) -> None:
    """A master that starts commands the old way, by fork and exec: they do not ask for anything."""
    body = (
        "from lifeline.leases import exclusive as module\n"
        "module._SETTLE = 600.0\n"  # seconds: a busy machine may be slow to exec
        f"exclusive(turn, **{LONG}, forks=True)\n"
        "for _ in range(20):\n"
        "    subprocess.run(['true'], preexec_fn=lambda: time.sleep(0.02), check=True)\n"
        "stand_by('done')\n"
    )
    running = fleet(body, files.fresh())
    running.start()
    running.wait_for("done")
    again = open_store(running.url)
    granted = again.try_acquire(request(NAME))
    again.close()
    assert granted == Granted(0, fence=1)  # the first ever


def test_code_that_forks_and_comes_back_twice_releases_once(fleet: Fleets) -> None:
    """The child of the code returns from it, too: that is no end of the turn."""
    body = (
        "def turn(lease):\n"
        "    say('start')\n"
        "    if os.fork() == 0: return say('child')\n"
        "    os.wait()\n"
        "    say('back')\n"
        f"exclusive(turn, **{LONG})\nstand_by('up')\n"
    )
    running = fleet(body)
    (process,) = running.start()
    running.wait_for("back")
    assert running.pids() == [process.pid]


# --- multiprocessing ----------------------------------------------------------------------------

METHODS = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


def store_for(method: str) -> str:
    """One in which the lease of a killed process runs out, and one that knows of it at once."""
    return valkey.fresh() if method == "spawn" else files.fresh()


# The call stands at the top of the main module, which workers may import again.
AT_THE_TOP = """\
import multiprocessing

handle = exclusive(turn, name=NAME, store=URL, ttl=8, forks={forks})


def worker(number):
    stand_by("worker")


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    for number in range(3):
        context.Process(target=worker, args=(number,), daemon=True).start()
    stand_by("up")
"""

IN_THE_WORKER = """\
import multiprocessing


def worker(number):
    exclusive(turn, name=NAME, store=URL, slots=2, ttl=600)
    if number:
        stand_by("worker")
    until("go")


if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    for number in range(1 if len(sys.argv) > 2 else 4):
        context.Process(target=worker, args=(number,), daemon=True).start()
    stand_by("up")
"""


@METHODS
def test_multiprocessing_leaves_it_to_the_program(fleet: Fleets, method: str) -> None:
    """Whatever its start method: the program runs it, none of its workers does, though the main
    module is imported again."""
    running = fleet(AT_THE_TOP.format(forks=None), store_for(method))
    (program,) = running.start(1, method)
    running.wait_for("worker", 3)
    assert running.started() == running.pids() == [program.pid]
    kill(program.pid)
    (other,) = running.start(1, method)
    assert running.started(2) == [program.pid, other.pid]


@METHODS
def test_multiprocessing_workers_run_it_if_they_are_to(fleet: Fleets, method: str) -> None:
    """Whatever the start method, with forks=True: one of the workers, not the program."""
    running = fleet(AT_THE_TOP.format(forks=True), store_for(method))
    running.start(1, method)
    workers = running.wait_for("worker", 3)
    (pid,) = running.started()
    assert pid in workers
    assert running.pids() == [pid]
    kill(pid)
    assert running.started(2)[1] in set(workers) - {pid}


@METHODS
def test_a_worker_of_multiprocessing_can_call_it_itself(fleet: Fleets, method: str) -> None:
    """As many of four workers as there are slots."""
    running = fleet(IN_THE_WORKER)
    running.start(1, method)
    running.wait_for("worker", 3)
    pids = running.started(2)
    assert len(set(pids)) == 2
    assert running.pids() == sorted(pids)


@METHODS
def test_a_worker_of_multiprocessing_hands_over_when_it_ends(fleet: Fleets, method: str) -> None:
    """Such processes end without the usual hooks."""
    running = fleet(IN_THE_WORKER)
    running.start(1, method, "one")
    running.started()
    running.work.make("go")
    eventually(lambda: running.pids() == [])
    assert running.work.said("end") == running.work.said("start")
