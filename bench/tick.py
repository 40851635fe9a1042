"""What a tick costs: cron starts `lifeline` once a minute for ever, nearly always to leave again.

    python -m bench.tick [--runs N] [--processes 130,3000] [--json] [--check]

Measures the `lifeline` command and the packages of the interpreter that it is run with, with so
many processes on the machine; sleepers are started to make up the number. docs/bench.md tells what
each line means. `--check` exits with 1 if a target was missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.measure import (
    BARE,
    SCRIPTS,
    Command,
    Row,
    conditions,
    count_processes,
    crowd,
    end_on_term,
    in_turns,
    minus,
    print_json,
    ratio,
    running,
    show,
    spread,
    wait_until,
)

PEERS = Path(__file__).parent / "peers"
MANY = 1000  # processes from which on the target for the look against pgrep is meant
FOUND = 9  # the exit code of a peer that found its twin, and here of `lifeline run`
RAN = 3  # the exit code of a peer that did not
_LOOKS = 11

# One look, as lifeline() and a tick without a run record do it, or several; the difference is
# what a look costs once an interpreter runs and everything is imported.
_LOOK = """
import sys
from lifeline.processes.election import look
from lifeline.processes.identity import named
from lifeline.processes.state import State
from lifeline.processes.table import open_table
for _ in range(int(sys.argv[1])):
    assert look(open_table(), State(), named(b"nobody is called this")).kind == "alone"
"""


class Setting:
    """All commands to be measured, each with the twin that it is to find."""

    def __init__(self, directory: Path, twins: ExitStack) -> None:
        self.directory = directory
        self.twins = twins
        self.commands: dict[str, Command] = {"bare": Command(BARE)}
        self.notes: list[str] = []
        self._add_lifeline()
        self._add_scripts()
        self._add_peers()

    def _state(self, name: str) -> dict[str, str]:
        return {"LIFELINE_STATE_DIR": str(self.directory / name)}

    def _add_lifeline(self) -> None:
        lifeline = str(SCRIPTS / "lifeline")
        options = ["run", "--exit-code-if-running", str(FOUND)]
        job = ["sleep", f"3600.{os.getpid()}3"]  # nobody else's: a twin would be in the way
        twin = Command([lifeline, "run", "--", *job], environment=self._state("run"))
        runs = self.directory / "run" / "runs"
        self.twins.enter_context(running(twin, lambda _: runs.is_dir() and any(runs.iterdir())))
        tick = [lifeline, *options, "--", *job]
        self.commands["tick"] = Command(tick, FOUND, self._state("run"))
        self.commands["tick, no record"] = Command(tick, FOUND, self._state("missing"))
        for looks in (1, _LOOKS):
            argv = [sys.executable, "-c", _LOOK, str(looks)]
            self.commands[f"looks {looks}"] = Command(argv, 0, self._state("missing"))
        self.commands["pgrep"] = Command(["pgrep", "-f", "nobody is called this"], expected=1)

    def _add_scripts(self) -> None:
        guarded = [sys.executable, str(PEERS / "with_lifeline.py")]
        self.commands["script"] = Command([sys.executable, str(PEERS / "nothing.py")], RAN)
        self.commands["script, alone"] = Command([*guarded, "alone"], RAN, self._state("script"))
        twin = Command([*guarded, "twin"], 0, self._state("script"))
        self.twins.enter_context(running(twin))
        self.commands["script, twin"] = twin

    def _add_peers(self) -> None:
        lock = str(self.directory / "flock")
        if shutil.which("flock"):
            twin = Command(["flock", "-n", lock, "sh", "-c", "echo running; cat"])
            self.twins.enter_context(running(twin))
            self.commands["flock"] = Command(["flock", "-n", "-E", str(FOUND), lock, "true"], FOUND)
        for peer, needed in (
            ("filelock", "filelock"),
            ("tendo", "tendo"),
            ("pid", "pid"),
            ("psutil", "psutil"),
            ("ps", "subprocess"),
        ):
            if importlib.util.find_spec(needed) is None:
                self.notes.append(f"{peer} is left out, it is not installed")
                continue
            argument = self.directory / f"{peer}.lock"
            argv = [sys.executable, str(PEERS / f"with_{peer}.py"), str(argument)]
            if peer == "pid":
                argument.mkdir()
            self.twins.enter_context(running(Command(argv)))
            self.commands[peer] = Command(argv, FOUND)


def rows_of(spent: dict[str, list[float]], processes: int) -> list[Row]:
    """The lines of the table for one number of processes; the targets are for few, or for many."""
    bare, script, pgrep = spent["bare"], spent["script"], spent["pgrep"]
    per_look = [more / (_LOOKS - 1) for more in minus(spent[f"looks {_LOOKS}"], spent["looks 1"])]

    def row(
        what: str,
        values: list[float],
        against: list[float] = bare,
        of: str = "bare",
        target: float | None = None,
    ) -> Row:
        return Row(what, spread(values).median * 1e3, ratio(values, against), of, target)

    def added(name: str) -> list[float]:
        return minus(spent[name], script)

    look_target = 0.5 if processes >= MANY else None
    alone_target = 0.3 if processes < MANY else None
    rows = [
        Row("bare: python -c pass", spread(bare).median * 1e3),
        row("tick: lifeline run, twin on record", spent["tick"], target=1.3),
        row("tick, no record: a look at everybody", spent["tick, no record"]),
        row("pgrep -f PATTERN", pgrep),
        row("one look, in a running interpreter", per_look, pgrep, "pgrep", look_target),
        row("tick, no record - bare", minus(spent["tick, no record"], bare), pgrep, "pgrep"),
        row("lifeline() adds, twin on record", added("script, twin"), target=0.3),
        row("lifeline() adds, alone", added("script, alone"), target=alone_target),
    ]
    names = {
        "flock": "flock -n (C)",
        "filelock": "filelock",
        "tendo": "tendo",
        "pid": "pid",
        "psutil": "a loop over psutil",
        "ps": "the lines of ps",
    }
    return rows + [row(f"peer: {names[name]}", spent[name]) for name in names if name in spent]


def measured(runs: int, processes: int) -> tuple[str, str, list[Row]]:
    """(title, unit, rows) with about so many processes on the machine."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-tick-") as directory,
        ExitStack() as twins,
        crowd(processes) as present,
    ):
        setting = Setting(Path(directory), twins)
        rows = rows_of(in_turns(setting.commands, runs), present)
        after = count_processes()
    changed = f", {after} at the end" if abs(after - present) > present / 10 else ""
    title = f"{present} processes{changed}; {runs} rounds"
    return "; ".join([title, *setting.notes]), "CPU ms", rows


def memory() -> tuple[str, str, list[Row]]:
    """What stays resident: of a bare interpreter, of a runner, and with --exec."""
    lifeline = str(SCRIPTS / "lifeline")
    with tempfile.TemporaryDirectory(prefix="bench-tick-") as directory, ExitStack() as alive:
        state = {"LIFELINE_STATE_DIR": directory + "/state"}
        hour = f"3600.{os.getpid()}"  # nobody else's: a twin of it would be in the way
        idle = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
        bare = alive.enter_context(running(Command(idle)))
        run = Command([lifeline, "run", "--", "sleep", hour], environment=state)
        runner = alive.enter_context(running(run, lambda pid: _runs_sleep(_child(pid))))
        become = Command([lifeline, "run", "--exec", "--", "sleep", f"{hour}1"], environment=state)
        job = alive.enter_context(running(become, _runs_sleep))
        assert _child(job.pid) is None
        rows = [
            Row("a bare interpreter", _resident(bare.pid)),
            Row("lifeline run, beside its job", _resident(runner.pid), target=10.0),
            Row("lifeline run --exec, beside its job", 0.0),  # it has become the job: seen above
        ]
    return "resident memory (VmRSS)", "MiB", rows


def _child(pid: int) -> int | None:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def _runs_sleep(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep")


def _resident(pid: int) -> float:
    """MiB of `pid` that are in memory, once it waits."""
    status = Path(f"/proc/{pid}/status")
    wait_until(lambda: "State:\tS" in status.read_text())
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.tick", description=__doc__)
    parser.add_argument("--runs", type=_rounds, default=40, help="rounds in which all take turns")
    parser.add_argument(
        "--processes", type=_numbers, default="130,3000", help="on the machine; a table for each"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    asked = parser.parse_args()
    end_on_term()
    if not asked.json:
        print(conditions())
    tables: list[tuple[str, str, list[Row]]] = []
    for processes in asked.processes:
        tables.append(measured(asked.runs, processes))
        if not asked.json:
            show(*tables[-1])
    tables.append(memory())
    if asked.json:
        print_json(tables)
    else:
        show(*tables[-1])
    missed = [row for _, _, rows in tables for row in rows if row.missed]
    return 1 if asked.check and missed else 0


def _rounds(text: str) -> int:
    if int(text) < 2:
        raise ValueError  # argparse says the rest
    return int(text)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
