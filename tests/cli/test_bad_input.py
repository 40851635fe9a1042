"""What a person, a script or a broken disk can do wrong: one line, the right code, nothing done."""

from __future__ import annotations

import os
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from lifeline import lock
from support.lifelines import LIFELINE, lifeline, run, tick
from support.servers import files
from support.stage import Stage, assert_one_line
from support.waiting import eventually

VERBS = ["status", "explain", "terminate", "hold", "release"]


def refused(stage: Stage, ended: CompletedProcess[str], *parts: str) -> None:
    """Wrong use, in one line, and nothing was made: no state, no job."""
    assert ended.returncode == 2, ended
    assert_one_line(ended, *parts)
    assert not (stage.directory / "state").exists()
    assert not stage.started.exists()


# --- wrong use --------------------------------------------------------------------------------

WRONG_RUNS = [
    ((), "no command: write it after two dashes"),
    (("--",), "no command"),
    (("--", ""), "first word is empty"),
    (("JOB",), "write two dashes before the command"),
    (("--exec", "JOB"), "write two dashes before the command"),
    (("--exce", "--", "JOB"), "did you mean --exec? (see lifeline run --help-all)"),
    (("--exec=yes", "--", "JOB"), "--exec takes no value"),
    (("--on-running", "--", "JOB"), "--on-running needs a value"),
    (("--on-running=kill", "--", "JOB"), "skip, wait, replace, not 'kill'"),
    (("--leftovers=keep", "--", "JOB"), "end, count, not 'keep'"),
    (("--settle=5x", "--", "JOB"), "'5x' is not a duration: write 90, 10s"),
    (("--settle=0", "--", "JOB"), "--settle has to be 1s or more"),
    (("--settle", "999ms", "--", "JOB"), "--settle has to be 1s or more"),
    (("--settle=" + "9" * 400, "--", "JOB"), "longer than a hundred years"),
    (("--exit-code-if-running=256", "--", "JOB"), "a number from 0 to 255"),
    (("--exit-code-if-running=" + "9" * 5000, "--", "JOB"), "a number from 0 to 255"),
    (("--bad\noption", "--", "JOB"), "no such option: --bad\\noption"),
    (("bad\nword\x1b[31m",), "unexpected 'bad\\nword\\x1b[31m'"),
    ((os.fsdecode(b"--\xff"),), "no such option: --\\udcff"),
]


@pytest.mark.parametrize(("words", "message"), WRONG_RUNS, ids=[w[1][:30] for w in WRONG_RUNS])
def test_a_wrong_run_is_refused(stage: Stage, words: tuple[str, ...], message: str) -> None:
    """With a hint, and on one line whatever was typed."""
    job = stage.sleeper()
    words = tuple(job if word == "JOB" else word for word in words)
    refused(stage, tick(stage.spawn, *words), message)


BAD_NAMES = {
    "empty": ("", "cannot be empty"),
    "a slash": ("a/b", "no slash"),
    "a dash": ("-mailer", ""),  # an option, to all verbs but `run`
    "a newline": ("a\nb", "printable characters only"),
    "an escape code": ("\x1b[31mred", "printable characters only"),
    "a right-to-left mark": ("a\u202eb", "printable characters only"),
    "too long": ("x" * 301, "at most 300 characters, this one 301"),
    "not UTF-8": (os.fsdecode(b"caf\xe9"), "printable characters only"),
}


@pytest.mark.parametrize(("name", "message"), BAD_NAMES.values(), ids=BAD_NAMES)
@pytest.mark.parametrize("verb", ["run", *VERBS])
def test_a_bad_name_is_refused_by_every_verb(
    stage: Stage, verb: str, name: str, message: str
) -> None:
    """A name is shown on one line, and is never a path or an option."""
    words = ["run", "--name", name, "--", stage.sleeper()] if verb == "run" else [verb, name]
    refused(stage, lifeline(stage.spawn, *words), message)


@pytest.mark.parametrize("verb", VERBS)
def test_a_name_and_a_command_are_not_both_taken(stage: Stage, verb: str) -> None:
    """Which of the two was meant cannot be known."""
    ended = lifeline(stage.spawn, verb, "mailer", "--", stage.sleeper())
    refused(stage, ended, "a NAME or a command after two dashes, not both")


@pytest.mark.parametrize("verb", ["explain", "terminate", "hold", "release"])
def test_a_verb_needs_a_name_or_a_command(stage: Stage, verb: str) -> None:
    """None of them does something to all lifelines."""
    refused(stage, lifeline(stage.spawn, verb), "say what is meant: a NAME, or a command")


WRONG_VERBS = [
    (("bogus",), "No such command"),
    (("Run", "--", "x"), "No such command"),
    (("--bogus",), "No such option"),
    (("status", "--jsn"), "No such option"),
    (("status", "a", "b"), "unexpected extra argument"),
    (("hold", "--for", "soon", "a"), "'soon' is not a duration"),
    (("hold", "--for", "0", "a"), "a hold of 0 is none"),
    (("hold", "--for", "9" * 400, "a"), "longer than a hundred years"),
    (("hold", "--for"), "requires an argument"),
    (("hold", "--for", "1h", "--until", "06:30", "a"), "give --until or --for, not both"),
    (("hold", "--until", "25:00", "a"), "'25:00' is not a time: write 06:30"),
    (("hold", "--until", "tomorrow", "a"), "is not a time"),
    (("hold", "--until", "2001-01-01", "a"), "2001-01-01 has already passed"),
    (("hold", "--until", "0001-01-01T00:00", "a"), ""),
    (("hold", "--until", "9999-12-31T23:59", "--until", "x-", "a"), "is not a time"),
    (("terminate", "--grace", "-1", "a"), "'-1' is not a duration"),
    (("terminate", "--grace", "", "a"), "'' is not a duration"),
    (("terminate", "--hold=soon", "a"), "'soon' is not a duration"),
    (("terminate", "--hold=0s", "a"), "a hold of 0s is none"),
    (("terminate", "--hold", "0s", "a"), "a hold of 0s is none"),
]


@pytest.mark.parametrize(
    ("words", "message"), WRONG_VERBS, ids=[" ".join(w[0])[:40] for w in WRONG_VERBS]
)
def test_a_wrong_verb_is_refused(stage: Stage, words: tuple[str, ...], message: str) -> None:
    """In one line, before anything is done."""
    refused(stage, lifeline(stage.spawn, *words), message)


# --- odd, and fine ----------------------------------------------------------------------------

ODD_ARGUMENTS = {
    "100 kB": b"x" * 100_000,
    "many": b"y " * 100,
    "not UTF-8": b"caf\xe9 \xff\xfe",
    "control characters": b"a\nb\tc\x1b[31m\\n",
    "empty": b"",
    "quotes": b"'\"$(false)`;&|<>*?~",
    "dashes": b"--",
}


@pytest.mark.parametrize("argument", ODD_ARGUMENTS.values(), ids=ODD_ARGUMENTS)
@pytest.mark.parametrize("how", [[], ["--exec"]], ids=["supervised", "exec"])
def test_any_argument_reaches_the_job_and_is_recognised(
    stage: Stage, state_dir: Path, how: list[str], argument: bytes
) -> None:
    """Byte by byte; by its record, and by the process table alone; and only that argument."""
    job = stage.sleeper()
    started = stage.spawn(*run(*how, "--", job), os.fsdecode(argument), "end")
    eventually(stage.started.exists)
    pid = int(stage.started.read_text())
    seen = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert seen.endswith(b"\0" + argument + b"\0end\0")

    command = ["--", job, os.fsdecode(argument), "end"]
    again = run("--exit-code-if-running=9", *command)
    assert stage.spawn.run(*again).returncode == 9
    for record in (state_dir / "runs").iterdir():
        record.unlink()
    assert stage.spawn.run(*again).returncode == 9
    shown = lifeline(stage.spawn, "explain", *command)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.replace("\n", "").isprintable()
    assert f"leave, because pid {started.pid} runs" in shown.stdout
    other = lifeline(stage.spawn, "explain", "--", job, os.fsdecode(argument) + "x", "end")
    assert "would now: start the command" in other.stdout


@pytest.mark.parametrize("words", [["/bin/sleep", "60"], ["true"], ["/nonexistent/job"]])
@pytest.mark.parametrize("verb", ["explain", "status", "hold", "release", "terminate"])
def test_a_working_directory_that_is_gone_does_not_matter_to_an_absolute_command(
    stage: Stage, verb: str, words: list[str]
) -> None:
    """Its arguments may look like relative paths, they are not taken for such."""
    ended = stage.spawn.run(*GONE, LIFELINE, verb, "--", *words, str(stage.directory))
    assert ended.returncode == (3 if verb == "status" else 0), ended.stderr
    assert ended.stderr == ""


GONE = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh"]


@pytest.mark.parametrize("verb", ["run", *VERBS])
@pytest.mark.parametrize("words", [["./{}"], ["python3", "{}"], ["sh", "{}"]])
def test_a_relative_command_where_the_working_directory_is_gone_cannot_be_told(
    stage: Stage, verb: str, words: list[str]
) -> None:
    """75: which command it is depends on where one is."""
    stage.sleeper()
    command = [word.format(stage.name) for word in words]
    ended = stage.spawn.run(*GONE, LIFELINE, verb, "--", *command)
    assert ended.returncode == 75
    assert_one_line(ended, "the working directory is gone")
    assert not (stage.directory / "state").exists()


@pytest.mark.parametrize("how", [[], ["--exec"]], ids=["supervised", "exec"])
def test_a_run_from_a_working_directory_that_is_gone(stage: Stage, how: list[str]) -> None:
    """The job runs, and its twin is found."""
    job = stage.sleeper()
    stage.running(*GONE, *run(*how, "--", job))
    (stage.directory / "gone2").mkdir()
    assert stage.spawn.run(*GONE, *run("--exit-code-if-running=9", "--", job)).returncode == 9


def test_in_an_empty_environment_everything_works(stage: Stage) -> None:
    """No PATH, no HOME, no LANG: as little as a crontab may give."""
    job = stage.shell("exit 7")
    for name in (stage.name, f"b\u00fccher {stage.name}"):
        words = ["env", "-i", f"LIFELINE_STATE_DIR={stage.directory}/state", LIFELINE]
        assert stage.spawn.run(*words, "run", "--name", name, "--", job).returncode == 7
        held = stage.spawn.run(*words, "hold", name)
        assert (held.returncode, held.stdout) == (0, f"held until it is released: {name}\n")
        assert stage.spawn.run(*words, "run", "--name", name, "--", "sh", "-c", "x").returncode == 0


def test_a_name_that_the_terminal_cannot_show_is_shown_escaped(stage: Stage) -> None:
    """An output that takes only Latin-1 is no reason to fail."""
    environment = {"PYTHONIOENCODING": "iso-8859-1"}
    for words in (["hold"], ["status"], ["status", "--json"], ["explain"], ["release"]):
        ended = lifeline(stage.spawn, *words, f"\u65e5\u672c {stage.name}", env=environment)
        assert ended.returncode in (0, 3), ended.stderr
        assert ended.stderr == ""
        assert "\\u65e5\\u672c" in ended.stdout


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["table", "json"])
def test_what_others_put_into_a_store_is_not_obeyed(stage: Stage, words: tuple[str, ...]) -> None:
    """A lease's name can be any text: `lock holders` shows what a terminal would act on."""
    url = files.fresh()
    with lock("a\x1b]0;owned\x07\nb\u202e", url):
        told = lifeline(stage.spawn, "lock", "holders", "--lock", url, *words)
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert all(line.isprintable() for line in lines)
    assert words or len(lines) == 2


def test_a_working_directory_that_is_gone(stage: Stage) -> None:
    """A relative path of an option means nothing there, and that is what is said."""
    gone = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
    words = run("--log", "x.log", "--", stage.sleeper())
    ended = stage.spawn.run("sh", "-c", gone, "sh", *words)
    assert ended.returncode == 75
    assert_one_line(ended, "the working directory is gone, so relative paths mean nothing")
    assert not stage.started.exists()


def test_a_limit_of_open_files_that_is_too_low(stage: Stage) -> None:
    """Whatever could not be opened first, the line says which limit it was."""
    refused = 0
    for limit in range(5, 12):
        words = ["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *run("--", "true")]
        ended = stage.spawn.run(*words)
        if ended.stderr.startswith("lifeline: "):  # below that, Python itself does not start
            refused += 1
            assert ended.returncode == 75
            assert_one_line(ended, "no more files can be opened", "ulimit -n")
    assert refused
