"""In a terminal: a real pty with a shell that does job control; and without any terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.lifelines import Work, run
from support.spawning import Spawner, alive, look
from support.waiting import eventually

SHELLS = {"bash": ["bash", "--norc", "--noprofile", "--noediting", "-i"], "dash": ["dash", "-i"]}
CTRL_C, CTRL_Z, CTRL_BACKSLASH = "\x03", "\x1a", "\x1c"
EOF = "\x04"

# Says which signals come; INT and QUIT end it with statuses of their own.
TELLS = """
def tell(number, _):
    say(signal.Signals(number).name)
    if number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        os._exit(40 + number)


for number in (1, 2, 3, 15, signal.SIGCONT, signal.SIGTSTP, signal.SIGWINCH):
    signal.signal(number, tell)
say("up")
while True:
    time.sleep(0.02)
"""


class Terminal:
    """A pty of 24 lines with a program in its foreground, and what that has printed."""

    def __init__(self, spawn: Spawner, *words: str | os.PathLike[str]) -> None:
        self._master, slave = pty.openpty()
        self.resize(24, 80)
        os.set_blocking(self._master, False)
        self.printed = ""
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        # setsid(1) takes the terminal for a session of its own, which Popen cannot.
        self.process: subprocess.Popen[str] = spawn(
            "setsid",
            "--ctty",
            *words,
            start_new_session=False,
            env={"PS1": "", "PS2": ""},
            **streams,
        )
        os.close(slave)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, text: str) -> None:
        """Return once `text` has been printed, and forget everything up to it."""
        eventually(lambda: text in self._read(), within=120)
        self.printed = self.printed.partition(text)[2]

    def hang_up(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self) -> str:
        try:
            self.printed += os.read(self._master, 65536).decode(errors="replace")
        except (BlockingIOError, OSError):  # nothing new; nobody on the other side
            pass
        return self.printed


class Shell(Terminal):
    """A pty with an interactive shell in it."""

    def line(self, line: str) -> None:
        self.type(line + "\n")

    def run(self, *words: str | os.PathLike[str], end: str = "") -> None:
        """Have `lifeline run …` started, and its exit status printed when it returns."""
        typed = shlex.join(run(*words))
        self.line(f"{typed} {end}" if end else f'{typed}; echo "status=$?"')

    def status(self) -> int:
        """The exit status that a `run` printed."""
        self.wait_for("status=")
        eventually(lambda: "\n" in self._read(), within=120)
        return int(self.printed.split()[0])

    def is_there(self) -> None:
        """It reads and carries out a line."""
        self.line("echo he''re")
        self.wait_for("here")


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest, spawn: Spawner) -> Iterator[Shell]:
    found = Shell(spawn, *SHELLS[request.param])
    found.line("stty -echo; unset HISTFILE")
    found.is_there()
    yield found
    found.hang_up()


@pytest.fixture
def open_terminal(spawn: Spawner) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals that have `lifeline run` itself in them, as `ssh -t host` and xterm -e do."""
    opened: list[Terminal] = []

    def open_one(*words: str | os.PathLike[str]) -> Terminal:
        opened.append(Terminal(spawn, *run(*words)))
        return opened[-1]

    yield open_one
    for each in opened:
        each.hang_up()


def is_stopped(pid: int) -> bool:
    seen = look(pid)
    return seen is not None and seen.state == "T"


def runner_of(pid: int) -> int:
    seen = look(pid)
    assert seen
    return seen.ppid


# --- keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "number"),
    [(CTRL_C, signal.SIGINT), (CTRL_BACKSLASH, signal.SIGQUIT)],
    ids=["Ctrl-C", "Ctrl-Backslash"],
)
def test_a_key_reaches_the_job(
    tmp_path: Path, shell: Shell, key: str, number: signal.Signals
) -> None:
    """Ctrl-C and Ctrl-\\ reach the job once, and the shell gets the job's answer."""
    work = Work(tmp_path / "job", TELLS)
    shell.run("--", *work.argv)
    work.wait_for("up")
    shell.type(key)
    assert shell.status() == 40 + number
    assert [line.split()[1] for line in work.lines()] == ["up", number.name]
    shell.is_there()


def test_ctrl_c_ends_what_does_nothing_about_it(tmp_path: Path, shell: Shell) -> None:
    """A job that INT kills, and a child of it, are gone after Ctrl-C; the status is 130."""
    work = Work(tmp_path / "job", "os.fork()\nsignal.signal(2, signal.SIG_DFL)\nstand_by('up')\n")
    shell.run("--", *work.argv)
    pids = work.wait_for("up", 2)
    shell.type(CTRL_C)
    assert shell.status() == 130
    assert not any(map(alive, pids))


def test_ctrl_c_twice(tmp_path: Path, shell: Shell) -> None:
    """A job that does not go after Ctrl-C goes after the second one."""
    work = Work(
        tmp_path / "job",
        "signal.signal(2, lambda *_: say('int'))\nsay('up')\nwhile True: time.sleep(0.02)\n",
    )
    shell.run("--grace", "1h", "--", *work.argv)
    work.wait_for("up")
    shell.type(CTRL_C)
    work.wait_for("int")
    shell.type(CTRL_C)
    assert shell.status() == 137


def test_ctrl_z_and_fg(tmp_path: Path, shell: Shell) -> None:
    """Ctrl-Z stops the job and the runner, and gives the shell back; `fg` continues both."""
    work = Work(tmp_path / "job", TELLS)
    shell.run("--", *work.argv)
    (pid,) = work.wait_for("up")
    runner = runner_of(pid)
    for _ in range(2):
        shell.type(CTRL_Z)
        eventually(lambda: is_stopped(pid) and is_stopped(runner))
        shell.is_there()
        shell.line('fg; echo "status=$?"')
        eventually(lambda: not is_stopped(pid) and not is_stopped(runner))
    work.wait_for("SIGCONT")
    shell.type(CTRL_C)
    assert shell.status() == 42
    shell.is_there()


def test_ctrl_z_and_bg(tmp_path: Path, shell: Shell) -> None:
    """`bg` continues both in the background; `kill %1` ends both."""
    work = Work(tmp_path / "job", TELLS)
    shell.run("--", *work.argv)
    (pid,) = work.wait_for("up")
    runner = runner_of(pid)
    shell.type(CTRL_Z)
    eventually(lambda: is_stopped(pid) and is_stopped(runner))
    shell.line("bg")
    eventually(lambda: not is_stopped(pid) and not is_stopped(runner))
    shell.is_there()
    assert alive(pid)
    shell.line("kill %1")
    work.wait_for("SIGTERM")
    eventually(lambda: not alive(runner))


def test_the_size_of_the_window(tmp_path: Path, shell: Shell) -> None:
    """A change of the window's size is told to the job, which can ask for the new one."""
    work = Work(
        tmp_path / "job",
        """
def resized(*_):
    lines = os.get_terminal_size(0).lines
    say("lines %d" % lines)


signal.signal(signal.SIGWINCH, resized)
resized()
while True:
    time.sleep(0.02)
""",
    )
    shell.run("--", *work.argv)
    work.wait_for("lines 24")
    shell.resize(50, 100)
    work.wait_for("lines 50")


# --- input ------------------------------------------------------------------------------------


def test_the_job_reads_what_is_typed(tmp_path: Path, shell: Shell) -> None:
    """In the foreground the terminal's input is the job's, to its end."""
    work = Work(tmp_path / "job", "say('up')\nfor line in sys.stdin: say(line.strip())\n")
    shell.run("--", *work.argv)
    work.wait_for("up")
    shell.line("hello")
    work.wait_for("hello")
    shell.type(EOF)
    assert shell.status() == 0


def test_in_the_background_it_reads_nothing(tmp_path: Path, shell: Shell) -> None:
    """Started with `&`, a job that reads finds its input at its end; the shell loses no line."""
    work = Work(tmp_path / "job", "say('read %r' % sys.stdin.read())\nstand_by('up')\n")
    shell.run("--", *work.argv, end="&")
    shell.is_there()
    (pid,) = work.wait_for("up")
    assert work.said("read ''") == [pid]
    for _ in range(3):
        shell.is_there()
    shell.line("kill %1; wait")
    eventually(lambda: not alive(pid))


# --- hang-up ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_a_terminal_that_hangs_up(tmp_path: Path, shell: Shell, stopped: bool) -> None:
    """With the terminal go the job, which gets HUP, and the runner, stopped or not.

    (Shells give TERM to what is stopped.)
    """
    work = Work(tmp_path / "job", TELLS)
    shell.run("--", *work.argv)
    (pid,) = work.wait_for("up")
    runner = runner_of(pid)
    if stopped:
        shell.type(CTRL_Z)
        eventually(lambda: is_stopped(pid) and is_stopped(runner))
    shell.hang_up()
    eventually(lambda: not alive(runner), within=120)
    assert not alive(pid)
    assert work.said("SIGHUP") == [pid] or (stopped and work.said("SIGTERM") == [pid])


@pytest.mark.parametrize("shell", ["bash"], indirect=True)  # dash lets what is behind live on
def test_a_hang_up_in_the_background(tmp_path: Path, shell: Shell) -> None:
    """A shell that passes HUP on to what runs in the background ends runner and job."""
    work = Work(tmp_path / "job", TELLS)
    shell.run("--", *work.argv, end="&")
    (pid,) = work.wait_for("up")
    runner = runner_of(pid)
    shell.is_there()
    shell.hang_up()
    eventually(lambda: not alive(runner), within=120)
    assert not alive(pid)
    assert work.said("SIGHUP") == [pid]


# --- without a shell above --------------------------------------------------------------------


def test_ctrl_z_where_nobody_could_continue(
    tmp_path: Path, open_terminal: Callable[..., Terminal]
) -> None:
    """A runner that leads the terminal's session (ssh -t, xterm -e) is not stopped for ever."""
    work = Work(tmp_path / "job", TELLS)
    terminal = open_terminal("--", *work.argv)
    (pid,) = work.wait_for("up")
    terminal.type(CTRL_Z)
    work.wait_for("SIGCONT")
    eventually(lambda: not is_stopped(pid) and not is_stopped(runner_of(pid)))
    terminal.type(CTRL_C)
    assert terminal.process.wait(120) == 42


def test_a_terminal_of_its_own_that_hangs_up(
    tmp_path: Path, open_terminal: Callable[..., Terminal]
) -> None:
    """A runner that leads the terminal's session passes its HUP on."""
    work = Work(tmp_path / "job", TELLS)
    terminal = open_terminal("--", *work.argv)
    work.wait_for("up")
    terminal.hang_up()
    assert terminal.process.wait(120) == 41


def test_without_a_terminal(tmp_path: Path, spawn: Spawner) -> None:
    """As cron starts it: no terminal, nothing on standard input, output passed through."""
    work = Work(
        tmp_path / "job", "print(repr(sys.stdin.read()), sys.stdout.isatty(), os.isatty(0))\n"
    )
    ended = spawn.run(*run("--", *work.argv))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "'' False False\n", "")


def test_the_job_has_a_session_of_its_own(tmp_path: Path, shell: Shell) -> None:
    """The job leads a session and has no controlling terminal that it could lose."""
    body = """
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError as error:
    say("tty %d" % error.errno)
stand_by("up")
"""
    work = Work(tmp_path / "job", body)
    shell.run("--", *work.argv)
    (pid,) = work.wait_for("up")
    seen = look(pid)
    assert seen and (seen.pgid, seen.sid) == (pid, pid)
    assert work.said("tty 6") == [pid]  # ENXIO
