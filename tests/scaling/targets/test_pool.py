"""The local pool: real workers, started, told to finish, and never killed at work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from lifeline.errors import UsageError
from lifeline.scaling import Scaler, TargetError
from lifeline.scaling.plugins import make
from support.lifelines import LIFELINE
from support.spawning import Spawner, alive
from support.waiting import eventually

# A worker as RQ has them: it forks a child for each job. A job lasts as long as its file is there.
# TERM lets it finish; a second one, or TERM to the child, would kill the job.
WORKER = """\
import os, signal, sys, time

HERE, NUMBER = sys.argv[1], os.environ["LIFELINE_NUMBER"]
told = 0


def say(word):
    with open(f"{HERE}/log", "a") as log:
        log.write(f"{word} {NUMBER}\\n")


def on_term(*_):
    global told
    told += 1
    say("told")


signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGUSR1, on_term)
say("up")
while not told:
    job = f"{HERE}/job-{NUMBER}"
    if not os.path.exists(job):
        time.sleep(0.01)
        continue
    child = os.fork()
    if not child:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setpgrp()
        say("begun")
        while os.path.exists(job):
            time.sleep(0.01)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    say("killed" if status else "done")
say("left")
"""


class Yard:
    """A pool in a directory of its own, and what its workers have said."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = f"pool-{uuid.uuid4().hex[:10]}"
        self.script = directory / "worker.py"
        self.script.write_text(WORKER)

    def pool(self, **more: object) -> Any:
        """A target; a new one each time, as a new scaler has it."""
        command = [sys.executable, str(self.script), str(self.directory)]
        given = {"kind": "pool", "name": self.name, "command": command, "timeout": 60}
        return make("target", {**given, **more})

    def said(self, word: str) -> list[str]:
        """The numbers of the workers that said a word, sorted."""
        log = self.directory / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return sorted(number for said, number in map(str.split, lines) if said == word)

    def is_up(self, count: int) -> None:
        """Wait until so many workers have said that they are up."""
        eventually(lambda: len(self.said("up")) >= count, within=120)

    def give(self, number: int) -> None:
        """A job for a worker, which it has begun on return."""
        (self.directory / f"job-{number}").touch()
        eventually(lambda: str(number) in self.said("begun"), within=120)

    def end_job(self, number: int) -> None:
        (self.directory / f"job-{number}").unlink()


@pytest.fixture
def yard(tmp_path: Path, spawn: Spawner) -> Yard:
    return Yard(tmp_path)


def becomes(pool: Any, count: int) -> None:
    eventually(lambda: pool.read() == count, within=120)


def are_there(pool: Any) -> list[int]:
    """The numbers of all workers there are, those among them that are about to leave."""
    return [each.number for each in pool._crew.find()]


def is_empty(pool: Any) -> None:
    """Wait until all have left."""
    eventually(lambda: not are_there(pool), within=120)


def test_up_to_five_down_to_zero_and_up_again(yard: Yard) -> None:
    """Absolute counts: what is written is what runs, and each worker leaves by itself."""
    pool = yard.pool()
    assert pool.read() == 0
    pool.write(5)
    assert pool.read() == 5
    yard.is_up(5)
    pool.write(5)
    assert pool.read() == 5
    pool.write(0)
    assert pool.read() == 0
    is_empty(pool)
    assert yard.said("left") == ["1", "2", "3", "4", "5"]
    pool.write(2)
    assert pool.read() == 2
    yard.is_up(7)
    assert yard.said("up") == ["1", "1", "2", "2", "3", "4", "5"]


def ways(yard: Yard) -> dict[str, object]:
    """All ways to say that worker 2 is busy, while its job's file is there."""
    look = f"import os; print('{yard.name}-2' * os.path.exists('{yard.directory}/job-2'))"
    return {
        "children": "children",
        "file": f"file:{yard.directory}/job-{{number}}",
        "command": [sys.executable, "-c", look],
    }


@pytest.mark.parametrize("way", ["children", "file", "command"])
def test_idle_workers_go_first_and_a_job_is_finished(yard: Yard, way: str) -> None:
    """The busy one stays; told to finish as well, it is there until its job is done."""
    pool = yard.pool(busy=ways(yard)[way])
    pool.write(3)
    yard.is_up(3)
    assert pool.busy() == 0
    yard.give(2)
    assert pool.busy() == 1
    pool.write(1)
    assert pool.read() == 1
    eventually(lambda: yard.said("left") == ["1", "3"], within=120)
    pool.write(0)
    eventually(lambda: yard.said("told") == ["1", "2", "3"], within=120)
    assert pool.read() == 0
    eventually(lambda: are_there(pool) == [2], within=120)
    yard.end_job(2)
    is_empty(pool)
    assert yard.said("done") == ["2"] and yard.said("killed") == []


def test_without_a_way_to_tell_the_last_go_first(yard: Yard) -> None:
    """No `busy` is offered then: nobody is said to be idle."""
    pool = yard.pool()
    assert pool.busy is None
    pool.write(3)
    yard.is_up(3)
    pool.write(1)
    eventually(lambda: yard.said("left") == ["2", "3"], within=120)


def test_a_worker_is_told_once(yard: Yard) -> None:
    """Neither the next tick nor a new scaler says it again: many workers would drop the job."""
    pool = yard.pool()
    pool.write(1)
    yard.is_up(1)
    yard.give(1)
    pool.write(0)
    eventually(lambda: yard.said("told"), within=120)
    for scaler in (pool, yard.pool(), yard.pool()):
        assert scaler.read() == 0
        scaler.write(0)
    yard.end_job(1)
    is_empty(pool)
    assert yard.said("told") == ["1"] and yard.said("done") == ["1"]


def test_one_that_finishes_is_not_replaced_by_telling_another(yard: Yard) -> None:
    """From three to two, said twice: the one on its way out is the one, and nobody else goes."""
    pool = yard.pool(busy="children")
    pool.write(3)
    yard.is_up(3)
    for number in (1, 2, 3):
        yard.give(number)
    pool.write(2)
    eventually(lambda: yard.said("told") == ["3"], within=120)
    pool.write(2)
    pool.write(1)
    eventually(lambda: len(yard.said("told")) == 2, within=120)
    assert (pool.read(), are_there(pool)) == (1, [1, 2, 3])
    for number in (1, 2, 3):
        yard.end_job(number)
    eventually(lambda: len(are_there(pool)) == 1, within=120)
    assert len(yard.said("left")) == 2 and yard.said("killed") == []


def test_one_that_finishes_is_no_worker_for_new_work(yard: Yard) -> None:
    """It takes nothing any more, so as many as are asked for are started beside it."""
    pool = yard.pool()
    pool.write(1)
    yard.is_up(1)
    yard.give(1)
    pool.write(0)
    assert pool.read() == 0
    pool.write(2)
    assert (pool.read(), are_there(pool)) == (2, [1, 2, 3])
    yard.is_up(3)
    yard.end_job(1)
    eventually(lambda: are_there(pool) == [2, 3], within=120)
    assert yard.said("done") == ["1"]


def test_a_grace_ends_what_does_not_finish(yard: Yard) -> None:
    """Only with the option: after it, the next tick ends the worker and all below it, whatever
    number is wanted. One that only looks ends nobody."""
    patient, strict = yard.pool(), yard.pool(grace=0.001)
    assert patient.tend is None
    patient.write(1)
    yard.is_up(1)
    yard.give(1)
    patient.write(0)
    eventually(lambda: yard.said("told"), within=120)
    rules = [{"at_least": 0, "dynos": 0}]
    Scaler(lambda: 0, patient, rules, apply=True).tick()
    Scaler(lambda: 0, strict, rules, apply=False).tick()
    assert are_there(patient) == [1]
    Scaler(lambda: 0, strict, rules, apply=True).tick()
    assert are_there(patient) == []
    assert yard.said("done") == []


def test_another_signal_can_be_the_word(yard: Yard) -> None:
    """Huey finishes on INT, arq on USR1."""
    yard.script.write_text(WORKER.replace("signal.SIGTERM, on_term", "signal.SIGTERM, print"))
    pool = yard.pool(signal="USR1")
    pool.write(1)
    yard.is_up(1)
    pool.write(0)
    is_empty(pool)
    assert yard.said("told") == ["1"]


def test_what_runs_is_seen_by_everybody(yard: Yard, spawn: Spawner) -> None:
    """The process table tells: another scaler's workers and one started by hand count."""
    yard.pool().write(1)
    other = yard.pool()
    assert other.read() == 1
    by_hand = spawn(LIFELINE, "run", "--name", f"{yard.name}-7", "--", "sleep", "3600")
    becomes(other, 2)
    os.kill(by_hand.pid, signal.SIGTERM)
    becomes(other, 1)


def test_other_names_do_not_count(yard: Yard, spawn: Spawner) -> None:
    """A name that only begins like the pool's, or ends in no plain number, is something else."""
    names = [f"{yard.name}-x-1", f"{yard.name}-01", f"{yard.name}-1x", f"x{yard.name}-1"]
    processes = [spawn(LIFELINE, "run", "--name", n, "--", "sleep", "3600") for n in names]
    pool = yard.pool()
    pool.write(1)
    assert pool.read() == 1
    assert all(alive(process.pid) for process in processes)


def test_a_worker_that_dies_is_missed(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next write starts another under its number, and says how the one before has ended."""
    monkeypatch.setattr("lifeline.scaling.platforms.pool._SOON", 3600.0)  # on any machine
    pool = yard.pool()
    pool.write(2)
    yard.is_up(2)
    first = pool._crew.find()[0]
    os.kill(first.job.pid, signal.SIGKILL)
    becomes(pool, 1)
    with pytest.raises(TargetError, match=f"{yard.name}-1 ended with exit code 137"):
        pool.write(2)
    assert pool.read() == 2


def test_workers_outlive_the_scaler(yard: Yard, spawn: Spawner) -> None:
    """The process that started them ends, and nothing of it is held open."""
    code = (
        "import sys, json; from lifeline.scaling.plugins import make\n"
        "make('target', json.loads(sys.argv[1])).write(2)"
    )
    command = [sys.executable, str(yard.script), str(yard.directory)]
    options = {"kind": "pool", "name": yard.name, "command": command, "timeout": 60}
    ended = spawn.run(sys.executable, "-c", code, json.dumps(options))  # until its pipes close
    assert (ended.returncode, ended.stderr) == (0, "")
    assert yard.pool().read() == 2
    yard.is_up(2)


def test_the_number_is_in_the_environment_and_in_the_words(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an outer lifeline has in its environment is not the workers'."""
    monkeypatch.setenv("LIFELINE_RUN", "outer")
    monkeypatch.setenv("LIFELINE_LOCK", "redis://127.0.0.1:1")
    written = yard.directory / "env"
    text = f"echo $LIFELINE_POOL $LIFELINE_NUMBER $0 $LIFELINE_RUN $LIFELINE_LOCK. >{written}"
    pool = yard.pool(command=["sh", "-c", f"{text}; exec sleep 3600", "worker-{number}"])
    pool.write(1)
    words = eventually(lambda: written.exists() and written.read_text().split(), within=120)
    assert words[:3] == [yard.name, "1", "worker-1"]
    assert "outer" not in words and "redis" not in words[-1]


def test_each_has_a_log_of_its_own(yard: Yard) -> None:
    """`log` is a file for each number."""
    command = ["sh", "-c", "echo hello from $LIFELINE_NUMBER; exec sleep 3600"]
    pool = yard.pool(command=command, log=f"{yard.directory}/{{number}}.log")
    pool.write(2)
    for number in (1, 2):
        log = yard.directory / f"{number}.log"
        eventually(lambda log=log: log.exists() and log.read_text(), within=120)  # type: ignore[misc]
        assert log.read_text() == f"hello from {number}\n"


def test_a_held_number_is_passed_over(yard: Yard) -> None:
    """`lifeline hold POOL-1` keeps that one away; another number takes its place."""
    subprocess.run([LIFELINE, "hold", f"{yard.name}-1"], check=True, capture_output=True)
    pool = yard.pool()
    pool.write(2)
    assert pool.read() == 2
    yard.is_up(2)
    assert yard.said("up") == ["2", "3"]


@pytest.mark.parametrize(("word", "code"), [("nosuchprogram", 127), ("/etc/passwd", 126)])
def test_a_command_that_cannot_be_run_is_told(yard: Yard, word: str, code: int) -> None:
    """With lifeline's own exit code, at once."""
    pool = yard.pool(command=[word])
    with pytest.raises(TargetError, match=f"{yard.name}-1 ended with exit code {code}"):
        pool.write(2)
    becomes(pool, 0)


def test_workers_that_fail_at_once_are_told(yard: Yard) -> None:
    """The next write starts them again and says so, so that the scaler takes its time."""
    pool = yard.pool(command=["sh", "-c", "exit 3"])

    def fails() -> bool:
        try:
            pool.write(1)
        except TargetError as error:
            return "exit code 3" in str(error)
        return False

    eventually(fails, within=120)


def test_without_an_answer_about_busy_nobody_is_told(yard: Yard) -> None:
    """A command that fails is no word that all are idle."""
    pool = yard.pool(busy=["false"])
    pool.write(2)
    for call in (lambda: pool.write(1), pool.busy):
        with pytest.raises(TargetError, match="cannot be told which workers are busy"):
            call()
    assert pool.read() == 2 and yard.said("told") == []


def test_an_unusable_state_directory_is_told(yard: Yard, state_dir: Path) -> None:
    """Where nothing can be remembered, nobody is told: it might be the second time."""
    pool = yard.pool()
    pool.write(1)
    yard.is_up(1)
    state_dir.chmod(0o777)
    with pytest.raises(TargetError, match="state directory"):
        pool.write(0)
    state_dir.chmod(0o700)
    assert yard.said("told") == []


def test_no_time_left_starts_nothing(yard: Yard) -> None:
    """The scaler's bound counts before each start."""
    pool = yard.pool()
    pool.timeout = 0
    with pytest.raises(TargetError, match="was not begun"):
        pool.write(2)
    assert pool.read() == 0


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"name": None}, "needs name"),
        ({"name": "a/b"}, "no slash"),
        ({"name": "--lock"}, "dash"),
        ({"command": None}, "needs command"),
        ({"command": "worker"}, "list of words"),
        ({"busy": "often"}, "busy is"),
        ({"busy": "file:relative-{number}"}, "busy is"),
        ({"busy": "file:/run/busy"}, "busy is"),
        ({"busy": []}, "list of words"),
        ({"busy": 3}, "busy is"),
        ({"signal": "KILL"}, "signal is TERM or"),
        ({"grace": -1}, "grace"),
        ({"log": "/var/log/all"}, "log needs {number}"),
        ({"workers": 3}, "unknown option of pool 'workers'"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, object], part: str) -> None:
    """One line and exit code 2, and nothing is started."""
    given = {"kind": "pool", "name": "mail", "command": ["true"], **options}
    with pytest.raises(UsageError) as caught:
        make("target", {name: value for name, value in given.items() if value is not None})
    assert part in str(caught.value) and caught.value.exit_code == 2
