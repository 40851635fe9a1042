"""Check the models exhaustively: run spin over each, once for each configuration.

election.pml is about several starters on one host, lease.pml about a lease over several hosts.

    python model/check.py                   three contenders
    python model/check.py --contenders 4    the long one
    python model/check.py --trace naive     the shortest way to break a broken variant

Exit status: 0 if every verdict is the expected one, 1 if not, 2 if the check cannot be run.
What the verdicts mean is in docs/model.md.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ELECTION, LEASE = "election.pml", "lease.pml"

ACCEPTED = "accepted"
TWO_RUN = "two run"
NOBODY_RUNS = "nobody runs"
BESIDE_PLAIN = "beside plain"
WAITS_ON = "waits on"
LATE_WRITE = "late write"
DEADLOCK = "deadlock"
TRUNCATED = "TRUNCATED"

# What pan prints of a failure, and what it means. The texts are those of the models.
FAILURES = (
    ("running==0", TWO_RUN),
    ("taken&&", TWO_RUN),
    ("taker_wrote", LATE_WRITE),
    ("after_plain", BESIDE_PLAIN),
    ("ran||", NOBODY_RUNS),
    ("running==contested", NOBODY_RUNS),
    ("waiting==0", WAITS_ON),
    ("invalid end state", DEADLOCK),
)
# A search that says one of these has not seen everything.
INCOMPLETE = ("max search depth too small", "reached -DMEMLIM", "out of memory", "not completed")

# Contenders that can be asked for, and how deep a search may go.
MAX_DEPTH = {2: 100_000, 3: 1_000_000, 4: 5_000_000}


class CannotCheckError(Exception):
    """The check could not be run; the message says why."""


@dataclass(frozen=True)
class Configuration:
    """One run of the checker, and what it has to find."""

    name: str
    macros: str
    expected: str = ACCEPTED
    contenders: int = 0  # 0: as many as asked for
    at_most: int = 4  # does not fit into 10 GiB and 15 minutes beyond that
    slow: bool = False
    model: str = ELECTION


def lease(name: str, macros: str, expected: str = ACCEPTED) -> Configuration:
    """A configuration of the lease: always one holder and one taker."""
    return Configuration(name, macros, expected, 2, model=LEASE)


@dataclass(frozen=True)
class Result:
    """What the checker found. `states` is rounded by spin beyond eight digits."""

    name: str
    macros: str
    contenders: int
    states: int
    depth: int
    seconds: float
    verdict: str
    expected: str
    as_expected: bool


ALL = "DEATHS TIMEOUTS EXEC_HIDES"

CONFIGURATIONS = (
    # Somebody runs, exactly one, and nobody hangs.
    Configuration("election", ""),
    Configuration("election, ages by hand", "AGES"),
    Configuration("election, exec", "EXEC_HIDES"),
    Configuration("election, exec, passive", "PASSIVE EXEC_HIDES"),
    Configuration("election, waits", "PASSIVE EXEC_HIDES WAITS", at_most=3),
    # Never two, whatever dies and however late anything is.
    Configuration("deaths", "DEATHS EXEC_HIDES PASSIVE"),
    Configuration("deaths, timeouts", f"{ALL}"),
    Configuration("deaths, timeouts, passive", f"{ALL} PASSIVE"),
    Configuration("deaths, timeouts, waits", f"{ALL} PASSIVE WAITS", at_most=3),
    Configuration("record lost", "DEATHS TIMEOUTS PASSIVE RECORD_LOST"),
    Configuration("plain", f"{ALL} PLAIN", slow=True),
    Configuration("plain, passive", f"{ALL} PLAIN PASSIVE", at_most=3, slow=True),
    # The exception: among contenders alone, reading once is enough.
    Configuration("no re-read, no plain", f"{ALL} PASSIVE BROKEN_NO_REREAD"),
    # One rule spoilt each. Two contenders are enough to fail, and keep the trace short.
    Configuration("naive", "BROKEN_NAIVE", NOBODY_RUNS, 2),
    Configuration("oldest wins", "BROKEN_OLDEST_WINS", TWO_RUN, 2),
    Configuration("record first", "EXEC_HIDES BROKEN_RECORD_FIRST", TWO_RUN, 2),
    Configuration("no last record", "EXEC_HIDES BROKEN_NO_LAST_RECORD", TWO_RUN, 2),
    Configuration("no re-read", "PLAIN BROKEN_NO_REREAD", BESIDE_PLAIN, 2),
    Configuration("marker late", "PASSIVE BROKEN_MARKER_LATE", TWO_RUN, 2),
    Configuration("marker removed", "PASSIVE BROKEN_MARKER_REMOVED", NOBODY_RUNS, 2),
    Configuration("wait for end", "PASSIVE WAITS BROKEN_WAIT_FOR_END", WAITS_ON, 2),
    # One assumption dropped each.
    Configuration("hides early", "BROKEN_HIDES_EARLY", TWO_RUN, 2),
    Configuration("record lost, exec", "EXEC_HIDES TIMEOUTS RECORD_LOST", TWO_RUN, 2),
    Configuration("marker lost", "PASSIVE MARKER_LOST", NOBODY_RUNS, 2),
    # A lease: never two jobs, whichever of supervisor and keeper dies or stops, and when.
    lease("lease", ""),
    lease("lease, grace", "GRACE=1"),
    lease("lease, clock in step", "SLIP=0"),
    lease("lease, slow verbs", "PATIENCE=2"),
    lease("lease of a session", "SESSION"),
    lease("lease, host stops", "HOST_STOPS", TWO_RUN),
    lease("lease, host stops, fence", "HOST_STOPS FENCED"),
    # One rule spoilt each.
    lease("no fence", "HOST_STOPS FENCED BROKEN_NO_FENCE", LATE_WRITE),
    lease("no go", "BROKEN_NO_GO", TWO_RUN),
    lease("releases early", "BROKEN_RELEASES_EARLY", TWO_RUN),
    lease("renewal re-creates", "SESSION BROKEN_RECREATES", TWO_RUN),
    lease("hasty taker", "SESSION BROKEN_HASTY", TWO_RUN),
    lease("guard without margin", "BROKEN_GUARD", TWO_RUN),
    lease("guard kept busy", "PATIENCE=2 BROKEN_BUSY", TWO_RUN),
    lease("no drift", "BROKEN_NO_DRIFT", TWO_RUN),
    lease("retry not counted anew", "BROKEN_RETRY", TWO_RUN),
)


def check(configuration: Configuration, contenders: int, memory: int, directory: Path) -> Result:
    """Search every state of one configuration. `memory` is in MiB; `directory` gets the files.

    Raises CannotCheckError if spin or gcc refuse the model, or the search says nothing at all.
    """
    shutil.copy(HERE / configuration.model, directory)
    definitions = macro_arguments(configuration, contenders)
    huge = contenders + ("PLAIN" in configuration.macros) > max(MAX_DEPTH)
    # Only safety is asked for: assertions and end states. Breadth first finds the shortest
    # failure, depth first needs less memory. COLLAPSE is exact, unlike bit state hashing.
    options = ["-DSAFETY", f"-DMEMLIM={memory}"]
    options += ["-DCOLLAPSE"] if huge else []
    options += ["-DBFS"] if configuration.expected != ACCEPTED else []
    run(["spin", "-a", *definitions, configuration.model], directory)
    # Where little is searched, the compiler is what takes the time.
    level = "-O2" if huge or configuration.slow else "-O1"
    run(["gcc", level, "-w", *options, "-o", "pan", "pan.c"], directory)

    began = time.monotonic()
    output = subprocess.run(
        ["./pan", "-n", f"-m{MAX_DEPTH[contenders]}", "-w27" if huge else "-w24"],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
    seconds = time.monotonic() - began

    verdict = read_verdict(output)
    return Result(
        name=configuration.name,
        macros=configuration.macros,
        contenders=contenders,
        states=read_number(r"([\d.e+]+) states, stored", output),
        depth=read_number(r"depth reached (\d+)", output),
        seconds=round(seconds, 2),
        verdict=verdict,
        expected=configuration.expected,
        as_expected=verdict == configuration.expected,
    )


def read_verdict(output: str) -> str:
    """Say what pan found. Nothing but a finished search without an error is accepted."""
    failure = re.search(r"^pan:1: (.*) \(at depth", output, re.MULTILINE)
    if failure:
        for text, meaning in FAILURES:
            if text in failure[1]:
                return meaning
        raise CannotCheckError(f"unknown failure of the model: {failure[1]}")
    if any(text in output for text in INCOMPLETE):
        return TRUNCATED
    if re.search(r"errors: 0$", output, re.MULTILINE):
        return ACCEPTED
    raise CannotCheckError(f"the search ended without a result:\n{output.strip()}")


def read_number(pattern: str, output: str) -> int:
    found = re.search(pattern, output)
    return int(float(found[1])) if found else 0


def trace(configuration: Configuration, contenders: int, directory: Path) -> str:
    """The steps that lead to the failure just found in `directory`; empty if there was none."""
    if not list(directory.glob("*.trail")):
        return ""
    definitions = macro_arguments(configuration, contenders)
    steps = run(["spin", "-t", *definitions, configuration.model], directory)
    return "".join(re.findall(r"^ +(?:p\d|the |our |OUR |THE |- ).*\n", steps, re.MULTILINE))


def macro_arguments(configuration: Configuration, contenders: int) -> list[str]:
    return [f"-DN={contenders}", *(f"-D{macro}" for macro in configuration.macros.split())]


def run(command: list[str], directory: Path) -> str:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        raise CannotCheckError(f"{' '.join(command)} failed:\n{said}")
    return done.stdout


def show(result: Result) -> str:
    opinion = "as expected" if result.as_expected else f"EXPECTED {result.expected}"
    return (
        f"{result.name:26}{result.contenders:2}{result.states:13,}{result.depth:11,}"
        f"{result.seconds:9.2f}  {result.verdict:13} {opinion}"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check the models exhaustively with spin.")
    add = parser.add_argument
    add("--contenders", type=int, choices=sorted(MAX_DEPTH), default=3, help="default: 3")
    add("--quick", action="store_true", help="leave out what takes longer than a second")
    add("--json", action="store_true", help="print one JSON object instead of a table")
    add("--memory", type=int, default=10_240, metavar="MIB", help="limit of one search")
    names = [configuration.name for configuration in CONFIGURATIONS]
    add("--only", choices=names, metavar="NAME", help="check this configuration only")
    add("--trace", choices=names, metavar="NAME", help="the same, and print how it fails")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    only = arguments.trace or arguments.only
    for tool in ("spin", "gcc"):
        if shutil.which(tool) is None:
            raise CannotCheckError(f"{tool} is not installed (apt-get install spin gcc)")

    if not arguments.json:
        print(f"{'configuration':26}{'N':>2}{'states':>13}{'depth':>11}{'seconds':>9}  verdict")
    asked = [
        (configuration, configuration.contenders or arguments.contenders)
        for configuration in CONFIGURATIONS
        if (not only or configuration.name == only)
        and (configuration.contenders or arguments.contenders) <= configuration.at_most
        and not (arguments.quick and configuration.slow)
    ]

    def one(each: tuple[Configuration, int]) -> tuple[Result, str]:
        with tempfile.TemporaryDirectory(prefix="lifeline-model-") as temporary:
            directory = Path(temporary)
            result = check(*each, arguments.memory, directory)
            return result, trace(*each, directory) if arguments.trace else ""

    results = []
    # Two at once, most of it is the compiler; four starters need the memory for themselves.
    with ThreadPoolExecutor(2 if arguments.contenders < max(MAX_DEPTH) else 1) as pool:
        for result, steps in pool.map(one, asked):
            results.append(result)
            if not arguments.json:
                print(show(result), flush=True)
            print(steps, end="")
    if arguments.json:
        print(json.dumps({"results": [asdict(result) for result in results]}, indent=2))
    return 0 if results and all(result.as_expected for result in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CannotCheckError as error:
        print(f"check: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
