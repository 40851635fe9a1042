"""Rounds of simultaneous starters of one command: in every round exactly one may run.

    python -m bench.election --rounds 10000

Each round forks 2 to 50 starters of the same command, mixed from `lifeline run`, `lifeline run
--exec` and a script that calls lifeline(), lets each sleep a random time between fork and exec,
and looks at what the jobs themselves wrote: who began, and that nobody began before the other
had ended. The one that runs is only told to end when all others have left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

JOB = """\
import os, sys, time
from lifeline import lifeline
from lifeline.processes import election

election.SETTLE = float(os.environ.get("ELECTION_SETTLE", election.SETTLE))
lifeline()
here = sys.argv[1]
log = os.open(here + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(log, b"began %d %d\\n" % (os.getpid(), time.monotonic_ns()))
with open(here + "/stop") as stop:  # a FIFO: blocks until the round is over
    stop.read()
os.write(log, b"ended %d %d\\n" % (os.getpid(), time.monotonic_ns()))
sys.exit(7)
"""

KINDS = ("run", "exec", "script")
PATIENCE = 240.0  # seconds for a round: a limit for a hang, not a measure


@dataclass
class Round:
    """What one round showed. `began` counts jobs; `codes` are the exit codes of the starters."""

    starters: list[str]
    began: int = 0
    overlapped: bool = False
    hung: bool = False
    codes: list[int] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failure(self) -> str:
        """What is wrong with the round, or ""."""
        if self.hung:
            return "did not end"
        if self.began != 1:
            return f"{self.began} ran"
        if self.overlapped:
            return "two ran at once"
        if sorted(self.codes) != [0] * (len(self.codes) - 1) + [7]:
            return f"exit codes {sorted(self.codes)}"
        return ""


class Arena:
    """A directory with the job, its log and its FIFO; the state directory is kept over rounds.

    `settle` is that of all starters, in seconds; None leaves it at their default.
    """

    def __init__(
        self, directory: Path, lifeline: Sequence[str], settle: float | None = None
    ) -> None:
        self.directory = directory
        self.job = directory / "job.py"
        self.job.write_text(JOB)
        self.log = directory / "log"
        self.stop = directory / "stop"
        os.mkfifo(self.stop)
        self.environment = {**os.environ, "LIFELINE_STATE_DIR": str(directory / "state")}
        plain = [sys.executable, str(self.job), str(directory)]
        options: list[str] = []
        if settle is not None:
            options = ["--settle", f"{settle:g}s"]
            self.environment["ELECTION_SETTLE"] = f"{settle:g}"
        self.commands = {
            "run": [*lifeline, "run", *options, "--", *plain],
            "exec": [*lifeline, "run", "--exec", *options, "--", *plain],
            "script": plain,
        }

    def play(self, kinds: Sequence[str], delays: Sequence[float]) -> Round:
        """One round: a starter for each kind, each `delays` seconds between fork and exec."""
        self.log.write_bytes(b"")
        began = time.monotonic()
        result = Round(list(kinds))
        gate, open_gate = os.pipe()
        running = {
            self._fork(self.commands[kind], delay, gate, open_gate): kind
            for kind, delay in zip(kinds, delays, strict=True)
        }
        os.close(gate)
        os.close(open_gate)  # all start now
        self._until_one_is_left(running, result, began + PATIENCE)
        if running and not result.hung:
            self._let_it_end(running, result, began + PATIENCE)
        for pid in running:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._read_log(result)
        result.seconds = time.monotonic() - began
        return result

    def _fork(self, command: list[str], delay: float, gate: int, open_gate: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            os.close(open_gate)
            os.read(gate, 1)  # returns at its end, when the other side is closed
            time.sleep(delay)
            os.execve(command[0], command, self.environment)
        finally:
            os._exit(99)

    def _until_one_is_left(self, running: dict[int, str], result: Round, deadline: float) -> None:
        while len(running) > 1:
            if not self._reap(running, result):
                if time.monotonic() > deadline:
                    result.hung = True
                    return
                time.sleep(0.005)

    def _let_it_end(self, running: dict[int, str], result: Round, deadline: float) -> None:
        """Tell the last one to end, once it has begun; it may also leave without."""
        while running and time.monotonic() < deadline:
            if b"began" in self.log.read_bytes():
                os.close(os.open(self.stop, os.O_WRONLY))  # blocks until the job reads
                break
            if not self._reap(running, result):
                time.sleep(0.005)
        while running and time.monotonic() < deadline:
            if not self._reap(running, result):
                time.sleep(0.005)
        result.hung = bool(running)

    def _reap(self, running: dict[int, str], result: Round) -> bool:
        """Note the end of one starter; False if none has ended."""
        for pid in running:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del running[pid]
                result.codes.append(os.waitstatus_to_exitcode(status))
                return True
        return False

    def _read_log(self, result: Round) -> None:
        inside = 0
        for line in self.log.read_text().splitlines():
            if line.startswith("began"):
                result.began += 1
                inside += 1
                result.overlapped |= inside > 1
            else:
                inside -= 1


def random_round(arena: Arena, chance: random.Random, most: int = 50) -> Round:
    """A round of random size, mix and delays."""
    size = chance.choice((2, 3, chance.randint(2, most), chance.randint(2, most), most))
    mixed = chance.random() < 0.7
    only = chance.choice(KINDS)
    kinds = [chance.choice(KINDS) if mixed else only for _ in range(size)]
    longest = chance.choice((0.0, 0.0, 0.005, 0.05, 0.3))
    return arena.play(kinds, [chance.uniform(0, longest) for _ in kinds])


def installed() -> list[str]:
    """The `lifeline` command beside this interpreter."""
    command = Path(sys.executable).parent / "lifeline"
    return [str(command)] if command.exists() else [sys.executable, "-m", "lifeline"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.election", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--most", type=int, default=50, help="starters in the largest rounds")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    starters = failures = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="election-") as directory:
        arena = Arena(Path(directory), installed())
        for number in range(1, asked.rounds + 1):
            result = random_round(arena, chance, asked.most)
            starters += len(result.starters)
            if result.failure:
                failures += 1
                print(f"round {number}: {result.failure}: {result}", flush=True)
            if number % 100 == 0:
                print(f"{number} rounds, {starters} starters, {failures} failures", flush=True)
    spent = time.monotonic() - began
    print(
        f"seed {asked.seed}: {asked.rounds} rounds, {starters} starters, {failures} failures, "
        f"{spent / asked.rounds:.2f} s a round"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
