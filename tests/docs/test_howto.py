"""What the pages of the how-to part promise, where no other test plays it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lifeline
from support import libraries
from support.hosts import below
from support.lifelines import LIFELINE, Work, line, namespace, run, tick
from support.needs import UNSHARE, require
from support.servers import Server, valkey
from support.spawning import Spawner
from support.waiting import eventually

from .pages import ROOT, block, blocks
from .shells import Shell


@pytest.fixture
def programs(pytestconfig: pytest.Config) -> Path:
    """The directory of the programs that come with RQ and Django."""
    cache = Path(pytestconfig.cache.mkdir("libraries")) if pytestconfig.cache else Path("/tmp")
    return libraries.python("most", cache).parent


@pytest.fixture
def redis_server(spawn: Spawner) -> Iterator[Server]:
    server = valkey.new_server()
    yield server
    spawn.end()  # who talks to it goes first
    server.close()


def test_djangos_commands(programs: Path, spawn: Spawner, tmp_path: Path) -> None:
    """The one is kept single by lifeline(), the other passes while somebody has its lock."""
    site = Path(shutil.copytree(ROOT / "examples" / "django_command", tmp_path / "site"))
    for each in blocks("python", page=ROOT / "docs" / "howto" / "django.md"):
        name, _, body = each.body.removeprefix("# ").partition("\n")
        (site / name).write_text(body)
    (tmp_path / "lifeline").symlink_to(Path(lifeline.__file__).parent)
    env = {"PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    manage = [programs / "python", site / "manage.py"]

    first = spawn(*manage, "send_mail", env=env)
    assert line(first) == "sending"
    again = spawn.run(*manage, "send_mail", env=env)
    assert (again.returncode, again.stdout) == (0, "")

    assert spawn.run(*manage, "nightly", env=env).stdout == "the work\n"
    lock = ["--lock", "file:", "--name", "nightly"]
    holder = Work(tmp_path / "holder", "stand_by('start')\n")
    spawn(*run(*lock, "--", *holder.argv))
    holder.wait_for("start")
    passed = spawn.run(*manage, "nightly", env=env)
    assert passed.returncode == 0, passed.stderr
    assert passed.stdout.startswith("passed: ")


def test_invokes_tasks_are_those_of_the_readme() -> None:
    """Which `test_readme` plays."""
    readme = [each.body for each in blocks("python", page=ROOT / "README.md")]
    assert block("howto/invoke.md", "python") in readme


@pytest.mark.needs("unshare", "root")
def test_the_container_of_the_docker_page(spawn: Spawner, tmp_path: Path) -> None:
    """Its ENTRYPOINT and CMD as process 1: the health check sees the job, TERM ends it all."""
    dockerfile = block("howto/docker.md", "dockerfile")
    said = dict(
        re.findall(r"^(ENTRYPOINT|CMD|HEALTHCHECK CMD) (\[.*\])$", dockerfile, re.MULTILINE)
    )
    words = [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])]
    (tmp_path / "worker.py").write_text(block("tutorial.md", "python"))
    env = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    container = spawn(*UNSHARE, *words, cwd=tmp_path, env=env)
    inside = ["nsenter", "--pid", "--mount", f"--target={first_below(container.pid)}"]
    check = [*inside, *json.loads(said["HEALTHCHECK CMD"])]
    eventually(lambda: spawn.run(*check, env=env).returncode == 0, within=120, every=0.2)
    os.kill(first_below(container.pid), signal.SIGTERM)
    assert container.wait(120) == 128 + signal.SIGTERM


@pytest.mark.needs("unshare")
def test_the_logrotate_of_the_supervisors_page(spawn: Spawner, tmp_path: Path) -> None:
    """logrotate takes the log away, its script has the runner open it anew."""
    require("jq")
    require("logrotate")
    worker = "#!/bin/sh\nwhile echo at work; do sleep 0.1; done\n"
    (tmp_path / "worker").write_text(worker)
    (tmp_path / "worker").chmod(0o755)
    conf, log = tmp_path / "rotate.conf", tmp_path / "worker.log"
    conf.write_text(block("supervisor.md", "").replace("/var/log/app", str(tmp_path)))
    conf.chmod(0o600)
    path = [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]
    shell = Shell(spawn, namespace("bash", "--norc"), tmp_path, {"PATH": os.pathsep.join(path)})
    shell.type("lifeline run --name worker --log worker.log -- ./worker &")
    eventually(lambda: log.exists() and log.stat().st_size, within=120)
    rotated = shell.type(f"logrotate --force --state {tmp_path}/rotated rotate.conf")
    assert rotated == ([], 0)
    eventually(lambda: log.exists() and log.stat().st_size, within=120)  # it was taken away


def first_below(pid: int) -> int:
    """The first process of a namespace, seen from outside."""
    return eventually(lambda: next(iter(below(pid)), 0))


def test_flocks_exit_code(spawn: Spawner, tmp_path: Path) -> None:
    """`--exit-code-if-running 5` is `-E 5`."""
    work = Work(tmp_path / "work")
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    assert tick(spawn, "--exit-code-if-running", "5", "--", *work.argv).returncode == 5


def test_one_lock_for_different_commands(spawn: Spawner, tmp_path: Path) -> None:
    """As the flock page says: the second one waits for the first, and then has its turn."""
    options = ["--lock", "file:", "--per-host", "0", "--wait", "--name", tmp_path.name]
    first = Work(tmp_path / "first", "stand_by('start', until='go')\n")
    second = Work(tmp_path / "second", "say('start')\n")
    spawn(*run(*options, "--", *first.argv))
    first.wait_for("start")
    waiting = spawn(*run(*options, "--", *second.argv))
    limited = [*options[:4], "--wait", "0.2s", *options[5:]]
    assert tick(spawn, *limited, "--", *second.argv).returncode == 0  # `-w`: it passed
    assert second.said("start") == []
    first.make("go")
    second.wait_for("start")
    assert waiting.wait(120) == 0


def test_inside_of_flock(spawn: Spawner, tmp_path: Path) -> None:
    """`flock -n FILE lifeline run -- CMD` keeps the job single for both of them."""
    work = Work(tmp_path / "work")
    flock = ["flock", "-n", str(tmp_path / "file")]
    spawn(*flock, *run("--", *work.argv))
    work.wait_for("start")
    assert spawn.run(*flock, "true").returncode == 1
    assert tick(spawn, "--", *work.argv).returncode == 0
    work.check(starts=1)


JOB = """\
import os, time


def work(here):
    open(f"{here}/begun", "w").close()
    while not os.path.exists(f"{here}/go"):
        time.sleep(0.02)
    open(f"{here}/done", "w").close()
"""
ENQUEUE = """\
import sys
from redis import Redis
from rq import Queue
import rq_page_job

Queue("mail", connection=Redis.from_url(sys.argv[1])).enqueue(rq_page_job.work, sys.argv[2])
"""


def test_an_rq_worker_that_is_told_alone_finishes_its_job(
    redis_server: Server, programs: Path, spawn: Spawner, tmp_path: Path
) -> None:
    """`signal_to = "main"` and `lifeline terminate`: the job is done, then both leave."""
    url = f"redis://127.0.0.1:{redis_server.port}/0"
    (tmp_path / "rq_page_job.py").write_text(JOB)
    worker = [str(programs / "rq"), "worker", "--url", url, "--path", str(tmp_path), "mail"]
    name = f"rq-{os.getpid()}-{tmp_path.name}"
    options = ("--name", name, "--signal-to", "main", "--grace", "10m")
    log = tmp_path / "worker.log"
    runner = spawn(*run(*options, "--log", str(log), "--", *worker))
    enqueued = spawn.run(programs / "python", "-c", ENQUEUE, url, tmp_path)
    assert enqueued.returncode == 0, enqueued.stderr
    eventually((tmp_path / "begun").exists, within=90)

    ending = spawn(LIFELINE, "terminate", name)
    eventually(lambda: "arm shut down" in log.read_text(), within=90)
    (tmp_path / "go").touch()
    assert (runner.wait(90), ending.wait(90)) == (0, 0), log.read_text()
    assert (tmp_path / "done").exists()
