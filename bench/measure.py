"""What the benchmarks share: the CPU of whole processes, measured in turns, compared by ratio.

Figures of one machine are nobody else's, and a busy machine doubles them from one second to the
next. So commands take turns, A B C A B C, each figure is divided by the one that its neighbour in
the same round got, and what is shown is the median of these ratios with its quartiles.

    python -m bench.measure

shows how far that can be trusted here: a command measured against itself, which should give 1.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

SCRIPTS = Path(sys.executable).parent
BARE = [sys.executable, "-c", "pass"]
# Byte code is kept, as it is for whatever cron starts.
ENVIRONMENT = {key: os.environ[key] for key in os.environ if key != "PYTHONDONTWRITEBYTECODE"}
_LIFE = 1800  # seconds after which a process of the crowd leaves, whatever became of the benchmark


@dataclass
class Command:
    """A command to measure, and the exit code that shows that it did what it was to do."""

    argv: list[str]
    expected: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def cpu(self) -> float:
        """Seconds of user and system time of one run, of the process and of all it waited for."""
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        pid = os.posix_spawnp(
            self.argv[0], self.argv, {**ENVIRONMENT, **self.environment}, file_actions=null
        )
        _, status, used = os.wait4(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != self.expected:
            raise RuntimeError(f"{' '.join(self.argv)}: exit {code}, not {self.expected}")
        return used.ru_utime + used.ru_stime


def in_turns(commands: dict[str, Command], rounds: int) -> dict[str, list[float]]:
    """The CPU seconds of each command in each round; every round starts with another one."""
    names = list(commands)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for command in commands.values():
        command.cpu()  # the first run writes byte code and warms caches
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            spent[name].append(commands[name].cpu())
    return spent


def timed_in_turns(
    calls: dict[str, Callable[[], object]], seconds: float, batch: int
) -> dict[str, list[float]]:
    """The wall seconds of each call, the median of `batch`, in each round, for about so long.

    For what mostly waits for a server, whose CPU is not this process's.
    """
    names = list(calls)
    spent: dict[str, list[float]] = {name: [] for name in names}
    for call in calls.values():
        for _ in range(batch):
            call()
    deadline, chance = time.monotonic() + seconds, random.Random(1)
    while time.monotonic() < deadline or len(spent[names[0]]) < 2:
        for name in chance.sample(names, len(names)):  # nobody always comes after the same one
            spent[name].append(statistics.median(_seconds(calls[name]) for _ in range(batch)))
    return spent


def _seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@dataclass
class Spread:
    """A median and its quartiles."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(values: Sequence[float], others: Sequence[float]) -> Spread:
    """How many times as much the values are, each against its neighbour of the same round."""
    return spread([value / other for value, other in zip(values, others, strict=True)])


def minus(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """What the values are more, each than its neighbour of the same round."""
    return [value - other for value, other in zip(values, others, strict=True)]


def count_processes() -> int:
    return sum(name.isdigit() for name in os.listdir("/proc"))


@contextmanager
def crowd(total: int) -> Iterator[int]:
    """Sleeping processes, each with an argument list of its own, until there are `total`.

    Gives how many there are: more if there were more before, fewer if the system allows no more.
    """
    sleep = shutil.which("sleep")
    assert sleep
    started: list[int] = []
    try:
        for number in range(total - count_processes()):
            argv = [f"/srv/crowd/bin/worker-{number} of the crowd", str(_LIFE)]
            try:
                started.append(os.posix_spawn(sleep, argv, os.environ))
            except BlockingIOError:
                print(f"no more than {len(started)} processes can be started here", file=sys.stderr)
                break
        yield count_processes()
    finally:
        for pid in started:
            os.kill(pid, signal.SIGKILL)
        for pid in started:
            os.waitpid(pid, 0)


@contextmanager
def running(
    command: Command, is_ready: Callable[[int], bool] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command, alive as long as the block; without `is_ready`, it says so by a line."""
    process: subprocess.Popen[Any] = subprocess.Popen(
        command.argv,
        env={**ENVIRONMENT, **command.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    try:
        if is_ready is None:
            if not process.stdout.readline():
                raise RuntimeError(f"{' '.join(command.argv)}: did not start")
        else:
            wait_until(lambda: is_ready(process.pid))
        yield process
    finally:
        process.terminate()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def wait_until(holds: Callable[[], bool], within: float = 30.0) -> None:
    """Return once it holds. RuntimeError if that takes more than `within` seconds."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{holds} does not hold after {within:g} s")
        time.sleep(0.01)


def end_on_term() -> None:
    """Let TERM end this process as an exception does, so that nothing is left running."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@dataclass
class Row:
    """One line of a result: a value, and how many `times` as much as something else that is.

    `target` is the most that the ratio may be, or the value where there is no ratio.
    """

    what: str
    value: float
    times: Spread | None = None
    of: str = ""
    target: float | None = None

    @property
    def missed(self) -> bool:
        figure = self.times.median if self.times else self.value
        return self.target is not None and figure > self.target


def show(title: str, unit: str, rows: Sequence[Row]) -> None:
    """Print one section as a plain table."""
    print(f"\n{title}")
    table = [("", unit, "ratio", "quartiles", "of", "target", "")]
    for row in rows:
        times = row.times
        verdict = "" if row.target is None else "MISSED" if row.missed else "met"
        table.append(
            (
                row.what,
                f"{row.value:.2f}",
                f"{times.median:.2f}" if times else "",
                f"{times.low:.2f}-{times.high:.2f}" if times else "",
                row.of,
                "" if row.target is None else f"<= {row.target:g}",
                verdict,
            )
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        first, value, times_, *rest = (cell.ljust(w) for cell, w in zip(cells, widths, strict=True))
        numbers = (value.strip().rjust(widths[1]), times_.strip().rjust(widths[2]))
        print("  ".join((first, *numbers, *rest)).rstrip())


def print_json(sections: Sequence[tuple[str, str, Sequence[Row]]]) -> None:
    """Print sections, each a title, a unit and its rows, with the conditions that they hold for."""
    plain = [
        {
            "title": title,
            "unit": unit,
            "rows": [{**asdict(row), "missed": row.missed} for row in rows],
        }
        for title, unit, rows in sections
    ]
    print(json.dumps({"conditions": conditions(), "sections": plain}, indent=2))


def conditions() -> str:
    """Where and when it was measured, in one line."""
    load = os.getloadavg()[0]
    python = ".".join(map(str, sys.version_info[:3]))
    return f"Python {python}, Linux {os.uname().release}, {os.cpu_count()} cores, load {load:.1f}"


def main() -> int:
    spent = in_turns({"once": Command(BARE), "again": Command(BARE)}, 40)
    row = Row("python -c pass", spread(spent["once"]).median * 1e3)
    row.times, row.of = ratio(spent["once"], spent["again"]), "itself"
    print(conditions())
    show("40 rounds; the distance of these quartiles is the noise of this machine", "CPU ms", [row])
    return 0


if __name__ == "__main__":
    sys.exit(main())


def tell(sections: Sequence[tuple[str, str, Sequence[Row]]], *, as_json: bool, check: bool) -> int:
    """Print sections, for people or as JSON. The exit code: 1 if `check` finds a missed target."""
    if as_json:
        print_json(sections)
    else:
        print(conditions())
        for section in sections:
            show(*section)
    return 1 if check and any(row.missed for _, _, rows in sections for row in rows) else 0
