"""Standard streams that are closed, full or broken change nothing but what can be said."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from support.lifelines import AS_NOBODY, LIFELINE, lifeline, run
from support.stage import Stage, assert_one_line

CLOSED = {
    "stdin": "<&-",
    "stdout": ">&-",
    "stderr": "2>&-",
    "all three": "<&- >&- 2>&-",
    "stdout full": ">/dev/full",
    "stderr full": "2>/dev/full",
    "both full": ">/dev/full 2>/dev/full",
}
STREAMS = pytest.mark.parametrize("how", CLOSED.values(), ids=CLOSED)
HOW = pytest.mark.parametrize("become", [[], ["--exec"]], ids=["supervised", "exec"])


def through(redirection: str, *words: str) -> list[str]:
    """The words that start a command with its streams redirected by a shell."""
    return ["sh", "-c", f'exec "$@" {redirection}', "sh", *words]


@STREAMS
@HOW
def test_a_jobs_code_is_passed_on_whatever_the_streams_are(
    stage: Stage, become: list[str], how: str
) -> None:
    """The job runs, and its exit code arrives."""
    ran = stage.directory / "ran"
    job = stage.shell(f"echo >{ran}; exit 42")
    ended = stage.spawn.run(*through(how, *run(*become, "--", job)))
    assert (ended.returncode, ended.stdout, ended.stderr) == (42, "", "")
    assert ran.exists()


@STREAMS
def test_what_lifeline_would_say_is_said_by_its_code(
    stage: Stage, state_dir: Path, how: str
) -> None:
    """Wrong use, a missing command, a hold and a state that cannot be used keep their codes."""
    job = stage.shell("exit 42")
    cases = [(run("--bogus", "--", job), 2), (run("--", "/nonexistent/job"), 127)]
    cases += [(run("--", str(stage.directory)), 126)]
    for words, code in cases:
        ended = stage.spawn.run(*through(how, *words))
        assert ended.returncode == code
        assert "Traceback" not in ended.stderr
    assert lifeline(stage.spawn, "hold", "--", job).returncode == 0
    assert stage.spawn.run(*through(how, *run("--", job))).returncode == 0
    state_dir.chmod(0o777)
    assert stage.spawn.run(*through(how, *run("--", job))).returncode == 75


@STREAMS
def test_a_twin_is_found_whatever_the_streams_are(stage: Stage, how: str) -> None:
    """Both by the short way of the tick and by the long one."""
    job = stage.sleeper()
    stage.start("--", job)
    for wait in ([], ["--settle", "1s"]):
        words = run("--exit-code-if-running=9", *wait, "--", job)
        assert stage.spawn.run(*through(how, *words)).returncode == 9


@pytest.mark.parametrize("how", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_every_verb_works_without_streams(stage: Stage, how: str) -> None:
    """What a verb does and its code do not depend on somebody listening."""
    name = stage.name
    verbs: list[tuple[list[str], int]] = [
        (["hold", name], 0),
        (["status", name], 3),
        (["status", "--json", name], 3),
        (["explain", "--json", name], 0),
        (["release", name], 0),
        (["terminate", "--json", name], 0),
        (["status", "a/b"], 2),
        (["--version"], 0),
        (["run", "--help"], 0),
        ([], 2),
    ]
    for words, code in verbs:
        ended = stage.spawn.run(*through(how, LIFELINE, *words))
        assert ended.returncode == code, words
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full"])
def test_a_full_output_is_told_by_the_code_even_if_nobody_hears(stage: Stage, how: str) -> None:
    """75, as where the line about it can be written."""
    for words in (["status", "--json"], ["explain", "--json", stage.name], ["hold", stage.name]):
        ended = stage.spawn.run(*through(f">/dev/full {how}", LIFELINE, *words))
        assert ended.returncode == 75


def test_a_job_whose_reader_has_gone_dies_of_sigpipe_as_without_lifeline(stage: Stage) -> None:
    """Python ignores SIGPIPE; the job must not inherit that."""
    job = stage.shell("while :; do echo y; done")
    for words, code in ((run("--", job), 141), (run("--exec", "--", job), -signal.SIGPIPE)):
        reader, writer = os.pipe()
        os.close(reader)
        ended = stage.spawn.run(*words, stdout=writer)
        os.close(writer)
        assert (ended.returncode, ended.stderr) == (code, "")


@pytest.mark.needs("nobody")
def test_where_no_process_can_be_made_one_line_says_so(stage: Stage) -> None:
    """75: the next tick may have more luck. Nothing is started and no record is left."""
    user = 200_000 + os.getpid()  # whose processes nobody else counts
    state = stage.directory / "theirs"
    state.mkdir(mode=0o700)
    os.chown(state, user, user)
    as_user = [word.replace("65534", str(user)) for word in AS_NOBODY]
    ended = stage.spawn.run(
        *("prlimit", "--nproc=1"),
        *as_user,
        *run("--", stage.sleeper()),
        env={"LIFELINE_STATE_DIR": str(state)},
    )
    assert ended.returncode == 75
    assert_one_line(ended, "Resource temporarily unavailable")
    assert [path for path in state.rglob("*") if path.is_file()] == []
    assert not stage.started.exists()
