"""Running `lifeline` for real, and jobs that say who worked, and whether two ever did at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from support.needs import UNSHARE
from support.spawning import Spawner, alive
from support.waiting import eventually

#: The `lifeline` command of the environment that runs the tests.
LIFELINE = str(Path(sys.executable).with_name("lifeline"))
INVOKE = str(Path(sys.executable).with_name("invoke"))

#: Starts a command as another user without any right over root's processes. What it keeps is to
#: read any file, because interpreters and test directories may lie where only root may look.
AS_NOBODY = [
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]

# What every job of a test begins with. `work` says "overlap" if another process works already: a
# record lock is not inherited by children and goes with its process, so it cannot be left over.
_PREAMBLE = '''\
import fcntl, os, signal, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
LOG = os.open(HERE + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)


def say(word):
    os.write(LOG, b"%d %s\\n" % (os.getpid(), word.encode()))


def stand_by(word, until=None):
    """Say a word, then live until TERM, or until the file `until` is there."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    say(word)
    while until is None or not os.path.exists(HERE + "/" + until):
        time.sleep(0.01)  # a long sleep could begin after a signal and before its handler


def work(until=None):
    turn = os.open(HERE + "/turn", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("overlap")
    try:
        stand_by("start", until)
    finally:
        say("end")
        os.close(turn)


def child(word="child", ignore_term=False):
    """A forked child, which looks exactly like this process. Returns its pid."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if ignore_term else signal.SIG_DFL)
        say(word)
        while True:
            time.sleep(3600)
    return pid


'''


class Work:
    """A directory with one job in it and the log that the job keeps.

    `body` is Python; it can use `say`, `stand_by`, `work` and `child` of the preamble above.
    """

    def __init__(self, directory: Path, body: str = "work()\n", name: str = "job.py") -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.script = directory / name
        self.script.write_text(_PREAMBLE + body)
        self.argv = [sys.executable, str(self.script)]

    def lines(self) -> list[str]:
        """What the job's processes said, in order, each line with a pid before it."""
        path = self.directory / "log"
        return path.read_text().splitlines() if path.exists() else []

    def said(self, word: str) -> list[int]:
        """The pids of all that said `word`, in order."""
        return [int(line.split()[0]) for line in self.lines() if line.split(maxsplit=1)[1] == word]

    def wait_for(self, word: str, times: int = 1, within: float = 120.0) -> list[int]:
        """The pids of those that said `word`, once it was said `times` times."""
        eventually(lambda: len(self.said(word)) >= times, within)
        return self.said(word)

    def working(self) -> list[int]:
        """The pids of those that started to work and are alive."""
        return [pid for pid in self.said("start") if alive(pid)]

    def make(self, name: str) -> None:
        """Make a file in the job's directory: what a `stand_by(until=…)` waits for."""
        (self.directory / name).touch()

    def check(self, starts: int) -> None:
        """It started to work that many times, and never twice at once."""
        assert self.said("overlap") == [], self.lines()
        assert len(self.said("start")) == starts, self.lines()


def run(*words: str | os.PathLike[str]) -> list[str]:
    """The words of a `lifeline run` call; options come first, the command after `--`."""
    return [LIFELINE, "run", *map(str, words)]


def tick(
    spawn: Spawner, *words: str | os.PathLike[str], **options: Any
) -> subprocess.CompletedProcess[str]:
    """A `lifeline run` that is expected to end by itself."""
    return spawn.run(*run(*words), **options)


def lifeline(
    spawn: Spawner, *words: str | os.PathLike[str], **options: Any
) -> subprocess.CompletedProcess[str]:
    """Any other verb."""
    return spawn.run(LIFELINE, *words, **options)


def unique_sleep() -> list[str]:
    """A `sleep` for an hour that no other test starts: the process table belongs to all of them."""
    return ["sleep", f"3600.{uuid.uuid4().int % 10**15:015d}"]


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints."""
    assert process.stdout
    return process.stdout.readline().rstrip("\n")


def gate(directory: Path) -> tuple[dict[str, str], Path]:
    """An environment in which every Python waits at its start, and the file that lets it go on.

    Its command line shows by then: all that wait there have raised their flags, and none has
    looked yet.
    """
    directory.mkdir()
    opened = directory / "open"
    (directory / "sitecustomize.py").write_text(
        f"import os, time\nwhile not os.path.exists({str(opened)!r}): time.sleep(0.001)\n"
    )
    path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path}, opened


def has_exec(pid: int, word: str) -> bool:
    """True once a process shows `word` among its arguments."""
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return os.fsencode(word) in file.read().split(b"\0")


def namespace(*words: str | os.PathLike[str]) -> list[str]:
    """The words that start a command as the first process of a pid namespace of its own."""
    return [*UNSHARE, *map(str, words)]


def hidden(option: str, *words: str | os.PathLike[str]) -> list[str]:
    """The words that start a command in a mount namespace whose /proc has `hidepid=…`."""
    mount = f'mount -t proc -o {option} proc /proc && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mount, "sh", *map(str, words)]


def python(code: str, *arguments: str | os.PathLike[str]) -> list[str]:
    """The words that run `code`."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def changed(
    directory: str | os.PathLike[str], code: str, *words: str | os.PathLike[str]
) -> list[str]:
    """The words of a `lifeline` call where `code` is the program: it changes something first.

    Others recognise it by the name of its file; that goes into `directory`.
    """
    program = Path(directory) / "lifeline"
    program.write_text(code)
    return [sys.executable, str(program), *map(str, words)]


def answer(spawn: Spawner, words: list[str], **options: Any) -> Any:
    """What a program that prints JSON says; its stderr is shown if it fails."""
    ended = spawn.run(*words, **options)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
