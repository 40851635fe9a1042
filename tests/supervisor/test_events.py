"""What happens is written down: one line of JSON an event, bounded, whole, in nobody's way."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lifeline import events, history
from lifeline.processes.identity import Identity, named
from lifeline.processes.state import State
from support.lifelines import lifeline, run, tick
from support.scripts import happened, private_tmpfs, shell
from support.spawning import Spawner
from support.waiting import eventually

HANGS = "while :; do sleep 0.05; done"


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [each["event"] for each in found]


# --- each kind --------------------------------------------------------------------------------


def test_a_run_has_a_start_and_an_end(spawn: Spawner, tmp_path: Path) -> None:
    """Both name the runner, the job and the run; the end has the exit code and the time it took."""
    ended = tick(spawn, "--name", "mailer", "--", *shell(tmp_path, "echo $$; exit 3"))
    start, end = happened(spawn, "mailer")
    assert kinds([start, end]) == ["start", "end"]
    assert start["job"] == end["job"] == int(ended.stdout)
    assert start["pid"] == end["pid"] != start["job"]
    assert start["run"] == end["run"]
    assert (end["code"], end["name"]) == (3, "mailer")
    assert 0 <= end["seconds"] <= end["time"] - start["time"] + 5
    assert "reason" not in end


@pytest.mark.parametrize(
    ("options", "reason"),
    [(["--timeout", "200ms"], "timeout"), (["--max-memory", "1"], "memory")],
)
def test_an_end_that_was_brought_about_says_why(
    spawn: Spawner, tmp_path: Path, options: list[str], reason: str
) -> None:
    """The guard that ended the run is in its event."""
    tick(spawn, *options, "--", *shell(tmp_path, HANGS))
    assert happened(spawn)[-1]["reason"] == reason


def test_restarts_are_counted(spawn: Spawner, tmp_path: Path) -> None:
    """The first is a start, the others are restarts with their number."""
    job = shell(tmp_path, "echo x >>$0.runs; [ $(wc -l <$0.runs) -ge 3 ]")
    tick(spawn, "--restart", "on-failure", "--backoff", "10ms", "--", *job)
    found = happened(spawn)
    assert kinds(found) == ["start", "end", "restart", "end", "restart", "end"]
    assert [each.get("restarts") for each in found if each["event"] != "end"] == [None, 1, 2]


def test_a_command_that_cannot_be_started_has_an_end_only(spawn: Spawner, tmp_path: Path) -> None:
    """127 and 126 are in the history, too."""
    (tmp_path / "text").write_bytes(b"\0")
    (tmp_path / "text").chmod(0o755)
    for options in ([], ["--exec"]):
        tick(spawn, *options, "--", tmp_path / "nothing")
        tick(spawn, *options, "--", tmp_path / "text")
    ends = [each for each in happened(spawn) if each["event"] == "end"]
    assert [each["code"] for each in ends] == [127, 126, 127, 126]


def test_with_exec_there_is_a_start(spawn: Spawner, tmp_path: Path) -> None:
    """Nobody is left to tell of the end; the start names the process, which is the job."""
    ended = tick(spawn, "--exec", "--", *shell(tmp_path, "echo $$"))
    (start,) = happened(spawn)
    assert start["event"] == "start"
    assert start["pid"] == start["job"] == int(ended.stdout)


@pytest.fixture
def running(spawn: Spawner, tmp_path: Path) -> Iterator[list[str]]:
    """The words of a job that runs under a runner."""
    job = shell(tmp_path, f": >$0.ready; {HANGS}")
    spawn(*run("--", *job))
    eventually((tmp_path / "job.sh.ready").exists, 60)
    yield job


def test_a_tick_that_finds_its_twin_stands_down(spawn: Spawner, running: list[str]) -> None:
    """It says before whom; the fast way, by the run record, and the slow one tell the same."""
    tick(spawn, "--", *running)
    tick(spawn, "--on-running", "skip", "--settle", "1s", "--", *running)
    for record in Path(os.environ["LIFELINE_STATE_DIR"], "runs").iterdir():
        record.unlink()
    tick(spawn, "--", *running)
    found = happened(spawn, "--all")
    assert kinds(found) == ["start", "stand-down", "stand-down", "stand-down"]
    start, *downs = found
    assert {each["pid"] for each in downs} == {start["pid"]}
    assert {each["command"] for each in found} == {start["command"]}


def test_holds_and_releases_and_what_they_stop(spawn: Spawner, tmp_path: Path) -> None:
    """A hold with its reason and end, each tick that it stops, and the release."""
    job = shell(tmp_path, "exit 0")
    lifeline(spawn, "hold", "--for", "2h", "--reason", "moving", "--", *job)
    assert tick(spawn, "--", *job).returncode == 0
    lifeline(spawn, "release", "--", *job)
    found = happened(spawn, "--all", "--", *job)
    assert kinds(found) == ["hold", "held", "release"]
    assert found[0]["reason"] == "moving"
    assert found[0]["until"] - found[0]["time"] == pytest.approx(7200, abs=5)


def test_a_hold_that_ends_restarts_is_told(spawn: Spawner, tmp_path: Path) -> None:
    """A runner that would restart its job and meets a hold says so and leaves."""
    body = (
        "[ -e $0.ready ] && exit 1; : >$0.ready; while [ ! -e $0.go ]; do sleep 0.01; done; exit 1"
    )
    job = shell(tmp_path, body)
    process = spawn(*run("--restart", "always", "--backoff", "10ms", "--", *job))
    eventually((tmp_path / "job.sh.ready").exists, 60)
    lifeline(spawn, "hold", "--", *job)
    (tmp_path / "job.sh.go").touch()
    assert process.wait(120) == 1
    assert kinds(happened(spawn, "--all")) == ["start", "hold", "end", "held"]


def test_a_termination_is_told(spawn: Spawner, running: list[str]) -> None:
    """With how many processes it ended; with `--hold`, the hold as well."""
    ended = lifeline(spawn, "terminate", "--hold", "1h", "--", *running)
    assert ended.returncode == 0, ended.stderr
    found = happened(spawn)
    assert sorted(kinds(found)) == ["end", "hold", "start", "terminate"]
    (termination,) = (each for each in found if each["event"] == "terminate")
    assert termination["ended"] >= 2
    assert next(each for each in found if each["event"] == "end")["reason"] == "stopped"


# --- the files --------------------------------------------------------------------------------


def test_nobody_else_reads_them(spawn: Spawner, tmp_path: Path, state_dir: Path) -> None:
    """The files are the user's alone, as all state is."""
    tick(spawn, "--", *shell(tmp_path, "exit 0"))
    assert stat.S_IMODE((state_dir / "events").stat().st_mode) == 0o600


def test_lines_of_many_writers_stay_whole(spawn: Spawner, state_dir: Path) -> None:
    """Eight processes write at the same time; every event is there, once, and none is torn."""
    code = """
import sys
from lifeline import events
from lifeline.processes.identity import named
from lifeline.processes.state import State
for number in range(200):
    facts = {"writer": int(sys.argv[1]), "number": number, "text": "x" * (number * 7 % 500)}
    assert events.append(State(), "start", named(b"job"), **facts)
"""
    writers = [spawn(sys.executable, "-c", code, str(number)) for number in range(8)]
    for writer in writers:
        assert writer.wait(120) == 0, writer.stderr.read()
    lines = (state_dir / "events").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert sorted((each["writer"], each["number"]) for each in found) == [
        (writer, number) for writer in range(8) for number in range(200)
    ]


def test_the_history_is_bounded(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of a limited size for what happens, two for what ticks find; the newest is kept."""
    monkeypatch.setattr(events, "_LIMIT", 5000)
    state = State()
    for number in range(1000):
        assert events.append(state, "start", named(b"job"), number=number)
        assert events.append(state, events.STAND_DOWN, named(b"job"), number=number)
    files = sorted(path.name for path in state_dir.iterdir() if path.is_file())
    assert files == ["events", "events.1", "ticks", "ticks.1"]
    assert all((state_dir / name).stat().st_size < 5200 for name in files)
    found = history.read(state)
    for kind in ("start", events.STAND_DOWN):
        numbers = [each["number"] for each in found if each["event"] == kind]
        assert numbers == list(range(numbers[0], 1000))
        assert len(numbers) > 50


def test_many_writers_that_find_a_file_full_keep_the_older_one(
    spawn: Spawner, state_dir: Path
) -> None:
    """When several put a full file aside at once, no more is lost than the limit says."""
    code = """
import sys
from lifeline import events
from lifeline.processes.identity import named
from lifeline.processes.state import State
events._LIMIT = 20_000
for number in range(400):
    assert events.append(State(), "start", named(b"job"), writer=int(sys.argv[1]), number=number)
"""
    writers = [spawn(sys.executable, "-c", code, str(number)) for number in range(4)]
    for writer in writers:
        assert writer.wait(120) == 0, writer.stderr.read()
    assert len(history.read(State())) > 100
    assert (state_dir / "events.1").stat().st_size >= 20_000


def test_a_command_without_end_makes_a_line_with_one(state_dir: Path) -> None:
    """However long a command is, its name in the history is not."""
    words = (b"run", *(b"/srv/%d" % number for number in range(100_000)))
    assert events.append(State(), "start", Identity(words))
    assert (state_dir / "events").stat().st_size < 30_000


@pytest.mark.needs("root", "unshare")
def test_a_full_disk_is_told_once_and_ends_nothing(spawn: Spawner, tmp_path: Path) -> None:
    """Without room for records and events the job runs, restarts and ends as it would have."""
    disk = tmp_path / "disk"
    disk.mkdir()
    body = f"echo x >>$0.runs; [ -e {disk}/filler ] || head -c 1M /dev/zero >{disk}/filler 2>&-"
    job = shell(tmp_path, body + "; [ $(wc -l <$0.runs) -ge 15 ]")
    # What has begun a page on the disk can go on in it: so much that a page is not enough.
    restart = ("--name", "n" * 300, "--restart", "on-failure", "--backoff", "1ms")
    words = run(*restart, "--", *job)
    state = {"LIFELINE_STATE_DIR": f"{disk}/state"}
    ended = spawn.run(*private_tmpfs(disk, "200k", *words), env=state)
    assert ended.returncode == 0
    assert (tmp_path / "job.sh.runs").read_text() == "x\n" * 15
    (message,) = ended.stderr.splitlines()  # of whichever met the full disk first
    assert "no run record: cannot be written (No space" in message or "the history" in message


def test_an_event_that_was_cut_short_takes_no_other_with_it(
    spawn: Spawner, tmp_path: Path, state_dir: Path
) -> None:
    """Half a line, as a full disk leaves it, is passed over; the one after it is read."""
    tick(spawn, "--name", "one", "--", *shell(tmp_path, "exit 0"))
    with open(state_dir / "events", "ab") as file:
        file.write(b'{"time": 1790000000.0, "event": "start", "name": "ha')
    tick(spawn, "--name", "two", "--", *shell(tmp_path, "exit 0"))
    found = happened(spawn)
    assert [(each["name"], each["event"]) for each in found] == [
        ("one", "start"),
        ("one", "end"),
        ("two", "start"),
        ("two", "end"),
    ]


def test_nothing_that_a_command_holds_can_forge_an_event(spawn: Spawner, tmp_path: Path) -> None:
    """Quotes, line ends and whole events in an argument stay in one string."""
    forged = '"}\n{"time": 1, "event": "end", "name": "other"}\n'
    job = shell(tmp_path, "exit 0")
    tick(spawn, "--", *job, forged)
    assert kinds(happened(spawn)) == ["start", "end"]
    assert happened(spawn, "other") == []
    assert kinds(happened(spawn, "--", *job, forged)) == ["start", "end"]


def test_the_history_is_no_condition(spawn: Spawner, tmp_path: Path, state_dir: Path) -> None:
    """With something else in its place the job runs, and one line says that there is none."""
    state_dir.mkdir(mode=0o700)
    (state_dir / "events").mkdir()
    ended = tick(spawn, "--", *shell(tmp_path, "exit 5"))
    assert ended.returncode == 5
    assert ended.stderr == "lifeline: the history cannot be written; going on without\n"


# --- syslog -----------------------------------------------------------------------------------

_PRIVATE_LOG = """
mount -t tmpfs none /dev/shm
mkdir /dev/shm/dev
for each in null zero full tty urandom; do
    : >/dev/shm/dev/$each
    mount --bind /dev/$each /dev/shm/dev/$each
done
ln -s "$1" /dev/shm/dev/log
mount --rbind /dev/shm/dev /dev
shift
exec "$@"
"""


class Syslog:
    """A socket that stands for /dev/log, and what came in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.messages: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while message := self._socket.recv(65536):
            self.messages.append(message.decode())

    def said(self, text: str) -> list[str]:
        return [message for message in self.messages if text in message]

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def syslog() -> Iterator[Syslog]:
    with tempfile.TemporaryDirectory() as directory:  # a socket's path is short, tmp_path is not
        listening = Syslog(Path(directory) / "log")
        yield listening
        listening.close()


def with_syslog(syslog: Syslog, *words: str) -> list[str]:
    """The words that start a command whose /dev/log is that socket."""
    return ["unshare", "--mount", "sh", "-euc", _PRIVATE_LOG, "sh", str(syslog.path), *words]


@pytest.mark.needs("root", "unshare")
def test_syslog_hears_of_every_event(spawn: Spawner, tmp_path: Path, syslog: Syslog) -> None:
    """Start, end, restart, stand-down and hold arrive at /dev/log, failures as warnings."""
    job = shell(tmp_path, "echo x >>$0.runs; [ $(wc -l <$0.runs) -ge 2 ]")
    options = (
        "--syslog",
        "--restart",
        "on-failure",
        "--backoff",
        "10ms",
        "--name",
        "job%s-of-mine",
    )
    ended = spawn.run(*with_syslog(syslog, *run(*options, "--", *job)))
    assert (ended.returncode, ended.stderr) == (0, "")
    eventually(lambda: len(syslog.messages) >= 4, 60)
    texts = [message.partition("]: ")[2] for message in syslog.messages]
    assert [text.split(":")[0] for text in texts] == ["start", "end", "restart", "end"]
    assert all("job%s-of-mine" in text for text in texts)
    assert "code=1" in texts[1] and "code=0" in texts[3]
    priorities = [int(message[1 : message.index(">")]) & 7 for message in syslog.messages]
    info, warning = 6, 4
    assert priorities == [info, warning, info, info]
    pid = happened(spawn)[0]["pid"]
    assert all(f"lifeline[{pid}]: " in message for message in syslog.messages)


@pytest.mark.needs("root", "unshare")
def test_syslog_hears_of_ticks_that_do_nothing(
    spawn: Spawner, running: list[str], syslog: Syslog
) -> None:
    """A stand-down and a hold arrive, too, if the tick is asked to tell."""
    tick_words = with_syslog(syslog, *run("--syslog", "--", *running))
    assert spawn.run(*tick_words).returncode == 0
    eventually(lambda: syslog.said("stand-down: "), 60)
    lifeline(spawn, "terminate", "--hold", "1h", "--", *running)
    assert spawn.run(*tick_words).returncode == 0
    eventually(lambda: syslog.said("held: "), 60)


@pytest.mark.needs("root", "unshare")
def test_without_a_syslog_nothing_is_said(spawn: Spawner, tmp_path: Path, syslog: Syslog) -> None:
    """Where nobody listens at /dev/log the job runs as ever, without a word."""
    syslog.path.unlink()
    words = with_syslog(syslog, *run("--syslog", "--", *shell(tmp_path, "exit 3")))
    ended = spawn.run(*words)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert kinds(happened(spawn)) == ["start", "end"]
