"""What a job prints: passed through as it is, or with the time before each line."""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.lifelines import LIFELINE, run, tick
from support.pings import nobody_listens
from support.scripts import program, shell
from support.spawning import Spawner, look
from support.waiting import eventually

STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ")

#: What makes a runner read the job's output instead of leaving it alone, and pass it on.
PUMPED = {
    "inherited": lambda _: [],
    "timestamps": lambda _: ["--timestamps"],
    "ping": lambda _: ["--ping", nobody_listens()],
}
#: The same, and what keeps the output elsewhere.
ALL = {
    **PUMPED,
    "log": lambda directory: ["--log", f"{directory}/log"],
    "quiet": lambda _: ["--quiet"],
}
Options = Callable[[Path], list[str]]


def each(kinds: dict[str, Options]) -> Any:
    return pytest.mark.parametrize("options", kinds.values(), ids=kinds.keys())


def plain(stamped: bytes) -> bytes:
    """Without the stamps."""
    return b"".join(STAMP.sub(b"", line, count=1) for line in stamped.splitlines(keepends=True))


def shown(directory: Path, kind: str, out: bytes) -> bytes:
    """What the job printed, from where the option has put it, without stamps."""
    return (directory / "log").read_bytes() if kind == "log" else plain(out)


# --- as it is ---------------------------------------------------------------------------------


def test_a_job_has_the_very_streams_of_its_runner(spawn: Spawner, tmp_path: Path) -> None:
    """Without options the job writes to the same pipes and file as the runner, not to others."""
    job = program(
        tmp_path, "import os\nprint([os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)])"
    )
    with open(tmp_path / "errors", "wb") as errors:
        process = spawn(*run("--", *job), stderr=errors)
        pipe = os.readlink(f"/proc/{process.pid}/fd/1")
        out, _ = process.communicate()
    assert out == f"{['/dev/null', pipe, str(tmp_path / 'errors')]}\n"


def test_a_terminal_stays_a_terminal(spawn: Spawner, tmp_path: Path) -> None:
    """A job that is started in a terminal sees one on all three streams."""
    result = tmp_path / "result"
    code = "import os, sys\n"
    code += "open(sys.argv[1], 'w').write(str([os.isatty(n) for n in (0, 1, 2)]))"
    job = [*program(tmp_path, code), str(result)]
    ours, theirs = pty.openpty()
    try:
        process = spawn(*run("--", *job), stdin=theirs, stdout=theirs, stderr=theirs)
        assert process.wait(120) == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert result.read_text() == "[True, True, True]"


@each(ALL)
def test_a_job_inherits_nothing_of_its_runner_but_the_streams(
    spawn: Spawner, tmp_path: Path, options: Options
) -> None:
    """Whatever the runner has open for itself, the job has 0, 1 and 2, and no more."""
    result = tmp_path / "result"
    code = "import os, sys\nfds = os.listdir('/proc/self/fd')\n"
    code += "open(sys.argv[1], 'w').write(str(sorted(map(int, fds))))"
    tick(spawn, *options(tmp_path), "--", *program(tmp_path, code), result)
    assert result.read_text() == "[0, 1, 2, 3]"  # 3 is the listing


@pytest.mark.parametrize("kind", ["inherited", "ping"])
def test_much_binary_output_is_passed_on_to_the_byte(
    spawn: Spawner, tmp_path: Path, kind: str
) -> None:
    """Megabytes of random bytes come out as they went in, on both streams."""
    code = """
import random, sys, threading
def pour(stream, seed):
    stream.write(random.Random(seed).randbytes(5_000_000))
    stream.flush()
other = threading.Thread(target=pour, args=(sys.stderr.buffer, 2))
other.start()
pour(sys.stdout.buffer, 1)
other.join()
"""
    ended = tick(spawn, *PUMPED[kind](tmp_path), "--", *program(tmp_path, code), text=False)
    import random

    for got, seed in ((ended.stdout, 1), (ended.stderr, 2)):
        wanted = random.Random(seed).randbytes(5_000_000)
        assert hashlib.sha256(got).digest() == hashlib.sha256(wanted).digest(), len(got)


# --- readers ----------------------------------------------------------------------------------

# Writes numbered lines and notes in a file how many bytes have gone out.
_COUNTING = """
import os, sys
progress = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
total = 0
for number in range(100_000):
    line = b"%09d\\n" % number
    total += os.write(1, line)
    os.pwrite(progress, b"%010d" % total, 0)
"""


@pytest.mark.parametrize("kind", ["inherited", "timestamps", "ping"])
def test_a_job_waits_for_a_slow_reader(spawn: Spawner, tmp_path: Path, kind: str) -> None:
    """A job gets no further ahead than the pipes hold, and no line is lost or moved."""
    counter = tmp_path / "progress"
    words = run(*PUMPED[kind](tmp_path), "--", *program(tmp_path, _COUNTING), counter)
    process = spawn(*words, text=False)
    eventually(counter.exists, 60)

    def progress() -> int:
        return int(counter.read_bytes() or b"0")

    eventually(lambda: progress() >= 60_000, 60)  # a whole pipe, and nobody has read yet
    # Two pipes, what the runner has read in one go, and as much again for good measure.
    most = 4 * 65536
    lines: list[bytes] = []
    rest, read = b"", 0
    while True:
        data = os.read(process.stdout.fileno(), 30_000)
        if not data:
            break
        rest += data
        whole, _, rest = rest.rpartition(b"\n")
        lines += [line[-9:] for line in whole.splitlines()]
        read = len(lines) * 10
        assert progress() - read <= most, (progress(), read)
    assert process.wait(120) == 0
    assert lines == [b"%09d" % number for number in range(100_000)]


@each(PUMPED)
def test_a_job_notices_that_its_reader_has_left(
    spawn: Spawner, tmp_path: Path, options: Options
) -> None:
    """As in `job | head -1`, the job is ended by SIGPIPE, and the runner says so: 128 + 13."""
    job = shell(tmp_path, "while :; do echo line; done")
    process = spawn(*run(*options(tmp_path), "--", *job))
    assert process.stdout.readline().endswith("line\n")
    process.stdout.close()
    assert process.wait(120) == 128 + signal.SIGPIPE


def test_a_reader_that_left_one_stream_leaves_the_other(spawn: Spawner, tmp_path: Path) -> None:
    """Without a reader of stdout, stderr is passed on all the same."""
    job = shell(tmp_path, "trap '' PIPE; while echo x; do :; done 2>/dev/null; echo still >&2")
    process = spawn(*run("--timestamps", "--", *job))
    process.stdout.close()
    assert process.stderr.read().endswith(" still\n")
    assert process.wait(120) == 0


def test_a_full_disk_behind_stdout_is_told_and_ends_nothing(spawn: Spawner, tmp_path: Path) -> None:
    """Where the runner cannot write stdout, the job goes on, and its exit code counts."""
    job = shell(tmp_path, "echo one; echo two; exit 4")
    with open("/dev/full", "wb") as full:
        ended = tick(spawn, "--timestamps", "--", *job, stdout=full)
    assert ended.returncode == 4
    assert ended.stderr == "lifeline: output is lost: No space left on device\n"


@pytest.mark.parametrize("kind", ["timestamps", "ping", "quiet"])
def test_a_stream_that_somebody_made_non_blocking_loses_nothing(
    spawn: Spawner, tmp_path: Path, kind: str
) -> None:
    """A pipe that is full for the moment (EAGAIN) is waited for."""
    code = "import sys\nfor n in range(40_000): print(f'{n:09d}')\nsys.stdout.flush()\nsys.exit(5)"
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    process = spawn(*run(*ALL[kind](tmp_path), "--", *program(tmp_path, code)), stdout=theirs)
    os.close(theirs)
    with open(ours, "rb") as file:
        lines = [line[-9:] for line in file.read().splitlines()]
    assert process.wait(120) == 5
    assert lines == [b"%09d" % number for number in range(40_000)]


@pytest.mark.parametrize("kind", ["timestamps", "quiet"])
def test_a_reader_that_hangs_does_not_keep_a_runner_for_ever(
    spawn: Spawner, tmp_path: Path, kind: str
) -> None:
    """Asked twice, a runner does not wait for somebody to read what its job has printed."""
    job = shell(tmp_path, "head -c 1000000 /dev/zero | tr '\\0' x; exit 3")
    process = spawn(*run(*ALL[kind](tmp_path), "--grace", "0", "--", *job))
    eventually(lambda: unread(process.stdout.fileno()) > 60_000, 60)  # a full pipe

    def asked_again() -> bool:
        process.send_signal(signal.SIGTERM)
        return process.poll() is not None

    eventually(asked_again, 60, every=0.05)
    assert process.returncode in (3, 128 + signal.SIGTERM, 128 + signal.SIGKILL)


def unread(pipe: int) -> int:
    """How many bytes wait to be read."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), "little")


# --- to the end -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_what_is_printed_in_the_last_moment_is_not_lost(
    spawn: Spawner, tmp_path: Path, kind: str
) -> None:
    """A job that fills the pipe and ends has printed all of it."""
    text = "".join(f"{number:09d}\n" for number in range(6000))
    job = program(tmp_path, f"import os\nos.write(1, {text!r}.encode())\nos._exit(7)")
    for _ in range(5):
        (tmp_path / "log").unlink(missing_ok=True)
        ended = tick(spawn, *ALL[kind](tmp_path), "--", *job, text=False)
        assert ended.returncode == 7
        assert shown(tmp_path, kind, ended.stdout) == text.encode()


@pytest.mark.parametrize("kind", ALL)
def test_what_a_grandchild_prints_when_it_is_ended_is_not_lost(
    spawn: Spawner, tmp_path: Path, kind: str
) -> None:
    """The job's main process has gone; what it left is ended, and its last words are shown."""
    grandchild = "trap 'echo last words; exit' TERM; : >$0.ready; while :; do sleep 0.05; done"
    grandchild = f"exec 2>/dev/null; {grandchild}"  # where the shell tells of its own dead `sleep`
    job = shell(
        tmp_path,
        f"({grandchild}) & while [ ! -e $0.ready ]; do sleep 0.01; done; echo main; exit 6",
    )
    ended = tick(spawn, *ALL[kind](tmp_path), "--", *job, text=False)
    assert ended.returncode == 6
    assert shown(tmp_path, kind, ended.stdout) == b"main\nlast words\n"


# --- closed streams ---------------------------------------------------------------------------

_CLOSED = 'exec "$@" <&- >&- 2>&-'


@each(ALL)
def test_a_runner_without_any_stream_works(
    spawn: Spawner, tmp_path: Path, options: Options
) -> None:
    """With 0, 1 and 2 closed the job runs, whatever it prints; no pipe of the runner's is hit.

    If a pipe of the runner's own had one of these numbers, the bytes would be signals to it.
    """
    result = tmp_path / "result"
    code = """
import os, sys
for fd in (1, 2):
    try:
        os.write(fd, bytes(range(256)))
    except OSError:
        pass
open(sys.argv[1], "w").write("done")
os._exit(9)
"""
    words = run(*options(tmp_path), "--", *program(tmp_path, code), result)
    ended = spawn.run("sh", "-c", _CLOSED, "sh", *words)
    assert (ended.returncode, result.read_text()) == (9, "done")
    if (tmp_path / "log").exists():
        assert (tmp_path / "log").read_bytes() == bytes(range(256)) * 2


def test_what_is_closed_for_the_runner_is_closed_for_its_job(
    spawn: Spawner, tmp_path: Path
) -> None:
    """Streams are passed on as they are, also those that are not there."""
    result = tmp_path / "result"
    job = shell(tmp_path, 'ls /proc/$$/fd >"$1" 9>&-')
    spawn.run("sh", "-c", _CLOSED, "sh", *run("--", *job, result))
    assert set(result.read_text().split()) & {"0", "2"} == set()


# --- timestamps -------------------------------------------------------------------------------


def test_each_line_of_both_streams_has_its_time(spawn: Spawner, tmp_path: Path) -> None:
    """The stamp is the local time with its offset, to the millisecond; the text is untouched."""
    job = shell(tmp_path, "echo out; echo err >&2; echo; printf 'no end'")
    before = datetime.datetime.now(datetime.timezone.utc)
    ended = tick(spawn, "--timestamps", "--", *job, env={"TZ": "XYZ-3:30"}, text=False)
    after = datetime.datetime.now(datetime.timezone.utc)
    assert plain(ended.stdout) == b"out\n\nno end"
    assert plain(ended.stderr) == b"err\n"
    stamps = STAMP.findall(ended.stdout + ended.stderr)
    assert len(stamps) == 4
    for stamp in stamps:
        when = datetime.datetime.fromisoformat(stamp.decode().strip())
        assert when.utcoffset() == datetime.timedelta(hours=3, minutes=30)
        assert before - datetime.timedelta(milliseconds=1) <= when <= after


def test_a_line_in_parts_is_shown_at_once_and_stamped_once(spawn: Spawner, tmp_path: Path) -> None:
    """Half a line is passed on without waiting for its end; the end gets no stamp of its own."""
    job = shell(tmp_path, "printf half; while [ ! -e $0.go ]; do sleep 0.01; done; echo ' line'")
    process = spawn(*run("--timestamps", "--", *job), text=False)
    got = b""
    while not got.endswith(b"half"):
        data = os.read(process.stdout.fileno(), 100)
        assert data, got
        got += data
    (tmp_path / "job.sh.go").touch()
    got += process.stdout.read()
    assert process.wait(120) == 0
    assert STAMP.sub(b"", got) == b"half line\n"
    assert len(STAMP.findall(got)) == 1


def test_a_runner_that_waits_for_a_reader_still_hears_signals(
    spawn: Spawner, tmp_path: Path
) -> None:
    """While nobody reads what it passes on, a runner ends its job when it is told to."""
    job = shell(tmp_path, "echo $$ >$0.pid.new; mv $0.pid.new $0.pid; while :; do echo line; done")
    process = spawn(*run("--timestamps", "--", *job))
    pid = int(eventually(lambda: _read(tmp_path / "job.sh.pid"), 60))
    process.send_signal(signal.SIGTERM)
    eventually(lambda: look(pid) is None, 60)
    while os.read(process.stdout.fileno(), 65536):
        pass
    assert process.wait(120) == 128 + signal.SIGTERM


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_nothing_is_between_job_and_reader_without_options(spawn: Spawner, tmp_path: Path) -> None:
    """`lifeline run` in a pipeline of a shell's is as the command itself."""
    job = shell(tmp_path, "tr a-z A-Z; exit 3")
    script = 'printf hello | "$@"; echo " $?"'
    ended = spawn.run("sh", "-c", script, "sh", LIFELINE, "run", "--", *job, stdin=subprocess.PIPE)
    assert ended.stdout == "HELLO 3\n"
