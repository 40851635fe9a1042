"""`--ping`: what a monitor is told about a run, and that no monitor can harm the run."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lifeline.supervision import ping
from support.lifelines import changed, run, tick
from support.pings import Monitor, monitor, nobody_listens
from support.scripts import happened, program, shell
from support.spawning import Spawner, alive, table
from support.waiting import eventually


@pytest.fixture
def watcher() -> Iterator[Monitor]:
    with monitor() as serving:
        yield serving


def told(watcher: Monitor, count: int) -> list[str]:
    """The paths of the pings, once there are so many."""
    eventually(lambda: len(watcher.pings) >= count, 60)
    return watcher.paths()


# --- what is told -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "options", "code", "path"),
    [
        ("exit 0", [], 0, ""),
        ("exit 1", [], 1, "/1"),
        ("exit 255", [], 255, "/255"),
        ("kill -9 $$", [], 137, "/fail"),
        ("while :; do sleep 0.1; done", ["--timeout", "300ms"], 124, "/fail"),
    ],
)
def test_start_and_end_are_told(
    spawn: Spawner,
    tmp_path: Path,
    watcher: Monitor,
    end: str,
    options: list[str],
    code: int,
    path: str,
) -> None:
    """The start, then how it ended: success, an exit code, or a failure that has none."""
    ended = tick(spawn, "--ping", watcher.url, *options, "--", *shell(tmp_path, end))
    assert (ended.returncode, ended.stderr) == (code, "")
    assert told(watcher, 2) == ["/start", path]


def test_a_command_that_cannot_be_started_is_a_failure(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """A monitor hears at once that the program is not there, and why."""
    ended = tick(spawn, "--ping", watcher.url, "--", tmp_path / "nothing")
    assert ended.returncode == 127
    assert told(watcher, 1) == ["/127"]
    assert b"command not found" in watcher.pings[0].body


def test_all_pings_of_a_run_name_it_and_no_other(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """`rid` is a random UUID, the same for start and end, the job's LIFELINE_RUN, new each time."""
    job = shell(tmp_path, "echo $LIFELINE_RUN >>$0.runs; [ $(wc -l <$0.runs) -ge 3 ]")
    options = ("--restart", "on-failure", "--backoff", "10ms")
    tick(spawn, "--ping", watcher.url, *options, "--", *job)
    assert told(watcher, 6) == ["/start", "/1", "/start", "/1", "/start", ""]
    runs = [each.run for each in watcher.pings]
    assert runs[::2] == runs[1::2] == (tmp_path / "job.sh.runs").read_text().split()
    assert len(set(runs)) == 3
    assert all(uuid.UUID(each).version == 4 for each in runs)
    assert all(str(uuid.UUID(each)) == each for each in runs)


@pytest.mark.parametrize("size", [0, 1, 9_999, 10_000, 10_001, 300_000])
def test_the_end_carries_the_last_bytes_of_the_output(
    spawn: Spawner, tmp_path: Path, watcher: Monitor, size: int
) -> None:
    """Ten thousand bytes at most, exactly the last ones; the start carries none."""
    import random

    data = random.Random(size).randbytes(size)
    (tmp_path / "data").write_bytes(data)
    job = shell(tmp_path, 'cat "$1"; exit 1')
    ended = tick(spawn, "--ping", watcher.url, "--", *job, tmp_path / "data", text=False)
    assert ended.stdout == data
    assert told(watcher, 2) == ["/start", "/1"]
    assert [each.body for each in watcher.pings] == [b"", data[-10_000:]]


@pytest.mark.parametrize("kind", ["log", "quiet"])
def test_the_tail_is_there_wherever_the_output_goes(
    spawn: Spawner, tmp_path: Path, watcher: Monitor, kind: str
) -> None:
    """Also of output that is logged or kept; both streams, and of this run only."""
    options = ["--log", str(tmp_path / "log")] if kind == "log" else ["--quiet"]
    body = "echo run >>$0.runs; echo out $(wc -l <$0.runs); echo err >&2; exit 1"
    job = shell(tmp_path, body + ' # "$@"')
    for number in (1, 2):
        tick(spawn, *options, "--ping", watcher.url, "--", *job)
        told(watcher, 2 * number)
        assert watcher.pings[-1].body.decode() == f"out {number}\nerr\n"


def test_a_restarted_run_carries_its_own_output_only(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """What an earlier run printed is not told again."""
    job = shell(tmp_path, "echo x >>$0.runs; wc -l <$0.runs; [ $(wc -l <$0.runs) -ge 2 ]")
    options = ("--restart", "on-failure", "--backoff", "10ms")
    tick(spawn, "--ping", watcher.url, *options, "--", *job)
    told(watcher, 4)
    assert [each.body for each in watcher.pings] == [b"", b"1\n", b"", b"2\n"]


def test_the_start_is_told_before_the_end_however_short_the_run(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """The end waits for the answer to the start, in a helper: the runner has left by then."""
    watcher.mood = "hang"
    ended = tick(spawn, "--ping", watcher.url, "--", *shell(tmp_path, "exit 0"))
    assert ended.returncode == 0
    assert told(watcher, 1) == ["/start"]
    watcher.mood = "well"
    watcher.let_go.set()
    assert told(watcher, 2) == ["/start", ""]


def test_a_job_that_goes_on_is_told_again_and_again(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """`--ping-every` sends successes while the job runs, all of the same run."""
    job = shell(tmp_path, "while [ ! -e $0.go ]; do sleep 0.02; done")
    process = spawn(*run("--ping", watcher.url, "--ping-every", "50ms", "--", *job))
    assert told(watcher, 4)[:4] == ["/start", "", "", ""]
    (tmp_path / "job.sh.go").touch()
    assert process.wait(120) == 0
    assert len({each.run for each in watcher.pings}) == 1


def test_the_url_keeps_its_query(spawn: Spawner, tmp_path: Path, watcher: Monitor) -> None:
    """`?create=1` and the like stay, and the path grows before them."""
    tick(spawn, "--ping", watcher.url + "/?rid=mine&x=1", "--", *shell(tmp_path, "exit 0"))
    assert told(watcher, 2) == ["/start", ""]
    assert all(each.run.startswith("mine") and len(each.run) == 40 for each in watcher.pings)


def test_a_directory_with_modules_of_its_own_is_no_trap(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """A `http.py` where the cron line runs is the job's, and not imported to ping."""
    for name in ("http.py", "signal.py", "lifeline.py"):
        (tmp_path / name).write_text("raise SystemExit('not mine')")
    tick(spawn, "--ping", watcher.url, "--", *shell(tmp_path, "exit 0"), cwd=tmp_path)
    assert told(watcher, 2) == ["/start", ""]


# --- bad monitors -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 5])
@pytest.mark.parametrize("mood", ["hang", "reset", 500, "unreachable"])
def test_a_bad_monitor_changes_nothing_for_the_job(
    spawn: Spawner, tmp_path: Path, watcher: Monitor, mood: str | int, code: int
) -> None:
    """The job prints and ends as it would have; the runner leaves before any ping has failed."""
    watcher.mood = mood
    url = nobody_listens() if mood == "unreachable" else watcher.url
    job = shell(tmp_path, f"echo out; echo err >&2; exit {code}")
    ended = tick(spawn, "--ping", url, "--ping-every", "10ms", "--", *job)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "out\n", "err\n")
    assert [each for each in happened(spawn) if each["event"] == "ping failed"] == []
    if mood == "hang":
        eventually(lambda: watcher.hanging == 1, 60)


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("reset", "not reached (Connection reset by peer)"),
        (500, "answered 500"),
        ("unreachable", "not reached (Connection refused)"),
    ],
)
def test_the_history_tells_of_a_ping_that_failed(
    spawn: Spawner, tmp_path: Path, watcher: Monitor, mood: str | int, reason: str
) -> None:
    """After some tries; the event names the lifeline, the run and the reason, never the URL."""
    watcher.mood = mood
    url = nobody_listens() if mood == "unreachable" else watcher.url
    tick(spawn, "--name", "job-of-mine", "--ping", url, "--", *shell(tmp_path, "exit 0"))

    def failed() -> list[dict[str, object]]:
        return [each for each in happened(spawn, "job-of-mine") if each["event"] == "ping failed"]

    events = eventually(lambda: failed() if len(failed()) == 2 else None, 60, every=0.2)
    assert events
    start = next(each for each in happened(spawn) if each["event"] == "start")
    assert {each["run"] for each in events} == {start["run"]}
    assert {each["reason"] for each in events} == {reason}
    if mood != "unreachable":
        assert watcher.paths() == ["/start"] * 3 + [""] * 3


# Counts the processes beside itself that its runner has.
_COUNTING = """
import os, time
def beside():
    path = f"/proc/{os.getppid()}/task/{os.getppid()}/children"
    return len(open(path).read().split()) - 1
"""


def test_a_monitor_that_hangs_collects_no_helpers(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """While one ping waits for its answer, no further one is started for a job that goes on."""
    watcher.mood = "hang"
    code = """
most = 0
for _ in range(150):
    most = max(most, beside())
    time.sleep(0.01)
print(most)
"""
    words = ("--ping", watcher.url, "--ping-every", "10ms")
    ended = tick(spawn, *words, "--", *program(tmp_path, _COUNTING + code))
    assert ended.stdout == "1\n"


def test_restarts_beside_a_monitor_that_hangs_collect_few_helpers(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """Pings wait in line for the first; once eight do, others are given up, and that is told."""
    watcher.mood = "hang"
    job = program(tmp_path, _COUNTING + "print(beside(), flush=True)\nos._exit(1)\n")
    process = spawn(
        *run("--ping", watcher.url, "--restart", "always", "--backoff", "1ms", "--", *job)
    )
    most = [int(process.stdout.readline()) for _ in range(10)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert max(most) in (7, 8)  # the last start may be the eighth, and told after this look
    reasons = {each["reason"] for each in happened(spawn) if each["event"] == "ping failed"}
    assert reasons == {"the ones before have not ended"}


@pytest.mark.parametrize(
    ("timeout", "patience", "reason"),
    [("0.1", "60", "not reached (TimeoutError)"), ("60", "1", "no answer in 1 s")],
)
def test_a_monitor_that_never_answers_is_given_up(
    spawn: Spawner, tmp_path: Path, watcher: Monitor, timeout: str, patience: str, reason: str
) -> None:
    """Each try has a limit, and so have all tries together, for a server that dribbles."""
    watcher.mood = "hang"
    limits = f"ping._TIMEOUT, ping._PATIENCE = {timeout}, {patience}"
    code = f"import sys; from lifeline.supervision import ping; {limits}; sys.exit(ping.main())"
    (tmp_path / "ping").write_text(f"-1\n{watcher.url}\nsome-run\nname\nmailer\n\n")
    with open(tmp_path / "ping", "rb") as file:
        ended = spawn.run(sys.executable, "-c", code, stdin=file)
    assert ended.returncode == 0, ended.stderr
    (event,) = happened(spawn, "mailer")
    assert (event["event"], event["run"]) == ("ping failed", "some-run")
    assert event["reason"] == reason


def test_a_reason_never_shows_the_url() -> None:
    """Neither does a URL that no library can use, nor a name that nobody knows."""
    for url in ("http://secret.invalid/secret", "http://[secret/", "http://h:secret/"):
        reason = ping.send(url, b"")
        assert reason.startswith("not reached (")
        assert "secret" not in reason


# --- secrecy and hygiene ----------------------------------------------------------------------


def test_the_url_is_seen_nowhere(spawn: Spawner, tmp_path: Path, watcher: Monitor) -> None:
    """`env:NAME` keeps it off every command line; no message, record or event shows it either."""
    watcher.mood = "hang"
    job = shell(tmp_path, "echo $$ >$0.pid; while [ ! -e $0.go ]; do sleep 0.02; done; exit 3")
    words = run("--ping", "env:PING_URL", "--ping-every", "20ms", "--", *job)
    process = spawn(*words, env={"PING_URL": watcher.url})
    eventually(lambda: watcher.hanging == 1, 60)

    def lines() -> bytes:
        found = []
        for seen in table():
            try:
                found.append(Path(f"/proc/{seen.pid}/cmdline").read_bytes())
            except OSError:
                continue
        return b"\n".join(found)

    during = lines()
    assert b"lifeline.supervision.ping" in during and b"env:PING_URL" in during
    watcher.mood = 500
    watcher.let_go.set()
    (tmp_path / "job.sh.go").touch()
    out, err = process.communicate(timeout=120)
    eventually(lambda: any(e["event"] == "ping failed" for e in happened(spawn)), 60, every=0.2)
    state = Path(os.environ["LIFELINE_STATE_DIR"])
    files = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"ping failed" in files
    for text in (during, lines(), out.encode(), err.encode(), files):
        assert watcher.secret.encode() not in text


def test_an_unset_variable_is_told_by_its_name(spawn: Spawner, tmp_path: Path) -> None:
    """`env:NAME` without NAME is wrong use, and nothing is started."""
    job = shell(tmp_path, ": >$0.ran")
    ended = tick(spawn, "--ping", "env:NO_SUCH_NAME", "--", *job)
    assert ended.returncode == 2
    assert "NO_SUCH_NAME" in ended.stderr
    assert not (tmp_path / "job.sh.ran").exists()


def test_a_helper_holds_nothing_open_that_the_runner_was_given(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """A lock that a shell holds on descriptor 9 for the cron line is free when the line is done."""
    watcher.mood = "hang"
    ours, theirs = os.pipe()
    words = run("--ping", watcher.url, "--", *shell(tmp_path, "exit 0"))
    process = spawn(*words, pass_fds=[theirs])
    os.close(theirs)
    assert process.wait(120) == 0
    with open(ours, "rb") as file:
        assert file.read() == b""  # its end has come, while the start waits for its answer
    eventually(lambda: watcher.hanging == 1, 60)


def test_pings_are_not_ended_with_the_job(spawn: Spawner, tmp_path: Path, watcher: Monitor) -> None:
    """TERM to the runner ends the job's whole tree, and its end is told all the same."""
    job = shell(tmp_path, "echo $$ >$0.pid; sleep 600 & wait")
    process = spawn(*run("--ping", watcher.url, "--", *job))
    told(watcher, 1)
    eventually((tmp_path / "job.sh.pid").exists, 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 128 + signal.SIGTERM
    assert told(watcher, 2) == ["/start", "/fail"]


@pytest.mark.needs("unshare")
def test_as_process_1_a_runner_waits_for_its_last_ping(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """In a container everything ends with process 1, so that one stays for the pings."""
    from support.needs import UNSHARE

    words = run("--ping", watcher.url, "--", *shell(tmp_path, "exit 3"))
    ended = spawn.run(*UNSHARE, *words)
    assert ended.returncode == 3
    assert watcher.paths() == ["/start", "/3"]


def test_a_helper_that_cannot_be_started_is_told_and_the_job_goes_on(
    spawn: Spawner, tmp_path: Path, watcher: Monitor
) -> None:
    """Without the Python that it began with (an update took it away) a runner goes on."""
    code = (
        "import sys; sys.executable = '/nothing'; "
        "from lifeline.__main__ import main; sys.exit(main())"
    )
    job = shell(tmp_path, "while [ ! -e $0.go ]; do sleep 0.01; done; exit 6")
    process = spawn(*changed(tmp_path, code, "run", "--ping", watcher.url, "--", *job))
    eventually(lambda: any(e["event"] == "ping failed" for e in happened(spawn)), 60, every=0.2)
    (tmp_path / "job.sh.go").touch()
    assert process.wait(120) == 6
    assert process.stderr.read() == ""
    assert watcher.paths() == []


def test_no_helper_outlives_its_ping(spawn: Spawner, tmp_path: Path, watcher: Monitor) -> None:
    """With a monitor that answers, nothing is left running behind a run."""
    tick(spawn, "--ping", watcher.url, "--", *shell(tmp_path, "exit 0"))
    told(watcher, 2)
    eventually(lambda: not [seen for seen in spawn.mine() if alive(seen.pid)], 60)
