"""`--on-start` and `--on-exit`: shell commands beside the job that know what happened."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path

import pytest

from support.lifelines import changed, run, tick
from support.scripts import happened, shell
from support.spawning import Spawner, alive
from support.waiting import eventually

NAMES = ("EVENT", "NAME", "PID", "RUN", "CODE", "OUTCOME", "SECONDS", "RESTARTS")


def noting(directory: Path) -> str:
    """A hook that notes its variables, one line a call."""
    values = "|".join(f"$LIFELINE_{name}" for name in NAMES)
    return f'echo "{values}" >>{directory}/hooks'


def notes(directory: Path) -> list[dict[str, str]]:
    """What the hooks have noted, in order."""
    path = directory / "hooks"
    lines = path.read_text().splitlines() if path.exists() else []
    return [dict(zip(NAMES, line.split("|"), strict=True)) for line in lines]


def both(directory: Path) -> list[str]:
    return ["--on-start", noting(directory), "--on-exit", noting(directory)]


def test_hooks_know_what_happened(spawn: Spawner, tmp_path: Path) -> None:
    """Event, name, the job's pid, run and restarts in each; at the end also its result."""
    job = shell(tmp_path, "echo $$ >$0.pid; echo $LIFELINE_RUN >$0.run; exit 3")
    ended = tick(spawn, "--name", "mailer", *both(tmp_path), "--", *job)
    assert (ended.returncode, ended.stderr) == (3, "")
    start, end = sorted(notes(tmp_path), key=lambda each: each["EVENT"] != "start")
    pid, running = ((tmp_path / f"job.sh.{it}").read_text().strip() for it in ("pid", "run"))
    assert uuid.UUID(running).version == 4
    known = {"NAME": "mailer", "PID": pid, "RUN": running, "RESTARTS": "0"}
    assert start == {**known, "EVENT": "start", "CODE": "", "OUTCOME": "", "SECONDS": ""}
    assert float(end.pop("SECONDS")) > 0
    assert end == {**known, "EVENT": "exit", "CODE": "3", "OUTCOME": "failed"}


HANGS = "while :; do sleep 0.1; done"


@pytest.mark.parametrize(
    ("body", "options", "code", "outcome"),
    [
        ("exit 0", [], 0, "ok"),
        ("exit 1", [], 1, "failed"),
        ("kill -9 $$", [], 137, "failed"),
        (HANGS, ["--timeout", "300ms"], 124, "timeout"),
        (HANGS, ["--heartbeat", "beat", "--heartbeat-timeout", "300ms"], 124, "hung"),
        (HANGS, ["--max-memory", "1"], 137, "memory"),
    ],
    ids=["ok", "failed", "killed", "timeout", "hung", "memory"],
)
def test_the_outcome_says_how_it_ended(
    spawn: Spawner, tmp_path: Path, body: str, options: list[str], code: int, outcome: str
) -> None:
    """By itself, well or not, or ended by a guard; the code is the runner's own exit code."""
    ended = tick(spawn, "--on-exit", noting(tmp_path), *options, "--", *shell(tmp_path, body))
    assert ended.returncode == code
    (noted,) = notes(tmp_path)
    assert (noted["CODE"], noted["OUTCOME"]) == (str(code), outcome)


@pytest.mark.parametrize("trap", ["", "trap 'exit 0' TERM; "])
def test_a_job_that_was_told_to_end_was_stopped(spawn: Spawner, tmp_path: Path, trap: str) -> None:
    """TERM to the runner is no failure of the job, with whatever code it obeys."""
    job = shell(tmp_path, f"{trap}: >$0.ready; {HANGS}")
    process = spawn(*run("--on-exit", noting(tmp_path), "--", *job))
    eventually((tmp_path / "job.sh.ready").exists, 60)
    process.send_signal(signal.SIGTERM)
    code = process.wait(120)
    assert code == (0 if trap else 128 + signal.SIGTERM)
    (noted,) = notes(tmp_path)
    assert (noted["CODE"], noted["OUTCOME"]) == (str(code), "stopped")


def test_each_run_has_hooks_of_its_own(spawn: Spawner, tmp_path: Path) -> None:
    """With restarts each start and end is told, with its count and its own run."""
    job = shell(tmp_path, "echo x >>$0.runs; [ $(wc -l <$0.runs) -ge 3 ]")
    options = ("--restart", "on-failure", "--backoff", "10ms")
    assert tick(spawn, *both(tmp_path), *options, "--", *job).returncode == 0
    noted = notes(tmp_path)
    ends = [each for each in noted if each["EVENT"] == "exit"]
    assert [each["OUTCOME"] for each in ends] == ["failed", "failed", "ok"]
    assert [each["RESTARTS"] for each in ends] == ["0", "1", "2"]
    assert len({each["RUN"] for each in noted}) == 3
    assert len([each for each in noted if each["EVENT"] == "start"]) == 3


def test_a_command_that_cannot_be_started_has_an_end(spawn: Spawner, tmp_path: Path) -> None:
    """`--on-exit` is told when the program is not there."""
    ended = tick(spawn, *both(tmp_path), "--", tmp_path / "nothing")
    assert ended.returncode == 127
    (noted,) = notes(tmp_path)
    assert (noted["EVENT"], noted["CODE"], noted["OUTCOME"]) == ("exit", "127", "failed")


def test_a_command_without_a_name_is_named_by_its_words(spawn: Spawner, tmp_path: Path) -> None:
    """LIFELINE_NAME is what the history calls it."""
    tick(spawn, "--on-exit", noting(tmp_path), "--", *shell(tmp_path, "exit 0"))
    (noted,) = notes(tmp_path)
    assert noted["NAME"] == f"{tmp_path}/job.sh"
    assert {each["command"] for each in happened(spawn)} == {noted["NAME"]}


def test_an_exit_hook_has_ended_before_the_runner(spawn: Spawner, tmp_path: Path) -> None:
    """Whoever waits for `lifeline run` can rely on what its hook has done."""
    hook = f"sleep 0.3; echo done >>{tmp_path}/hooks"
    tick(spawn, "--on-exit", hook, "--", *shell(tmp_path, "exit 0"))
    assert (tmp_path / "hooks").read_text() == "done\n"


def test_a_start_hook_does_not_hold_the_job_up(spawn: Spawner, tmp_path: Path) -> None:
    """The job runs beside its start hook, which here waits for what the job does."""
    hook = f"while [ ! -e {tmp_path}/ran ]; do sleep 0.01; done"
    ended = tick(spawn, "--on-start", hook, "--", *shell(tmp_path, f": >{tmp_path}/ran; exit 2"))
    assert (ended.returncode, ended.stderr) == (2, "")


def test_what_a_hook_prints_is_shown(spawn: Spawner, tmp_path: Path) -> None:
    """Its streams are the runner's, also where the job's are kept."""
    options = ("--quiet", "--log", tmp_path / "log")
    hooks = ("--on-start", "echo started >&2", "--on-exit", "echo ended")
    ended = tick(spawn, *options, *hooks, "--", *shell(tmp_path, "echo job"))
    assert (ended.stdout, ended.stderr) == ("ended\n", "started\n")
    assert (tmp_path / "log").read_text() == "job\n"


def test_a_hook_takes_no_input_from_the_job(spawn: Spawner, tmp_path: Path) -> None:
    """Standard input is the job's alone."""
    (tmp_path / "input").write_text("for the job\n")
    hook = f"cat >>{tmp_path}/hooks"
    job = shell(tmp_path, "while [ ! -e $0.go ]; do sleep 0.01; done; cat")
    with open(tmp_path / "input", "rb") as file:
        process = spawn(
            *run("--on-start", f"{hook}; : >{tmp_path}/job.sh.go", "--", *job), stdin=file
        )
    assert process.communicate(timeout=120)[0] == "for the job\n"
    assert (tmp_path / "hooks").read_text() == ""


@pytest.mark.parametrize(
    ("hook", "message"),
    [("exit 9", "a hook ended with exit code 9"), ("kill -15 $$", "a hook ended with signal 15")],
)
def test_a_hook_that_fails_is_told_and_changes_nothing(
    spawn: Spawner, tmp_path: Path, hook: str, message: str
) -> None:
    """The exit code is the job's; one line says that its hook went wrong."""
    ended = tick(spawn, "--on-exit", hook, "--", *shell(tmp_path, "exit 4"))
    assert (ended.returncode, ended.stderr) == (4, f"lifeline: {message}\n")


def test_a_hook_that_hangs_is_ended_when_that_is_asked_for_twice(
    spawn: Spawner, tmp_path: Path
) -> None:
    """A runner whose hook does not end goes after a second TERM, with its hook."""
    hook = (
        f"echo $$ >{tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; trap '' TERM; {HANGS}"
    )
    process = spawn(*run("--on-exit", hook, "--", *shell(tmp_path, "exit 4")))
    eventually((tmp_path / "pid").exists, 60)

    def asked_again() -> bool:
        process.send_signal(signal.SIGTERM)
        return process.poll() is not None

    eventually(asked_again, 60, every=0.05)
    assert process.returncode == 4
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not alive(pid), 60)
    assert "a hook does not end" in process.stderr.read()


def test_a_hook_that_hangs_is_ended_after_its_time(spawn: Spawner, tmp_path: Path) -> None:
    """Patience has an end (30 s, here made shorter): a hook keeps no command from running."""
    code = (
        "import sys; from lifeline.supervision import reports; reports._HOOK_PATIENCE = 0.3; "
        "from lifeline.__main__ import main; sys.exit(main())"
    )
    job = shell(tmp_path, "echo x >>$0.runs; [ $(wc -l <$0.runs) -ge 2 ]")
    words = ("--on-exit", HANGS, "--restart", "on-failure", "--backoff", "10ms", "--", *job)
    ended = spawn.run(*changed(tmp_path, code, "run", *words))
    assert ended.returncode == 0
    assert ended.stderr == "lifeline: a hook does not end; it is ended now\n" * 2


def test_a_hook_that_lives_on_is_not_taken_for_the_job(spawn: Spawner, tmp_path: Path) -> None:
    """While a start hook runs, the end of the job is its end: the hook gets no signal for that."""
    hook = f"cd {tmp_path}; trap 'echo hit' TERM; : >ready; sleep 0.5; echo end"
    job = shell(tmp_path, f"while [ ! -e {tmp_path}/ready ]; do sleep 0.01; done")
    ended = tick(spawn, "--on-start", hook, "--", *job)
    assert (ended.returncode, ended.stdout) == (0, "end\n")


def test_signals_to_the_runner_are_not_the_hooks(spawn: Spawner, tmp_path: Path) -> None:
    """What is passed on to the job is not passed on to what runs beside it."""
    waits = "while [ ! -e heard ]; do sleep 0.01; done"
    hook = f"cd {tmp_path}; trap 'echo hit' USR1; : >ready; {waits}"
    # Where the shell tells of its own dead `sleep` nobody reads.
    job = shell(tmp_path, f"exec 2>&-; trap ': >heard; exit 0' USR1; : >$0.ready; {HANGS}")
    process = spawn(*run("--on-start", hook, "--", *job))
    eventually((tmp_path / "ready").exists, 60)
    eventually((tmp_path / "job.sh.ready").exists, 60)
    process.send_signal(signal.SIGUSR1)
    assert process.communicate(timeout=120) == ("", "")
    assert process.returncode == 0


def test_a_hook_starts_with_ordinary_signals(spawn: Spawner, tmp_path: Path) -> None:
    """Nothing is blocked or ignored in a hook because the runner handles it."""
    tick(
        spawn, "--on-exit", f"cat /proc/self/status >{tmp_path}/hooks", "--", *shell(tmp_path, ":")
    )
    status = dict(line.split(":", 1) for line in (tmp_path / "hooks").read_text().splitlines())
    ours = 1 << 31  # signal 32 is glibc's, and make leaves it ignored
    assert [int(status[name], 16) & ~ours for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]


def test_hooks_run_once_for_a_tick_that_starts_and_never_for_one_that_finds_its_twin(
    spawn: Spawner, tmp_path: Path
) -> None:
    """Standing down is neither a start nor an end."""
    job = shell(tmp_path, f": >$0.ready; {HANGS}")
    words = (*both(tmp_path), "--", *job)
    process = spawn(*run(*words))
    eventually((tmp_path / "job.sh.ready").exists, 60)
    eventually(lambda: len(notes(tmp_path)) == 1, 60)
    assert tick(spawn, *words).returncode == 0
    process.send_signal(signal.SIGTERM)
    process.wait(120)
    assert [each["EVENT"] for each in notes(tmp_path)] == ["start", "exit"]
