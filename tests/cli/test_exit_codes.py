"""Exit codes are an interface: the rows of docs/exit-codes.md, each with real processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lifeline import lock
from support.crontabs import Crontabs
from support.lifelines import AS_NOBODY, LIFELINE, lifeline, run, tick
from support.screen import ScreenTerminal
from support.servers import files
from support.stage import Stage, assert_one_line
from support.waiting import eventually

DOCUMENT = Path(__file__).parents[2] / "docs" / "exit-codes.md"
EXEC = pytest.mark.parametrize("how", [[], ["--exec"]], ids=["supervised", "exec"])


# --- the rows ---------------------------------------------------------------------------------

Row = tuple[str, ...]
TESTED: dict[Row, list[str]] = {}


def row(*cells: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Says which row of the document a test is for."""

    def remember(test: Callable[..., None]) -> Callable[..., None]:
        TESTED.setdefault(cells, []).append(test.__name__)
        return test

    return remember


@row("the job's own", "the job ran and ended")
@EXEC
@pytest.mark.parametrize("code", [0, 1, 2, 42, 75, 126, 127, 128, 143, 255])
def test_the_jobs_own_code_is_passed_on(stage: Stage, how: list[str], code: int) -> None:
    """Whatever it is, also where lifeline itself would mean something by it."""
    ended = tick(stage.spawn, *how, "--", stage.shell(f"exit {code}"))
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


SIGNALS = [signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, 34, 64]


@row("128+n", "signal n ended the job")
@EXEC
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_shows_as_128_and_its_number(stage: Stage, how: list[str], number: int) -> None:
    """As in a shell; with --exec it is the shell that says so."""
    job = stage.script(
        f"#!{sys.executable} -I\n"
        "import os, resource, signal\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        f"if {number} not in ({signal.SIGKILL:d},): signal.signal({number}, signal.SIG_DFL)\n"
        f"os.kill(os.getpid(), {number})\n"
    )
    ended = tick(stage.spawn, *how, "--", job)
    assert ended.returncode == (-number if how else 128 + number)
    in_shell = stage.spawn.run("sh", "-c", '"$@"; exit $?', "sh", *run(*how, "--", job))
    assert in_shell.returncode == 128 + number


@row("0", "a twin runs; `--exit-code-if-running N` makes it N")
@EXEC
@pytest.mark.parametrize("twin", ["supervised", "exec", "plain"])
def test_a_twin_that_runs_gives_0_or_the_code_that_is_wanted(
    stage: Stage, how: list[str], twin: str
) -> None:
    """However it was started; and nothing is said, so that cron stays quiet."""
    job = stage.sleeper()
    starts = {"supervised": run("--", job), "exec": run("--exec", "--", job), "plain": [job]}
    stage.running(*starts[twin])
    for option, code in (
        ([], 0),
        (["--exit-code-if-running", "75"], 75),
        (["--exit-code-if-running=1"], 1),
    ):
        ended = tick(stage.spawn, *how, *option, "--", job)
        assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")


@row("0", "the lifeline is held")
@EXEC
def test_a_held_lifeline_gives_0_and_says_so(stage: Stage, how: list[str]) -> None:
    """It is no failure: somebody wanted it so."""
    job = stage.sleeper()
    assert lifeline(stage.spawn, "hold", "--", job).returncode == 0
    ended = tick(stage.spawn, *how, "--exit-code-if-running", "9", "--", job)
    assert ended.returncode == 0
    assert_one_line(ended)
    assert "held" in ended.stderr
    assert not stage.started.exists()


WRONG = [
    [],
    ["--"],
    ["true"],
    ["--", ""],
    ["--bogus", "--", "true"],
    ["--name", "--", "true"],
    ["--name", "a/b", "--", "true"],
    ["--settle", "soon", "--", "true"],
    ["--exit-code-if-running", "300", "--", "true"],
]


@row("2", "wrong use of the command line")
@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_use_gives_2(stage: Stage, words: list[str]) -> None:
    """With one line; `test_bad_input.py` has more."""
    assert stage.code(*words) == 2


CANNOT_TELL = (
    "75",
    "it cannot be told whether a twin runs, or the state directory cannot be used",
)


@row(*CANNOT_TELL)
@EXEC
def test_a_state_directory_that_cannot_be_trusted_gives_75(
    stage: Stage, state_dir: Path, how: list[str]
) -> None:
    """Nothing is started."""
    state_dir.mkdir()
    state_dir.chmod(0o777)
    assert stage.code(*how, "--", stage.sleeper()) == 75
    assert not stage.started.exists()


@row(*CANNOT_TELL)
@EXEC
@pytest.mark.needs("unshare", "root")
def test_the_wrong_process_table_gives_75(stage: Stage, how: list[str]) -> None:
    """/proc shows another pid namespace, so who runs cannot be seen."""
    ended = stage.spawn.run("unshare", "--pid", "--fork", *run(*how, "--", stage.sleeper()))
    assert ended.returncode == 75
    assert_one_line(ended)
    assert not stage.started.exists()


def not_executable(stage: Stage) -> str:
    return stage.script("#!/bin/sh\n", mode=0o644)


def a_directory(stage: Stage) -> str:
    return str(stage.directory)


def of_another_machine(stage: Stage) -> str:
    return stage.script(b"\x7fELF\2\1\1\0" + bytes(56))


def damaged(stage: Stage) -> str:
    return stage.script(bytes(512))


def interpreter_not_executable(stage: Stage) -> str:
    return stage.script(f"#!{stage.script('', 'interpreter', mode=0o644)}\n")


def interpreter_is_a_directory(stage: Stage) -> str:
    return stage.script(f"#!{stage.directory}\n")


def too_long(stage: Stage) -> str:
    return "/" + "x" * 300


@row("126", "the command cannot be executed")
@EXEC
@pytest.mark.parametrize(
    "make",
    [
        *(not_executable, a_directory, of_another_machine, damaged, interpreter_not_executable),
        *(interpreter_is_a_directory, too_long),
    ],
)
def test_what_cannot_be_executed_gives_126(
    stage: Stage, how: list[str], make: Callable[[Stage], str]
) -> None:
    """And is named, with the reason."""
    command = make(stage)
    ended = tick(stage.spawn, *how, "--", command)
    assert ended.returncode == 126
    assert_one_line(ended)
    assert command[:100] in ended.stderr and "cannot be executed (" in ended.stderr


def nowhere(stage: Stage) -> str:
    return f"{stage.directory}/nothing"


def not_in_path(stage: Stage) -> str:
    return "no-such-program-anywhere"


def below_a_file(stage: Stage) -> str:
    return stage.shell("exit 0") + "/x"


def interpreter_missing(stage: Stage) -> str:
    return stage.script(f"#!{stage.directory}/nothing\n")


@row("127", "the command, or the interpreter that its `#!` line names, was not found")
@EXEC
@pytest.mark.parametrize("make", [nowhere, not_in_path, below_a_file, interpreter_missing])
def test_what_is_not_found_gives_127(
    stage: Stage, how: list[str], make: Callable[[Stage], str]
) -> None:
    """And is named; a script whose interpreter is missing is not said to be missing itself."""
    command = make(stage)
    ended = tick(stage.spawn, *how, "--", command)
    assert ended.returncode == 127
    assert_one_line(ended)
    expected = "the interpreter that it names" if make is interpreter_missing else "command"
    assert f"{command}: {expected}" in ended.stderr


@EXEC
@pytest.mark.parametrize("text", ["", "exit 7\n", "# a comment\nexit 7\n"])
def test_a_script_without_a_first_line_is_the_shells(
    stage: Stage, how: list[str], text: str
) -> None:
    """As in a shell: it is no format that cannot be executed."""
    assert stage.code(*how, "--", stage.script(text)) == (7 if text else 0)


@pytest.mark.parametrize("make", [not_executable, nowhere])
@EXEC
def test_a_command_that_did_not_start_leaves_no_record(
    stage: Stage, state_dir: Path, how: list[str], make: Callable[[Stage], str]
) -> None:
    """Or the next tick would have something to believe in."""
    assert stage.code(*how, "--", make(stage)) in (126, 127)
    assert os.listdir(state_dir / "runs") == []


NO_STORE = "redis://127.0.0.1:1"


@row("75", "with `--lock`: the store is out of reach, or says no")
def test_a_store_out_of_reach_gives_75(stage: Stage) -> None:
    """Nothing is started."""
    assert stage.code("--lock", NO_STORE, "--", stage.sleeper()) == 75
    assert not stage.started.exists()


@row("0", "with `--lock`: all slots are taken; `--exit-code-if-running N` makes it N")
def test_taken_slots_give_0_or_the_code_that_is_wanted(stage: Stage) -> None:
    """And nothing is said, so that cron stays quiet."""
    locks = files.fresh()
    with lock(stage.name, locks):
        words = ("--lock", locks, "--name", stage.name)
        for option, code in (((), 0), (("--exit-code-if-running", "9"), 9)):
            ended = tick(stage.spawn, *words, *option, "--", stage.sleeper())
            assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")
    assert not stage.started.exists()


@row("76", "with `--lock`: the lease was lost, and the job was ended")
@row("`lock holders`", "3", "nobody holds a lease")
@row("`lock break`", "3", "there is no such lease")
def test_a_lost_lease_gives_76(stage: Stage) -> None:
    """Whatever the job would have given."""
    locks = files.fresh()
    broken = ("lock", "break", stage.name, "--slot", "0", "--yes", "--lock", locks)
    assert lifeline(stage.spawn, *broken).returncode == 3
    assert lifeline(stage.spawn, "lock", "holders", "--lock", locks).returncode == 3
    words = ("--lock", locks, "--name", stage.name, "--ttl", "3", "--grace", "0.5")
    running = stage.start(*words, "--", stage.sleeper())
    assert lifeline(stage.spawn, "lock", "holders", "--lock", locks).returncode == 0
    assert lifeline(stage.spawn, *broken).returncode == 0
    assert running.wait(120) == 76


@row("`signal`", "3", "nobody has heard it")
def test_a_signal_that_nobody_hears_gives_3(stage: Stage) -> None:
    """Where nobody holds the lease."""
    words = ("signal", stage.name, "hello", "--wait", "0.1", "--lock", files.fresh())
    assert lifeline(stage.spawn, *words).returncode == 3


@row("`watch`", "76", "the lease was lost")
def test_a_watch_that_loses_its_lease_gives_76(stage: Stage) -> None:
    """As a run does."""
    locks = files.fresh()
    words = (LIFELINE, "watch", stage.name, "--lock", locks)
    watching = stage.spawn(*words)
    held = (LIFELINE, "lock", "holders", stage.name, "--lock", locks)
    eventually(lambda: stage.spawn.run(*held).returncode == 0, within=120)
    broken = ("lock", "break", stage.name, "--slot", "0", "--yes", "--lock", locks)
    assert lifeline(stage.spawn, *broken).returncode == 0
    assert watching.wait(90) == 76


@row("`watch`", "128+n", "signal n ended it")
@pytest.mark.parametrize("words", [(), ("--listen",)], ids=["holds", "listens"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_watch(
    stage: Stage, words: tuple[str, ...], number: signal.Signals
) -> None:
    """Whether it holds a slot or listens only."""
    watching = stage.spawn(LIFELINE, "watch", *words, stage.name, "--lock", files.fresh())
    assert stage.name in watching.stderr.readline()
    watching.send_signal(number)
    assert watching.wait(120) == 128 + number


@row("`lock check`", "1", "the store will not do")
def test_a_store_that_will_not_do_gives_1(stage: Stage) -> None:
    """And says what is wrong with it."""
    ended = lifeline(stage.spawn, "lock", "check", NO_STORE)
    assert ended.returncode == 1
    assert "127.0.0.1:1" in ended.stdout


@row("124", "`--timeout` or `--heartbeat-timeout` ended the job")
@pytest.mark.parametrize("limit", [["--timeout"], ["--heartbeat", "beat", "--heartbeat-timeout"]])
def test_a_job_that_takes_too_long_gives_124(stage: Stage, limit: list[str]) -> None:
    """As timeout(1) has it."""
    ended = tick(stage.spawn, *limit, "0.2", "--", stage.sleeper())
    assert ended.returncode == 124


@row("137", "`--max-memory` ended the job")
def test_a_job_that_grows_too_big_gives_137(stage: Stage) -> None:
    """As if the kernel had ended it for its memory."""
    ended = tick(stage.spawn, "--max-memory", "1KB", "--", stage.sleeper())
    assert ended.returncode == 137


# --- the other verbs --------------------------------------------------------------------------


@row("`status`", "0", "something runs")
@row("`status`", "3", "nothing runs")
def test_status_tells_by_its_code(stage: Stage) -> None:
    """3, as of `systemctl status`."""
    job = stage.sleeper()
    assert lifeline(stage.spawn, "status", "--", job).returncode == 3
    stage.start("--", job)
    assert lifeline(stage.spawn, "status", "--", job).returncode == 0


@row("`explain`", "0", "whatever the answer is")
def test_explain_gives_0(stage: Stage) -> None:
    """It only explains."""
    job = stage.sleeper()
    assert lifeline(stage.spawn, "explain", "--", job).returncode == 0
    stage.start("--", job)
    assert lifeline(stage.spawn, "explain", "--", job).returncode == 0


@row("`terminate`", "0", "all are gone, or nothing ran")
def test_terminate_gives_0_once_nobody_is_left(stage: Stage) -> None:
    """Whether it had to end somebody or not."""
    job = stage.sleeper()
    assert lifeline(stage.spawn, "terminate", "--", job).returncode == 0
    running = stage.start("--", job)
    assert lifeline(stage.spawn, "terminate", "--", job).returncode == 0
    assert running.wait(120) == 128 + signal.SIGTERM


NOT_TO_BE_SIGNALLED = """\
import ctypes, os, sys, time
os.setresuid(0, 65534, 0)  # looks like nobody's, but only root may signal it
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: its files in /proc are nobody's, too
print(flush=True)
time.sleep(3600)
"""


@row("`terminate`", "1", "one would not go, or this process is part of the run")
@pytest.mark.needs("nobody")
def test_terminate_gives_1_if_one_would_not_go(stage: Stage) -> None:
    """And names it, and says why."""
    script = stage.script(NOT_TO_BE_SIGNALLED)
    job = stage.spawn(sys.executable, script)
    job.stdout.readline()
    env = {"LIFELINE_STATE_DIR": "/nonexistent/state"}
    ended = stage.spawn.run(
        *AS_NOBODY, LIFELINE, "terminate", "--", sys.executable, script, env=env
    )
    assert ended.returncode == 1, ended.stderr
    assert f"pid {job.pid} may not be signalled" in ended.stderr
    assert ended.stdout.startswith(f"still there pid {job.pid} ")
    assert job.poll() is None


@row("`terminate`", "1", "one would not go, or this process is part of the run")
def test_terminate_does_not_end_the_run_that_it_is_part_of(stage: Stage) -> None:
    """A job cannot end itself this way."""
    job = stage.shell(f"{LIFELINE} terminate -- {stage.directory}/{stage.name}; exit $(($? + 40))")
    ended = tick(stage.spawn, "--", job)
    assert ended.returncode == 41, ended.stderr
    assert_one_line(ended)


@row("`hold`, `release`", "0", "it is done, or was not needed")
def test_hold_and_release_give_0(stage: Stage) -> None:
    """Also the second time."""
    for verb in ("release", "hold", "hold", "release", "release"):
        assert lifeline(stage.spawn, verb, stage.name).returncode == 0


@row("`cron show`", "3", "nothing is installed")
@pytest.mark.needs("cron", "root")
def test_cron_show_gives_3_if_nothing_is_installed(stage: Stage) -> None:
    """Nor is anything changed by asking."""
    ended = Crontabs(stage.spawn, stage.directory).lifeline("cron", "show")
    assert ended.returncode == 3, ended.stderr


@row("`config check`", "2", "there is a mistake")
def test_a_mistake_in_the_config_gives_2(stage: Stage) -> None:
    """With the file and the line."""
    text = "[lifeline.web]\ncommand = 'true'\ngrase = '1s'\n"
    (stage.directory / "lifeline.toml").write_text(text)
    ended = lifeline(stage.spawn, "config", "check", cwd=stage.directory)
    assert ended.returncode == 2
    assert_one_line(ended, "lifeline.toml:3", "grace")


@row("`doctor`", "1", "something is wrong")
def test_doctor_gives_1_if_something_is_wrong(stage: Stage, state_dir: Path) -> None:
    """Here, a state directory that is open to others."""
    state_dir.mkdir()
    state_dir.chmod(0o777)
    assert lifeline(stage.spawn, "doctor").returncode == 1


@row("`top`", "0", "it was left, or there is no terminal and it was printed once")
def test_top_gives_0(stage: Stage) -> None:
    """Also where nothing runs."""
    terminal = ScreenTerminal(stage.spawn, LIFELINE, "top")
    terminal.wait_for("q quit")
    terminal.type("q")
    assert terminal.ended() == 0
    assert lifeline(stage.spawn, "top").returncode == 0


@row("`top`, `metrics --port`", "128+n", "signal n ended it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_verb_that_goes_on(stage: Stage, number: signal.Signals) -> None:
    """As a shell has it."""
    terminal = ScreenTerminal(stage.spawn, LIFELINE, "top")
    terminal.wait_for("q quit")
    serving = stage.spawn(LIFELINE, "metrics", "--port", "0")
    serving.stderr.readline()
    for each in (terminal.process, serving):
        each.send_signal(number)
    assert (terminal.ended(), serving.wait(120)) == (128 + number, 128 + number)


@row("`metrics`", "1", "prometheus_client is not installed")
def test_metrics_gives_1_without_its_library(stage: Stage) -> None:
    """The line names the extra that brings it."""
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from lifeline.__main__ import main; sys.exit(main(['metrics']))"
    )
    ended = stage.spawn.run(sys.executable, "-c", code)
    assert ended.returncode == 1
    assert_one_line(ended, "pip install lifeline-run[metrics]")


@row("`metrics`", "75", "a part could not be read; the others are printed")
def test_metrics_gives_75_if_a_part_is_missing(stage: Stage) -> None:
    """Here, the leases of a store that does not answer."""
    ended = lifeline(stage.spawn, "metrics", "--lock", NO_STORE)
    assert ended.returncode == 75
    assert 'lifeline_source_up{source="lock"} 0.0' in ended.stdout
    assert 'lifeline_source_up{source="processes"} 1.0' in ended.stdout


VERBS = ["status", "explain", "terminate", "hold", "release"]


@row("any", "2", "wrong use of the command line")
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_gives_2_for_wrong_use(stage: Stage, verb: str) -> None:
    """With one line that says what is wrong."""
    for words in (["--bogus"], ["a", "b"], ["a/b"], ["a", "--", "b"], ["--"], ["--", ""]):
        ended = lifeline(stage.spawn, verb, *words)
        assert ended.returncode == 2, words
        assert_one_line(ended)


@row("any", "75", "it cannot be told, or the answer cannot be written")
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_gives_75_where_it_cannot_tell(stage: Stage, state_dir: Path, verb: str) -> None:
    """Here: what the state directory says cannot be trusted."""
    state_dir.symlink_to("/tmp")
    ended = lifeline(stage.spawn, verb, stage.name)
    assert ended.returncode == 75
    assert_one_line(ended)


@row("any", "75", "it cannot be told, or the answer cannot be written")
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_gives_75_if_its_answer_cannot_be_written(stage: Stage, verb: str) -> None:
    """A full disk must not look like an answer."""
    with open("/dev/full", "w") as full:
        ended = lifeline(stage.spawn, verb, stage.name, stdout=full)
    assert ended.returncode == 75
    assert ended.stderr.splitlines() == [
        "lifeline: standard output cannot be written (No space left on device)"
    ]


@row("any", "130", "interrupted (Ctrl-C)")
def test_an_interrupted_verb_gives_130(stage: Stage) -> None:
    """As a shell has it for SIGINT. What it waited for goes on ending."""
    told = stage.directory / "told"
    job = stage.shell(f"trap 'echo >{told}' TERM; echo >{stage.started}; while :; do sleep 1; done")
    stage.start("--", job)
    ending = stage.spawn(LIFELINE, "terminate", "--grace", "1h", "--", job)
    eventually(told.exists)
    ending.send_signal(signal.SIGINT)
    assert ending.wait(120) == 130
    assert "Traceback" not in ending.stderr.read()


@row("any", "141", "whoever read the output closed it, as with any other tool")
@pytest.mark.parametrize("verb", VERBS)
def test_a_reader_that_closes_the_pipe_ends_a_verb(stage: Stage, verb: str) -> None:
    """Quietly, by SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = lifeline(stage.spawn, verb, stage.name, stdout=writer)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (-signal.SIGPIPE, "")


# --- the document -----------------------------------------------------------------------------


def documented() -> list[Row]:
    """The rows of the tables in the document."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    heads = [number for number, cells in enumerate(rows) if set("".join(cells)) == {"-"}]
    return [cells for at, cells in enumerate(rows) if at not in heads and at + 1 not in heads]


def test_the_document_and_the_tested_rows_agree() -> None:
    """Each row of the document has a test, and each tested row is documented."""
    rows = documented()
    assert len(rows) == len(set(rows)) > 10
    assert set(rows) == TESTED.keys()
