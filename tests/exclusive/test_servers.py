"""Real pre-forking servers, with the program loaded before the fork and after it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from support.hosts import below
from support.servers import files
from support.spawning import Spawner, alive
from support.waiting import eventually

from .conftest import Fleet, Fleets, kill

pytestmark = pytest.mark.timeout(300)  # the first of these tests may have to install the servers

LONG = 600  # seconds: nothing is to run out here while the machine is busy
APP = """\
handle = exclusive(turn, name=NAME, store=URL, slots={slots}, ttl={ttl})
say("loaded")


def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]
"""
GUNICORN = (
    "gunicorn",
    "--no-control-socket",
    "--workers=3",
    "--bind=unix:socket",
    "job:application",
)
UWSGI = ("uwsgi", "--socket=socket", "--module=job:application", "--enable-threads", "--need-app")

#: How a server with three workers is started, and whether its master loads the program.
WAYS = {
    "gunicorn": ([*GUNICORN], False),
    "gunicorn-preload": ([*GUNICORN, "--preload"], True),
    "gunicorn-threads": ([*GUNICORN, "--preload", "--threads=2"], True),
    "gunicorn-gevent": ([*GUNICORN, "--preload", "--worker-class=gevent"], True),
    "uwsgi": ([*UWSGI, "--master", "--processes=3"], True),
    "uwsgi-lazy": ([*UWSGI, "--master", "--processes=3", "--lazy-apps"], False),
}
# A signal that comes before a worker of gunicorn has set its handlers is lost to it, and the master
# waits for it in vain: a server is ready once each of them has said so.
GUNICORN_SETTINGS = """\
def post_worker_init(worker):
    with open("ready", "a") as file:
        file.write("%d\\n" % worker.pid)
"""
#: Those that are tried with a store that knows at once when a process is killed: it saves time.
FREED_AT_ONCE = {"gunicorn", "gunicorn-threads", "uwsgi-lazy"}
#: How one is started that is not the parent of three workers.
ODD_WAYS = {
    "gunicorn-daemon": ([*GUNICORN, "--preload", "--daemon"], True),
    "uwsgi-alone": ([*UWSGI, "--processes=1"], True),
}


class Serving:
    """A server with three workers that have loaded the program."""

    def __init__(self, fleet: Fleet, process: Popen[str], loads: bool) -> None:
        self.fleet = fleet
        self.process = process
        self.loads = loads

    @property
    def pid(self) -> int:
        return self.process.pid

    def workers(self) -> list[int]:
        return [pid for pid in below(self.pid) if alive(pid)]

    def is_worker(self, pid: int) -> bool:
        return pid in self.workers()

    def told(self) -> str:
        return (self.fleet.work.directory / "output").read_text()


Serve = Callable[..., Serving]


@pytest.fixture
def serve(spawn: Spawner, fleet: Fleets, environment: Callable[[str], tuple[Path, str]]) -> Serve:
    """Starts the program under a server: the name of the way, slots and ttl."""
    programs, path = environment("web")

    def start(way: str, slots: int = 1, ttl: int = LONG) -> Serving:
        (server, *rest), loads = {**WAYS, **ODD_WAYS}[way]
        running = fleet(
            APP.format(slots=slots, ttl=ttl), files.fresh() if way in FREED_AT_ONCE else None
        )
        argv = [programs / server, *rest]
        here = running.work.directory
        env = {**running.env, "PYTHONPATH": f"{path}{os.pathsep}{here}"}
        ready = here / "ready"
        ready.touch()
        (here / "gunicorn.conf.py").write_text(GUNICORN_SETTINGS)
        with (here / "output").open("ab") as output:
            process = spawn(*argv, env=env, cwd=here, stdout=output, stderr=output)
        serving = Serving(running, process, loads)
        try:
            running.wait_for("loaded", 1 if loads else 3)
            eventually(lambda: way in ODD_WAYS or len(serving.workers()) == 3, within=120)
            if server == "gunicorn":
                eventually(lambda: len(ready.read_text().split()) >= 3, within=120)
        except AssertionError:
            raise AssertionError(serving.told()) from None
        return serving

    return start


@pytest.fixture(params=sorted(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_one_worker_runs_it_and_holds_it(serve: Serve, way: str) -> None:
    """Never the master, though that may be where the program was loaded. If the worker is killed,
    one of the others takes over, or the one that the server starts in its place."""
    serving = serve(way, ttl=8)
    (pid,) = serving.fleet.started()
    assert serving.is_worker(pid)
    assert serving.fleet.pids() == [pid]
    assert (serving.pid in serving.fleet.work.said("loaded")) == serving.loads
    kill(pid)
    pid = serving.fleet.started(2)[1]
    assert serving.is_worker(pid)
    assert serving.fleet.pids() == [pid]


def test_two_of_three_workers(serve: Serve, way: str) -> None:
    """As many as there are slots, and no worker twice."""
    serving = serve(way, slots=2)
    pids = serving.fleet.started(2)
    assert len({*pids, serving.pid}) == 3
    assert all(map(serving.is_worker, pids))
    assert serving.fleet.pids() == sorted(pids)


def test_a_server_that_ends_leaves_nothing_to_run_out(serve: Serve, way: str) -> None:
    """The worker that had it has released it, or whoever took over from that."""
    serving = serve(way)
    serving.fleet.started()
    serving.process.send_signal(signal.SIGINT if way.startswith("uwsgi") else signal.SIGTERM)
    serving.process.wait(150)  # uWSGI gives a worker that hangs while it exits a minute
    assert serving.fleet.pids() == [], serving.told()


def test_workers_that_are_replaced_hand_over(serve: Serve) -> None:
    """gunicorn's HUP: new workers, forked from the same master, go on at once."""
    serving = serve("gunicorn-preload")
    old = serving.workers()
    serving.fleet.started()
    serving.process.send_signal(signal.SIGHUP)
    eventually(lambda: not set(old) & set(serving.workers()), within=120)
    starts = eventually(lambda: [pid for pid in serving.fleet.work.said("start") if pid not in old])
    eventually(lambda: serving.fleet.pids() == starts)
    assert serving.is_worker(starts[0])
    assert serving.fleet.work.said("overlap") == []


def test_a_new_master_holds_nothing_either(serve: Serve) -> None:
    """gunicorn's USR2: the master forks another one, which loads the program and forks workers."""
    serving = serve("gunicorn-preload")
    serving.fleet.started()
    serving.process.send_signal(signal.SIGUSR2)
    loaded = serving.fleet.wait_for("loaded", 2)
    eventually(lambda: len(below(loaded[1])) == 3, within=120)
    (pid,) = serving.fleet.pids()
    assert pid not in loaded
    serving.fleet.check(starts=1)


def test_a_master_in_the_background_is_no_worker(serve: Serve) -> None:
    """gunicorn's --daemon: the master itself was forked, and still it holds nothing."""
    serving = serve("gunicorn-daemon")
    (pid,) = serving.fleet.started()
    (master,) = serving.fleet.work.said("loaded")
    assert pid in below(master)


EMBEDDED = """\
from gunicorn.app.base import BaseApplication

exclusive(turn, name=NAME, store=URL, ttl=600, forks=True)


class Server(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", "unix:socket")
        self.cfg.set("workers", 3)
        self.cfg.set("control_socket_disable", True)

    def load(self):
        return lambda environ, start_response: []


Server().run()
"""


def test_a_program_that_starts_gunicorn_says_so(
    spawn: Spawner, fleet: Fleets, environment: Callable[[str], tuple[Path, str]]
) -> None:
    """Nothing shows then that it will be a master: with forks=True its workers run it."""
    programs, path = environment("web")
    running = fleet(EMBEDDED)
    env = {**running.env, "PYTHONPATH": path}
    script = running.work.script
    master = spawn(programs / "python", script, env=env, cwd=script.parent, stderr=None)
    (pid,) = running.started()
    assert pid in below(master.pid)
    assert running.pids() == [pid]


def test_a_server_without_a_master_runs_it_itself(serve: Serve) -> None:
    """uWSGI with one process and no master: that serves, so it may run it."""
    serving = serve("uwsgi-alone")
    assert serving.fleet.started() == serving.fleet.pids() == [serving.pid]
