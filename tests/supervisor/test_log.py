"""`--log`: a file that is rotated by size, opened anew on HUP, and loses nothing on a full disk."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.lifelines import run, tick
from support.scripts import private_tmpfs, program, shell
from support.spawning import Spawner
from support.waiting import eventually


def files(log: Path) -> list[Path]:
    """A log and its older ones, oldest first."""
    older = [path for path in log.parent.glob(log.name + ".*") if path.suffix[1:].isdigit()]
    return [*sorted(older, key=lambda path: -int(path.suffix[1:])), log]


def content(log: Path) -> bytes:
    return b"".join(path.read_bytes() for path in files(log))


def written(directory: Path, pieces: list[bytes]) -> list[str]:
    """The words of a job that writes these pieces, each once its runner has read the last one."""
    data = directory / "pieces"
    data.write_bytes(b"".join(len(piece).to_bytes(4, "big") + piece for piece in pieces))
    code = f"""
import fcntl, os, termios
data, at = open({str(data)!r}, "rb").read(), 0
while at < len(data):
    size = int.from_bytes(data[at:at + 4], "big")
    piece, at = data[at + 4:at + 4 + size], at + 4 + size
    while piece:
        piece = piece[os.write(1, piece):]
    while fcntl.ioctl(1, termios.FIONREAD, bytes(4)) != bytes(4):
        os.sched_yield()
"""
    return program(directory, code)


def numbered(count: int, seed: int = 1, longest: int = 200) -> list[bytes]:
    """Lines of different lengths that can be told apart."""
    chance = random.Random(seed)
    return [b"%06d %s\n" % (n, b"x" * chance.randrange(longest)) for n in range(count)]


# --- where it goes ----------------------------------------------------------------------------


def test_both_streams_go_to_the_file_in_order_and_nowhere_else(
    spawn: Spawner, tmp_path: Path
) -> None:
    """What a job prints is in the log, stdout and stderr in the order of writing."""
    job = shell(tmp_path, "for n in 1 2 3; do echo out $n; echo err $n >&2; done; exit 3")
    ended = tick(spawn, "--log", tmp_path / "log", "--", *job)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "", "")
    assert (tmp_path / "log").read_text() == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"


def test_each_run_adds_to_the_file(spawn: Spawner, tmp_path: Path) -> None:
    """Neither the next tick nor a restart begins the log anew."""
    job = shell(tmp_path, "echo x >>$0.runs; cat $0.runs | wc -l; [ $(wc -l <$0.runs) -ge 3 ]")
    tick(spawn, "--log", tmp_path / "log", "--", *job)
    restart = ("--restart", "on-failure", "--backoff", "10ms")
    tick(spawn, "--log", tmp_path / "log", *restart, "--", *job)
    assert (tmp_path / "log").read_text().split() == ["1", "2", "3"]


def test_a_relative_path_is_meant_from_the_runners_directory(
    spawn: Spawner, tmp_path: Path
) -> None:
    """`--log job.log` is a file where the cron line is, wherever the job goes."""
    ended = tick(spawn, "--log", "job.log", "--", *shell(tmp_path, "cd /; echo text"))
    assert (ended.returncode, (tmp_path / "job.log").read_text()) == (0, "text\n")


def test_timestamps_are_put_before_each_line_of_the_log(spawn: Spawner, tmp_path: Path) -> None:
    """`--log` and `--timestamps` together: one stamp a line, streams in order."""
    job = shell(tmp_path, "echo a; echo b >&2; echo c")
    tick(spawn, "--log", tmp_path / "log", "--timestamps", "--", *job)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["a", "b", "c"]
    assert all(line.startswith("20") for line in lines)


def test_only_the_owner_writes_and_the_group_reads(spawn: Spawner, tmp_path: Path) -> None:
    """A log is not for everybody's eyes."""
    tick(spawn, "--log", tmp_path / "log", "--", *shell(tmp_path, "echo text"))
    assert (tmp_path / "log").stat().st_mode & 0o777 & ~0o640 == 0


# --- rotation ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "longest", "count"), [(5000, 200, 3000), (700, 90, 2000), (100_000, 3000, 2000)]
)
def test_over_many_rotations_nothing_is_lost_doubled_or_cut(
    spawn: Spawner, tmp_path: Path, size: int, longest: int, count: int
) -> None:
    """All files in turn are what the job wrote; each ends where a line ends, and is full then."""
    lines = numbered(count, seed=size, longest=longest)
    chance = random.Random(size)
    text, pieces = b"".join(lines), []
    while text:  # the job's writes have nothing to do with where lines end
        cut = chance.randrange(1, 4000)
        pieces.append(text[:cut])
        text = text[cut:]
    log = tmp_path / "log"
    options = ("--log", log, "--log-size", str(size), "--log-keep", "1000")
    ended = tick(spawn, *options, "--", *written(tmp_path, pieces))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert len(files(log)) > 10
    assert content(log) == b"".join(lines)
    sizes = [path.stat().st_size for path in files(log)]
    for path in files(log):
        assert path.read_bytes().endswith(b"\n")
    # A line that was written in parts is ended where it began.
    assert all(0 < found < size + longest + 10 for found in sizes)
    # Full: what comes next would not have fitted in.
    firsts = [len(path.read_bytes().splitlines(keepends=True)[0]) for path in files(log)]
    assert all(full + first > size for full, first in zip(sizes, firsts[1:], strict=False))


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_as_many_old_files_are_kept_as_asked_for(spawn: Spawner, tmp_path: Path, keep: int) -> None:
    """`--log-keep N` leaves the file and N older ones: the end of all that was written, whole."""
    lines, log = numbered(1000), tmp_path / "log"
    options = ("--log", log, "--log-size", "4kB", "--log-keep", str(keep))
    tick(spawn, *options, "--", *written(tmp_path, [b"".join(lines)]))
    kept = content(log)
    assert len(files(log)) == keep + 1
    assert b"".join(lines).endswith(kept)
    assert kept.splitlines(keepends=True)[0] in lines


def test_a_line_that_is_longer_than_a_file_is_not_cut_if_two_files_would_hold_it(
    spawn: Spawner, tmp_path: Path
) -> None:
    """The limit gives way before a line does, up to twice its size."""
    lines = [b"short\n", b"l" * 1500 + b"\n", b"short again\n"]
    log = tmp_path / "log"
    tick(spawn, "--log", log, "--log-size", "1kB", "--", *written(tmp_path, lines))
    assert [path.read_bytes() for path in files(log)] == lines


def test_output_without_lines_is_cut_and_all_there(spawn: Spawner, tmp_path: Path) -> None:
    """A job that never ends a line cannot fill the disk either."""
    data = random.Random(3).randbytes(300_000).replace(b"\n", b"")
    log = tmp_path / "log"
    options = ("--log", log, "--log-size", "10kB", "--log-keep", "100")
    tick(spawn, *options, "--", *written(tmp_path, [data]))
    assert content(log) == data
    assert len(files(log)) > 10
    assert all(path.stat().st_size <= 20_000 for path in files(log))


def test_a_file_that_is_too_big_already_is_rotated(spawn: Spawner, tmp_path: Path) -> None:
    """What an earlier run left counts."""
    log = tmp_path / "log"
    log.write_text("old\n" * 500)
    tick(spawn, "--log", log, "--log-size", "1kB", "--", *shell(tmp_path, "echo new"))
    assert [path.read_text() for path in files(log)] == ["old\n" * 500, "new\n"]


def test_the_file_behind_a_link_is_rotated_and_the_link_stays(
    spawn: Spawner, tmp_path: Path
) -> None:
    """A log on another disk, linked to, does not move over here."""
    (tmp_path / "disk").mkdir()
    link, real = tmp_path / "log", tmp_path / "disk" / "job.log"
    link.symlink_to(real)
    lines = numbered(50)
    options = ("--log", link, "--log-size", "1kB", "--log-keep", "20")
    tick(spawn, *options, "--", *written(tmp_path, lines))
    assert os.readlink(link) == str(real)
    assert len(files(real)) > 3
    assert content(real) == b"".join(lines)


def test_what_is_no_file_is_never_rotated(spawn: Spawner, tmp_path: Path) -> None:
    """`--log /dev/null` (here a FIFO) as root must not rename it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    lines = numbered(100)
    tick(spawn, "--log", fifo, "--log-size", "1kB", "--", *written(tmp_path, lines))
    with open(reader, "rb") as file:
        assert file.read() == b"".join(lines)
    assert fifo.is_fifo()
    assert files(fifo) == [fifo]


def test_a_rotation_that_cannot_be_is_told_and_loses_nothing(
    spawn: Spawner, tmp_path: Path
) -> None:
    """With something in the way of a rename the file grows on, and a line says so."""
    log, lines = tmp_path / "log", numbered(100)
    (tmp_path / "log.1").mkdir()
    (tmp_path / "log.1" / "something").touch()
    options = ("--log", log, "--log-size", "4kB", "--log-keep", "1")
    ended = tick(spawn, *options, "--", *written(tmp_path, lines))
    assert log.read_bytes() == b"".join(lines)
    assert "not rotated (Is a directory)" in ended.stderr


# --- opened anew ------------------------------------------------------------------------------


class Turns:
    """A job that prints `before`, then waits for the test, then prints `after`."""

    def __init__(self, spawn: Spawner, directory: Path, *words: str | Path, **options: Any) -> None:
        body = "echo before; : >$0.waits; while [ ! -e $0.go ]; do sleep 0.01; done; echo after"
        self._directory = directory
        self.process: subprocess.Popen[str] = spawn(
            *run(*words, "--", *shell(directory, body)), **options
        )

    def wait(self, holds: Callable[[], object]) -> None:
        eventually((self._directory / "job.sh.waits").exists, 60)
        eventually(holds, 60)

    def go(self) -> tuple[int, str, str]:
        (self._directory / "job.sh.go").touch()
        out, err = self.process.communicate(timeout=120)
        return self.process.returncode, out, err


def test_hup_opens_the_file_anew_and_the_job_does_not_hear_of_it(
    spawn: Spawner, tmp_path: Path
) -> None:
    """After logrotate's rename and HUP, new lines go to a new file; HUP would end the job."""
    log = tmp_path / "log"
    turns = Turns(spawn, tmp_path, "--log", log)
    turns.wait(lambda: log.exists() and log.read_text() == "before\n")
    log.rename(tmp_path / "moved")
    turns.process.send_signal(signal.SIGHUP)
    eventually(log.exists, 60)
    assert turns.go() == (0, "", "")
    assert ((tmp_path / "moved").read_text(), log.read_text()) == ("before\n", "after\n")


def test_hup_without_a_log_ends_the_job_as_ever(spawn: Spawner, tmp_path: Path) -> None:
    """Only where there is a log is HUP not passed on."""
    turns = Turns(spawn, tmp_path)
    turns.wait(lambda: True)
    turns.process.send_signal(signal.SIGHUP)
    assert turns.process.wait(120) == 128 + signal.SIGHUP


def test_where_the_file_cannot_be_opened_anew_the_old_one_is_written_on(
    spawn: Spawner, tmp_path: Path
) -> None:
    """HUP while the directory is away is told, and no line is lost."""
    directory, away = tmp_path / "logs", tmp_path / "away"
    directory.mkdir()
    turns = Turns(spawn, tmp_path, "--log", directory / "log")
    turns.wait((directory / "log").exists)
    directory.rename(away)
    turns.process.send_signal(signal.SIGHUP)
    assert "the old one is written on" in turns.process.stderr.readline()
    assert turns.go() == (0, "", "")
    assert (away / "log").read_text() == "before\nafter\n"


# --- full disk --------------------------------------------------------------------------------

# Fills the disk with a file of its own, prints more than fits, makes room, prints more. Then it
# shows what the log holds: the disk is seen from in here only.
_FILLING = """
import os, sys
disk, result = sys.argv[1:]
with open(disk + "/filler", "wb") as file:
    file.write(bytes(100 * 1024))

def lines(first, last):
    for number in range(first, last):
        os.write(1, b"%099d\\n" % number)

def wait_for(text):
    # The runner has dealt with all of it when it says so.
    while text not in open(result + "/errors").read():
        pass

lines(0, 2000)
wait_for("output comes here meanwhile")
wait_for("%099d\\n" % 1999)
os.unlink(disk + "/filler")
lines(2000, 2400)
wait_for("written again")
while True:
    with open(disk + "/log", "rb") as file:
        content = file.read()
    if content.endswith(b"%099d\\n" % 2399):
        break
with open(result + "/log", "wb") as file:
    file.write(content)
"""


@pytest.mark.needs("root", "unshare")
def test_on_a_full_disk_it_says_so_goes_on_and_loses_nothing(
    spawn: Spawner, tmp_path: Path
) -> None:
    """What does not fit into the log goes to stderr, to the byte; with room it is the log again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    job = program(tmp_path, _FILLING)
    words = private_tmpfs(disk, "200k", *run("--log", disk / "log", "--", *job, disk, tmp_path))
    with open(tmp_path / "errors", "wb") as errors:
        ended = spawn.run(*words, stderr=errors)
    told = (tmp_path / "errors").read_bytes()
    assert ended.returncode == 0, told
    messages = [line for line in told.splitlines(True) if b"lifeline: log" in line]
    assert len(messages) == 2
    assert b"No space left on device; output comes here meanwhile" in messages[0]
    assert b"written again" in messages[1]
    for message in messages:
        told = told.replace(message, b"")
    logged = (tmp_path / "log").read_bytes()
    whole = b"".join(b"%099d\n" % number for number in range(2400))
    at = whole.find(told)
    assert 0 < at < len(logged)
    assert logged[:at] + told + logged[at:] == whole
