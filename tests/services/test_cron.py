"""The promise itself: lines in a real crontab keep each job running exactly once.

Four kinds of job, the examples of this repository: a script that calls lifeline(), a shell script
and a program that rewrites its title under `lifeline run`, and an invoke task.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from support.cron import Journal, gaps, installed, runs, start_cron, ticks_until_back
from support.spawning import Spawner, alive, look
from support.waiting import eventually

EXAMPLES = Path(__file__).parents[2] / "examples"
JOBS = ("worker.py", "job.sh", "title.py", "tasks.py")
TICKS = 7
SPEED = 4  # a tick every 15 s: time enough to start four jobs on a small machine that is busy


class App:
    """The examples, deployed to a directory: a journal for each job, a line of crontab for each."""

    def __init__(self, directory: Path, state: Path) -> None:
        self.directory = directory
        self.state = state
        directory.mkdir()
        for job in JOBS:
            shutil.copy(EXAMPLES / job, directory)
        self.journals = {job: Journal(directory / f"{job}.log") for job in JOBS}
        python, lifeline = installed("python"), installed("lifeline")
        self.lines = {
            "worker.py": f"{python} {directory}/worker.py",
            "job.sh": f"{lifeline} run -- {directory}/job.sh",
            "title.py": f"{lifeline} run -- {python} {directory}/title.py",
            "tasks.py": f"cd {directory} && {installed('invoke')} appname.lifeline",
        }

    def said(self, job: str) -> Path:
        """What came out of a job's line of crontab."""
        return self.directory / f"{job}.out"

    def crontab(self) -> Path:
        """Every minute a tick in each journal, and each of the four lines with its exit status."""
        path = self.directory / "crontab"
        lines = [
            'MAILTO=""',
            f"LIFELINE_STATE_DIR={self.state}",
            f"* * * * * for j in {' '.join(JOBS)}; do echo tick >>{self.directory}/$j.log; done",
            *(
                f"* * * * * {{ {line}; }} >>{self.said(job)} 2>&1; echo exit $? >>{journal.path}"
                for (job, line), journal in zip(
                    self.lines.items(), self.journals.values(), strict=True
                )
            ),
        ]
        path.write_text("\n".join([*lines, ""]))
        return path

    def by_hand(self, spawn: Spawner, job: str) -> subprocess.Popen[str]:
        """A line as cron would run it: its few variables, its shell, nothing on standard input."""
        minimal = {"HOME": "/root", "LOGNAME": "root", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
        environment = {**minimal, "LIFELINE_STATE_DIR": str(self.state)}
        words = [f"{key}={value}" for key, value in environment.items()]
        return spawn("env", "-i", *words, "/bin/sh", "-c", self.lines[job])


@pytest.fixture
def app(tmp_path: Path, state_dir: Path) -> App:
    return App(tmp_path / "app", state_dir)


def kill(pid: int, journal: Journal) -> None:
    """Kill -9, and put it into the journal once the process is dead."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid), within=120)
    journal.append("killed")


def runner_of(pid: int) -> int:
    """The `lifeline run` above a job."""
    seen = look(pid)
    assert seen
    return seen.ppid


def exits(journal: Journal) -> Counter[int]:
    """How often the line of crontab ended with each exit status."""
    return Counter(int(line.split()[1]) for line in journal.lines() if line.startswith("exit "))


def running_now(journal: Journal) -> int:
    """The pid of the job that shows life in the journal, waited for."""
    count = len(journal.lines())

    def shown() -> int:
        new = [line for line in journal.lines()[count:] if line.endswith(" alive")]
        return int(new[-1].split()[0]) if new else 0

    return eventually(shown, within=120)


@pytest.mark.timeout(900)
@pytest.mark.needs("cron", "faketime", "root", "unshare")
def test_over_many_ticks_exactly_one_of_each_job_runs_and_comes_back_at_the_next(
    app: App, spawn: Spawner
) -> None:
    journals = app.journals
    cron = start_cron(spawn, app.crontab(), SPEED)

    def wait_for_tick(number: int) -> dict[str, int]:
        """Each job's pid, once that tick has come and each has shown life since."""
        for journal in journals.values():
            eventually(lambda j=journal: j.ticks() >= number, within=300)  # type: ignore[misc]
        return {job: running_now(journal) for job, journal in journals.items()}

    pids = wait_for_tick(3)
    kill(pids["worker.py"], journals["worker.py"])
    kill(runner_of(pids["job.sh"]), journals["job.sh"])
    kill(pids["title.py"], journals["title.py"])
    kill(pids["tasks.py"], journals["tasks.py"])
    pids = wait_for_tick(5)
    kill(runner_of(pids["title.py"]), journals["title.py"])
    wait_for_tick(TICKS)
    assert cron.poll() is None
    kill(cron.pid, Journal(app.directory / "cron.log"))

    kills = {"worker.py": 1, "job.sh": 1, "title.py": 2, "tasks.py": 1}
    # A job whose runner was killed gets TERM, and may not have gone by the next tick.
    leftovers = {"worker.py": 0, "job.sh": 1, "title.py": 1, "tasks.py": 0}
    for job, journal in journals.items():
        # Of all that cron started, one still runs.
        eventually(lambda j=journal: exits(j).total() == j.ticks() - 1, within=120)  # type: ignore[misc]
        lines = journal.lines()
        assert len(runs(lines)) == 1 + kills[job], lines  # never two, checked in `runs`
        assert gaps(lines) == [], lines
        # Not even the one tick if its start was still looking while its twin was killed.
        assert max(ticks_until_back(lines)) <= 1, lines
        assert len(ticks_until_back(lines)) == kills[job], lines
        # A start that found its twin says 0, one that became the job ended as the job did.
        left = journal.ticks() - 1 - kills[job]
        assert exits(journal) == Counter({0: left, 128 + signal.SIGKILL: kills[job]}), lines
        said = [line for line in app.said(job).read_text().splitlines() if line != "Killed"]
        assert len(said) <= leftovers[job], said  # "Killed" is the shell's word, not ours
        assert all("left over from a dead run" in line for line in said)


@pytest.mark.timeout(300)
@pytest.mark.needs("cron", "root", "unshare")
def test_a_tick_in_real_time_starts_what_does_not_run_and_leaves_what_does(
    app: App, spawn: Spawner
) -> None:
    began_by_hand = ("title.py", "tasks.py")
    for job in began_by_hand:
        app.by_hand(spawn, job)
    before = {job: running_now(app.journals[job]) for job in began_by_hand}
    start_cron(spawn, app.crontab())
    for journal in app.journals.values():
        eventually(lambda j=journal: j.ticks() == 1, within=100)  # type: ignore[misc]
    after = {job: running_now(app.journals[job]) for job in JOBS}
    for job in began_by_hand:
        eventually(lambda j=app.journals[job]: exits(j) == Counter([0]), within=120)  # type: ignore[misc]
    assert {job: after[job] for job in began_by_hand} == before
    assert {job: len(app.journals[job].runs()) for job in JOBS} == dict.fromkeys(JOBS, 1)
    assert {job: app.said(job).read_text() for job in JOBS} == dict.fromkeys(JOBS, "")


@pytest.mark.parametrize("job", JOBS)
def test_a_line_of_crontab_behaves_the_same_by_hand_in_crons_environment(
    job: str, app: App, spawn: Spawner
) -> None:
    journal = app.journals[job]
    started = app.by_hand(spawn, job)
    first = running_now(journal)
    second = app.by_hand(spawn, job)
    assert (second.wait(120), *second.communicate()) == (0, "", "")
    assert running_now(journal) == first
    kill(first, journal)
    assert started.wait(120) == 128 + signal.SIGKILL
    app.by_hand(spawn, job)
    assert running_now(journal) != first
    assert len(journal.runs()) == 2


@pytest.mark.parametrize("job", ["job.sh", "title.py"])
def test_after_its_runner_was_killed_a_job_is_ended_before_the_next_one_starts(
    job: str, app: App, spawn: Spawner
) -> None:
    """The job is told to end when its runner dies; the next one starts once it has."""
    journal = app.journals[job]
    app.by_hand(spawn, job)
    first = running_now(journal)
    kill(runner_of(first), journal)
    app.by_hand(spawn, job)
    eventually(lambda: not alive(first), within=120)
    assert running_now(journal) != first
    assert journal.lines().index(f"{first} end") < journal.lines().index(
        f"{journal.runs()[1]} start"
    )


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["7 start", "7 alive", "8 start", "8 alive"], False),
        (["7 start", "8 start", "7 alive", "8 alive"], True),
        (["7 start", "8 start", "tick", "7 end", "8 alive"], True),
    ],
)
def test_two_jobs_at_once_show_in_their_journal(lines: list[str], wrong: bool) -> None:
    if wrong:
        with pytest.raises(AssertionError, match="ran together"):
            runs(lines)
    else:
        assert runs(lines) == [7, 8]


def test_a_tick_without_a_job_shows_in_its_journal() -> None:
    lines = ["tick", "7 start", "tick", "7 alive", "killed", "tick", "tick", "8 start", "tick"]
    assert gaps(lines) == [3]
    assert ticks_until_back(lines) == [2]
