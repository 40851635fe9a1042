"""`--quiet`: nothing if the run went well, everything in order if it failed."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.lifelines import run, tick
from support.scripts import private_tmpfs, program, shell
from support.spawning import Spawner
from support.waiting import eventually, in_time


def test_a_run_that_went_well_shows_nothing(spawn: Spawner, tmp_path: Path) -> None:
    """With exit code 0 there is not a byte, on neither stream: cron sends no mail."""
    job = shell(tmp_path, "echo out; echo err >&2")
    ended = tick(spawn, "--quiet", "--", *job)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("end", "options", "code"),
    [
        ("exit 1", [], 1),
        ("exit 255", [], 255),
        ("kill -9 $$", [], 137),
        (": >$0.ready; while :; do sleep 0.1; done 2>/dev/null", ["--timeout"], 124),
    ],
)
def test_a_run_that_failed_shows_everything_in_order(
    spawn: Spawner, tmp_path: Path, end: str, options: list[str], code: int
) -> None:
    """However it failed, lines of both streams come out as they were written."""
    job = shell(tmp_path, f"for n in 1 2 3; do echo out $n; echo err $n >&2; done; {end}")

    def once_said(seconds: float) -> subprocess.CompletedProcess[str] | None:
        limit = [f"{seconds}s"] if options else []
        ended = tick(spawn, "--quiet", *options, *limit, "--", *job)
        return ended if not options or (tmp_path / "job.sh.ready").exists() else None

    ended = in_time(once_said)
    assert (ended.returncode, ended.stderr) == (code, "")
    assert ended.stdout == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n"


def test_each_run_is_shown_or_not_by_its_own_end(spawn: Spawner, tmp_path: Path) -> None:
    """With restarts, failed runs are shown and the good one after them is not."""
    job = shell(tmp_path, "echo x >>$0.runs; wc -l <$0.runs; [ $(wc -l <$0.runs) -ge 3 ]")
    options = ("--quiet", "--restart", "on-failure", "--backoff", "10ms")
    ended = tick(spawn, *options, "--", *job)
    assert (ended.returncode, ended.stdout) == (0, "1\n2\n")


def test_the_log_has_it_whether_it_is_shown_or_not(spawn: Spawner, tmp_path: Path) -> None:
    """`--quiet --log`: the file has every run, the mail only what failed."""
    for end, shown in (("exit 0", ""), ("exit 3", "line\n")):
        job = shell(tmp_path, f"echo line; {end}")
        ended = tick(spawn, "--quiet", "--log", tmp_path / "log", "--", *job)
        assert ended.stdout == shown
    assert (tmp_path / "log").read_text() == "line\nline\n"


def test_lines_can_have_their_time(spawn: Spawner, tmp_path: Path) -> None:
    """`--quiet --timestamps` shows when each line was printed, not when it was shown."""
    ended = tick(spawn, "--quiet", "--timestamps", "--", *shell(tmp_path, "echo text; exit 1"))
    assert re.fullmatch(r"\d{4}-\S+ text\n", ended.stdout)


def test_a_command_that_is_not_there_is_told(spawn: Spawner, tmp_path: Path) -> None:
    """`--quiet` hides no message of lifeline's own."""
    ended = tick(spawn, "--quiet", "--", tmp_path / "nothing")
    assert ended.returncode == 127
    assert ended.stderr.endswith("command not found\n")


# Prints 50 MB that can be made again, and notes the most that its runner ever held in memory.
_MUCH = """
import os, random, sys
chance = random.Random(4)
for _ in range(50):
    data = chance.randbytes(1_000_000)
    while data:
        data = data[os.write(1, data):]
status = open(f"/proc/{os.getppid()}/status").read().split()
open(sys.argv[1], "w").write(status[status.index("VmHWM:") + 1])
sys.exit(2)
"""


def test_fifty_megabytes_are_shown_whole_and_not_kept_in_memory(
    spawn: Spawner, tmp_path: Path
) -> None:
    """Much output of a failed run is on the disk meanwhile, and comes out to the byte."""
    import random

    peak = tmp_path / "peak"
    words = run("--quiet", "--", *program(tmp_path, _MUCH), peak)
    process = spawn(*words, text=False, env={"TMPDIR": str(tmp_path)})
    got = hashlib.sha256()
    while data := process.stdout.read(1 << 20):
        got.update(data)
    assert process.wait(120) == 2
    chance = random.Random(4)
    wanted = hashlib.sha256()
    for _ in range(50):
        wanted.update(chance.randbytes(1_000_000))
    assert got.digest() == wanted.digest()
    assert int(peak.read_text()) < 20_000  # kB


def test_what_is_kept_has_no_name(spawn: Spawner, tmp_path: Path) -> None:
    """Nothing is left in $TMPDIR, whatever becomes of the runner, and nobody else can read it."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    job = shell(tmp_path, "echo text; : >$0.waits; while [ ! -e $0.go ]; do sleep 0.01; done")
    process = spawn(*run("--quiet", "--", *job), env={"TMPDIR": str(directory)})
    eventually((tmp_path / "job.sh.waits").exists, 60)
    assert os.listdir(directory) == []
    (tmp_path / "job.sh.go").touch()
    assert process.wait(120) == 0


@pytest.mark.needs("root", "unshare")
@pytest.mark.parametrize("code", [0, 3])
def test_with_a_full_tmpdir_everything_is_shown_in_order(
    spawn: Spawner, tmp_path: Path, code: int
) -> None:
    """What cannot be kept cannot be hidden: it is shown at once, whole, and a line says why."""
    text = "".join(f"{number:09d}\n" for number in range(50_000))
    body = f"import sys\nsys.stdout.write({text!r})\nsys.stdout.flush()\nsys.exit({code})"
    disk = tmp_path / "disk"
    disk.mkdir()
    words = private_tmpfs(disk, "200k", *run("--quiet", "--", *program(tmp_path, body)))
    ended = spawn.run(*words, env={"TMPDIR": str(disk)})
    assert ended.returncode == code
    assert ended.stdout == text
    assert ended.stderr == (
        "lifeline: output is shown at once: it cannot be kept (No space left on device)\n"
    )


def test_without_a_tmpdir_everything_is_shown(spawn: Spawner, tmp_path: Path) -> None:
    """A $TMPDIR that is not there keeps no job from running."""
    job = shell(tmp_path, "echo text")
    ended = tick(spawn, "--quiet", "--", *job, env={"TMPDIR": str(tmp_path / "nothing")})
    assert (ended.returncode, ended.stdout) == (0, "text\n")
    assert "cannot be kept (No such file or directory)" in ended.stderr
