"""The exit status of `lifeline run` is the job's: 0 to 255, or 128+n if signal n ended it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support.lifelines import run, tick
from support.scripts import shell
from support.spawning import Spawner

AT_ONCE = 4
# These do nothing to a process that does nothing about them, in a session without a terminal.
HARMLESS = {
    *(signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT),
    *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    signal.SIGSTOP,
}
DEADLY = sorted(set(map(int, signal.valid_signals())) - set(map(int, HARMLESS)))


def statuses(spawn: Spawner, words: list[str], values: list[int]) -> dict[int, int]:
    """What `lifeline run` of the same words with each value added ends with."""
    found = {}
    for begin in range(0, len(values), AT_ONCE):
        some = values[begin : begin + AT_ONCE]
        runners = {value: spawn(*run("--", *words, str(value))) for value in some}
        found.update({value: runner.wait(120) for value, runner in runners.items()})
    return found


@pytest.mark.parametrize("first", range(0, 256, 32))
def test_every_status_is_passed_on(tmp_path: Path, spawn: Spawner, first: int) -> None:
    """The job's status is the runner's, for each of the 256."""
    values = list(range(first, first + 32))
    words = shell(tmp_path, 'exit "$1"')
    assert statuses(spawn, words, values) == {value: value for value in values}


@pytest.mark.parametrize("half", [0, 1])
def test_every_deadly_signal_shows(tmp_path: Path, spawn: Spawner, half: int) -> None:
    """A job that dies of signal n gives 128+n, real-time signals and KILL too."""
    values = DEADLY[half::2]
    words = shell(tmp_path, 'ulimit -c 0; kill -"$1" $$; sleep 3600')
    assert statuses(spawn, words, values) == {value: 128 + value for value in values}


def test_the_status_is_the_jobs_not_its_childrens(tmp_path: Path, spawn: Spawner) -> None:
    """Orphans that are collected later, and end otherwise, do not change it."""
    words = shell(tmp_path, "(sleep 0.2; exit 7) & (trap 'exit 8' TERM; sleep 3600) & exit 6")
    assert tick(spawn, "--grace", "300ms", "--", *words).returncode == 6


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("missing", 127, "command not found"),
        ("not a directory", 127, "command not found"),
        ("no interpreter", 127, "the interpreter that it names was not found"),
        ("a directory", 126, "cannot be executed (Permission denied)"),
        ("not executable", 126, "cannot be executed (Permission denied)"),
        ("for another machine", 126, "cannot be executed (Exec format error)"),
    ],
)
def test_what_cannot_be_executed(
    tmp_path: Path, spawn: Spawner, how: str, code: int, told: str
) -> None:
    """A command that cannot be started gives 126 or 127 and one line that says why."""
    program = tmp_path / "program"
    if how == "a directory":
        program.mkdir()
    elif how != "missing":
        program.write_bytes(
            {
                "no interpreter": b"#!/no/such/interpreter\n",
                "for another machine": b"\x7fELF" + bytes(60),
            }.get(how, b"#!/bin/sh\n")
        )
        program.chmod(0o644 if how == "not executable" else 0o755)
    if how == "not a directory":
        program /= "inside"
    ended = tick(spawn, "--", program)
    assert (ended.returncode, ended.stderr) == (code, f"lifeline: {program}: {told}\n")


def test_a_script_without_an_interpreter_line(tmp_path: Path, spawn: Spawner) -> None:
    """It is run by the shell, as every shell would do."""
    script = tmp_path / "script"
    script.write_text('exit "$1"\n')
    script.chmod(0o755)
    assert tick(spawn, "--", script, "11").returncode == 11


def test_where_a_twin_runs(tmp_path: Path, spawn: Spawner) -> None:
    """A tick that finds its twin gives 0, or what --exit-code-if-running says, and no output."""
    words = shell(tmp_path, "echo up; read forever")
    runner = spawn(*run("--", *words), stdin=-1)
    assert runner.stdout and runner.stdout.readline() == "up\n"
    for options, code in (((), 0), (("--exit-code-if-running", "9"), 9)):
        ended = tick(spawn, *options, "--", *words)
        assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")
