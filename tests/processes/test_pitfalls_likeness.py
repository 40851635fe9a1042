"""Pitfalls of telling who is the same command: docs/pitfalls.md."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from support.lifelines import (
    LIFELINE,
    Work,
    lifeline,
    line,
    python,
    run,
    tick,
    unique_sleep,
)
from support.spawning import Spawner, alive, look
from support.waiting import eventually

FOUND = ("--exit-code-if-running", "9")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "work")


# --- P3: wrappers -----------------------------------------------------------------------------

SHELLS = {
    "sh": ["sh", "-c"],
    "bash with a redirect": ["bash", "-c"],
    "timeout": ["timeout", "600", "sh", "-c"],
    "flock": ["flock", "{tmp}/lock", "sh", "-c"],
    "env": ["env", "A=1", "sh", "-c"],
    "nice": ["nice", "sh", "-c"],
    "timeout in sh": ["sh", "-c", 'timeout 600 sh -c "$0"; true'],
}


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS.keys())
def test_p3_what_wraps_the_line_is_no_twin(shell: list[str], spawn: Spawner, work: Work) -> None:
    """P3: what stands above a starter and shows its command line does not keep it from starting.

    The wrappers stay, because something follows: as cron's own shell does.
    """
    words = [word.format(tmp=work.directory) for word in shell]
    command = " ".join([*run(*FOUND, "--"), *work.argv])
    wrapper = spawn(*words, f"{command} >>{work.directory}/out 2>&1; exit $?")
    (pid,) = work.wait_for("start")
    assert alive(wrapper.pid)
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    os.kill(pid, signal.SIGTERM)
    assert wrapper.wait(120) == 0


@pytest.mark.parametrize("wrapper", [["timeout", "600"], ["flock", "{tmp}/lock"], ["sh", "-c"]])
def test_p3_a_twin_is_found_below_its_wrapper(
    wrapper: list[str], spawn: Spawner, work: Work
) -> None:
    """P3: started plainly below a wrapper it is a twin; the wrapper alone is none."""
    words = [word.format(tmp=work.directory) for word in wrapper]
    if words == ["sh", "-c"]:
        started = spawn(*words, " ".join([*work.argv, "; true"]))
    else:
        started = spawn(*words, *work.argv)
    work.wait_for("start")
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    for pid in work.working():
        os.kill(pid, signal.SIGKILL)
    started.wait(120)
    ended = tick(spawn, *FOUND, "--", *words, "true")
    assert ended.returncode == 0
    work.check(starts=1)


@pytest.mark.parametrize("how", ["renamed", "called"])
def test_p3_a_runner_that_others_cannot_recognise_starts_nothing(
    how: str, spawn: Spawner, work: Work
) -> None:
    """P3: under another name, or called by a program, it would be no twin to anybody: exit 75."""
    if how == "renamed":
        other = work.directory / "other"
        other.symlink_to(LIFELINE)
        words = [str(other)]
    else:
        words = python("import sys; from lifeline.__main__ import main; sys.exit(main())")
    name = unique_sleep()[1]
    for options in ((), ("--exec",), ("--on-running", "replace"), ("--name", name)):
        refused = spawn.run(*words, "run", *options, "--", *work.argv)
        assert refused.returncode == 75
        assert "others cannot recognise this process by its command line" in refused.stderr
    work.check(starts=0)


def test_p3_what_only_mentions_the_command_is_no_twin(spawn: Spawner, tmp_path: Path) -> None:
    """P3: an editor, a grep, a longer name, part of the arguments: none of them is the command."""
    work = Work(tmp_path / "work", "stand_by('start')\n")
    job = str(work.script)
    longer = tmp_path / "work" / "job.py_old"
    shutil.copy(work.script, longer)
    spawn(*python("import time; time.sleep(3600)", job))  # a grep, an editor
    spawn(*python("import time; time.sleep(3600)", *work.argv))
    spawn("sh", "-c", f": {job}; sleep 3600; true")
    spawn(sys.executable, longer)
    spawn(*work.argv, "more")
    work.wait_for("start", times=2)
    told = tick(spawn, *FOUND, "--", "sh", "-c", "exit 5", job)
    assert told.returncode == 5
    started = spawn(*run(*FOUND, "--", *work.argv))
    work.wait_for("start", times=3)
    assert started.poll() is None


BECOME_ROOT = {"su": ["su", "-m", "root", "-c"], "sudo": ["sudo", "-n", "-E", "sh", "-c"]}


@pytest.mark.needs("root")
@pytest.mark.parametrize("words", [BECOME_ROOT[name] for name in BECOME_ROOT if shutil.which(name)])
def test_p3_su_above_a_starter_is_no_twin(words: list[str], spawn: Spawner, work: Work) -> None:
    """P3: su or sudo above a starter does not keep it from starting; the job is found below it."""
    wrapper = spawn(*words, " ".join([*run(*FOUND, "--"), *work.argv, "; exit $?"]))
    work.wait_for("start")
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    for pid in work.working():
        os.kill(pid, signal.SIGTERM)
    assert wrapper.wait(120) == 0


# --- P4, P5: fork children --------------------------------------------------------------------


def test_p4_forked_children_are_not_twins_of_their_parent(spawn: Spawner, tmp_path: Path) -> None:
    """P4: lifeline() in a program that has forked workers finds them below itself, and runs."""
    body = "from lifeline import lifeline\nkids = [child() for _ in range(3)]\nlifeline()\nwork()\n"
    work = Work(tmp_path / "work", body)
    spawn(*work.argv)
    work.wait_for("start")
    assert spawn(*work.argv).wait(120) == 0
    work.check(starts=1)


def test_p4_a_pool_of_workers_is_one_twin(spawn: Spawner, tmp_path: Path) -> None:
    """P4: of a job with forked workers only the topmost counts, and all are ended together."""
    work = Work(tmp_path / "work", "kids = [child() for _ in range(3)]\nwork()\n")
    runner = spawn(*run("--", *work.argv))
    work.wait_for("start")
    work.wait_for("child", times=3)
    told = lifeline(spawn, "status", "--", *work.argv).stdout
    assert len([row for row in told.splitlines() if str(runner.pid) in row.split()]) == 1
    assert lifeline(spawn, "terminate", "--", *work.argv).returncode == 0
    assert not any(alive(pid) for pid in [*work.said("start"), *work.said("child"), runner.pid])


@pytest.mark.parametrize("how", [[], ["--exec"]], ids=["supervised", "exec"])
def test_p5_orphaned_forked_children_do_not_block_the_next_start(
    how: list[str], spawn: Spawner, tmp_path: Path
) -> None:
    """P5: the main process is killed, its forked children live on; the next tick starts anew."""
    work = Work(tmp_path / "work", "kids = [child() for _ in range(3)]\nwork()\n")
    first = spawn(*run(*how, "--settle", "1s", "--", *work.argv))
    (pid,) = work.wait_for("start")
    children = work.wait_for("child", times=3)
    assert {(look(each) or look(1)).sid for each in children} == {pid}  # type: ignore[union-attr]
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: not alive(first.pid))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not alive(pid))
    assert all(map(alive, children))
    # --exec has no session of its own: there a leftover has to be older than `settle`.
    again = eventually(lambda: _started(spawn, work, how), within=120)
    assert again is not None
    assert not any(map(alive, children))
    assert alive(again)
    work.check(starts=2)


def _started(spawn: Spawner, work: Work, how: list[str]) -> int | None:
    """Starts the job until that succeeds: the pid that works then."""
    before = len(work.said("start"))
    ticked = spawn(*run(*how, *FOUND, "--settle", "1s", "--", *work.argv))
    eventually(lambda: ticked.poll() is not None or len(work.said("start")) > before)
    return work.said("start")[-1] if ticked.poll() is None else None


# --- P8: titles -------------------------------------------------------------------------------

RETITLED = """\
from setproctitle import setproctitle
{claim}
setproctitle("something else")
work()
"""
CLAIM = "from lifeline import lifeline; lifeline()"


@pytest.mark.parametrize("named", [False, True], ids=["command", "name"])
@pytest.mark.parametrize("how", [[], ["--exec"]], ids=["supervised", "exec"])
def test_p8_a_job_that_rewrites_its_title_is_found(
    how: list[str], named: bool, spawn: Spawner, tmp_path: Path
) -> None:
    """P8: by its runner's command line, or by its run record where it became the job itself."""
    name = unique_sleep()[1]
    how = [*how, "--name", name] if named else how
    work = Work(tmp_path / "work", RETITLED.format(claim=""))
    started = spawn(*run(*how, "--", *work.argv))
    (pid,) = work.wait_for("start")
    assert Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"something else")
    assert tick(spawn, *FOUND, *how, "--", *work.argv).returncode == 9
    meant = [name] if named else ["--", *work.argv]
    assert lifeline(spawn, "terminate", *meant).returncode == 0
    assert started.wait(120) is not None
    assert not alive(pid)
    work.check(starts=1)


def test_p8_a_script_that_rewrites_its_title_is_found(spawn: Spawner, tmp_path: Path) -> None:
    """P8: lifeline() leaves a record before the title changes, and that tells."""
    work = Work(tmp_path / "work", RETITLED.format(claim=CLAIM))
    spawn(*work.argv)
    work.wait_for("start")
    assert spawn.run(*work.argv).returncode == 0
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    work.check(starts=1)


def test_p8_without_the_state_directory_a_runner_is_still_found(
    spawn: Spawner, tmp_path: Path, state_dir: Path
) -> None:
    """P8: the supervising runner keeps its own command line, so no file is needed to find it."""
    work = Work(tmp_path / "work", RETITLED.format(claim=""))
    spawn(*run("--", *work.argv))
    work.wait_for("start")
    shutil.rmtree(state_dir)
    assert tick(spawn, *FOUND, "--", *work.argv).returncode == 9
    work.check(starts=1)


# --- P9, P10, P22: what makes a command -------------------------------------------------------


def test_p9_the_same_words_in_two_directories_are_two_commands(
    spawn: Spawner, tmp_path: Path
) -> None:
    """P9: `python job.py` in two directories, and a task of two projects, run side by side."""
    both = [Work(tmp_path / name) for name in ("one", "two")]
    for work in both:
        spawn(*run("--", sys.executable, "job.py"), cwd=work.directory)
    for work in both:
        work.wait_for("start")
        found = tick(spawn, *FOUND, "--", sys.executable, "job.py", cwd=work.directory)
        assert found.returncode == 9
        work.check(starts=1)


def test_p10_other_words_for_the_same_command_are_one(spawn: Spawner, tmp_path: Path) -> None:
    """P10: another spelling of interpreter or script, options of the interpreter, a #! start."""
    work = Work(tmp_path / "work")
    work.script.write_text(f"#!{sys.executable}\n" + work.script.read_text())
    work.script.chmod(0o755)
    link = tmp_path / "python3"
    link.symlink_to(sys.executable)
    spawn(*work.argv)
    work.wait_for("start")
    for words in (
        [sys.executable, "-u", str(work.script)],
        [str(link), "-X", "utf8", str(work.script)],
        [sys.executable, "./job.py"],
        [sys.executable, "../work/job.py"],
        ["./job.py"],
        [str(work.script)],
        ["nice", str(work.script)],
        ["env", sys.executable, str(work.script)],
    ):
        found = tick(spawn, *FOUND, "--", *words, cwd=work.directory)
        assert found.returncode == 9, words
    work.check(starts=1)


def test_p10_a_script_started_by_its_first_line_is_the_command(
    spawn: Spawner, tmp_path: Path
) -> None:
    """P10: the kernel puts the interpreter in front of a `#!` script, through env as well."""
    for number, first in enumerate(("#!/bin/sh", "#!/usr/bin/env sh", "#!/bin/sh -e")):
        script = tmp_path / f"job{number}"
        script.write_text(f"{first}\nsleep 3600\n:\n")
        script.chmod(0o755)
        started = spawn(script)
        for words in ([str(script)], ["sh", str(script)], [f"./{script.name}"]):
            # A shell shows the script that it reads once it has been started.
            assert tick(spawn, *FOUND, "--", *words, cwd=tmp_path).returncode == 9
        started.kill()


def test_p10_a_name_is_one_whatever_the_words_are(spawn: Spawner, tmp_path: Path) -> None:
    """P10: releases in other directories are one lifeline by a name of their own."""
    old, new = Work(tmp_path / "1"), Work(tmp_path / "2")
    name = unique_sleep()[1]
    spawn(*run("--name", name, "--", *old.argv))
    old.wait_for("start")
    assert tick(spawn, *FOUND, "--name", name, "--", *new.argv).returncode == 9
    other = spawn(*run(*FOUND, "--", *new.argv))  # without the name it is another command
    new.wait_for("start")
    assert other.poll() is None


def test_p22_arguments_are_never_joined(spawn: Spawner, tmp_path: Path) -> None:
    """P22: `"a b" c`, `a "b c"`, an empty argument more: all different commands, all run."""
    work = Work(tmp_path / "work", "stand_by('start')\n")
    lists = [
        ["a b", "c"],
        ["a", "b c"],
        ["a b c"],
        ["a", "b", "c"],
        ["a b", "c", ""],
        ["a\nb", "c"],
    ]
    for arguments in lists:
        spawn(*run(*FOUND, "--", *work.argv, *arguments))
    work.wait_for("start", times=len(lists))
    for arguments in lists:
        assert tick(spawn, *FOUND, "--", *work.argv, *arguments).returncode == 9
    assert len(work.said("start")) == len(lists)


# --- P17: truncation --------------------------------------------------------------------------


def test_p17_columns_cut_nothing_off(spawn: Spawner, tmp_path: Path) -> None:
    """P17: a narrow terminal does not make two jobs look alike, nor hide one."""
    work = Work(tmp_path / "work", "stand_by('start')\n")
    narrow = {"COLUMNS": "20", "LINES": "2", "TERM": "dumb"}
    for word in ("one", "two"):
        spawn(*run(*FOUND, "--", *work.argv, "x" * 100, word), env=narrow)
    work.wait_for("start", times=2)
    for word in ("one", "two"):
        found = tick(spawn, *FOUND, "--", *work.argv, "x" * 100, word, env=narrow)
        assert found.returncode == 9


def test_p17_a_command_line_of_120_kb_is_compared_whole(spawn: Spawner, tmp_path: Path) -> None:
    """P17: two commands that differ in the last byte after 120 kB are two, and each is found."""
    work = Work(tmp_path / "work", "stand_by('start')\n")
    for word in ("one", "two"):
        spawn(*run(*FOUND, "--", *work.argv, "x" * 120_000, word))
    work.wait_for("start", times=2)
    for word in ("one", "two"):
        found = tick(spawn, *FOUND, "--", *work.argv, "x" * 120_000, word)
        assert found.returncode == 9
    assert lifeline(spawn, "terminate", "--", *work.argv, "x" * 120_000, "one").returncode == 0
    assert [alive(pid) for pid in work.said("start")].count(True) == 1


def test_p17_a_program_of_120_kb_found_plainly(spawn: Spawner) -> None:
    """P17: the same without a record, by the process table alone."""
    code = "import time; print(flush=True); time.sleep(3600)"
    argv = python(code, "y" * 120_000, unique_sleep()[1])
    line(spawn(*argv))
    assert tick(spawn, *FOUND, "--", *argv).returncode == 9
