"""`lifeline scale record` and `simulate`: what the load was, and what policies make of it."""

import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from ..clock import parse_duration, show_duration
from ..errors import CannotTell, UsageError, show
from ..scaling import config as configs
from ..scaling import samples
from ..scaling.checking import nearest
from ..scaling.plot import NOTE, draw
from ..scaling.policy import LEAST, Policy
from ..scaling.simulate import Result
from ..scaling.simulate import simulate as run
from ..scaling.trace import Entry, decode_all, encode
from ..scaling.world import Physics
from . import common
from .scale_common import CONFIG, Config, Only, chosen

RECORD_EXAMPLES = """Examples:

lifeline scale record --only mailers >mailers.jsonl

lifeline scale record --every 1m --count 60 /etc/lifeline.toml"""

SIMULATE_EXAMPLES = """Examples:

lifeline scale simulate mailers.jsonl --policy mailers --plot out.svg

lifeline scale simulate sample:bursts --job 18s --policy old.toml:mailers"""


def record(
    config: Config = CONFIG,
    only: Only = None,
    every: Annotated[
        str | None, typer.Option(help="How often; as in the configuration, if not given.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many samples.")] = None,
) -> None:
    """Print samples of one scaler as lines of a trace, until INT or TERM. Nothing is decided."""
    plans = chosen(config, only)
    if len(plans) != 1:
        raise UsageError(f"{config} has {len(plans)} scalers: choose one with --only NAME")
    pause = plans[0].policy.every if every is None else parse_duration(every)
    if pause < LEAST:
        raise UsageError(f"--every {every} is less than {LEAST * 1000:.0f}ms")
    scaler = plans[0].scaler()
    left = count
    never = threading.Event()
    while True:
        common.print_json_line(encode(scaler.observe()))
        sys.stdout.flush()
        left = None if left is None else left - 1
        if left == 0:
            return
        never.wait(pause)


def simulate(
    trace: Annotated[str, typer.Argument(help="A file of JSON lines, - or sample:NAME.")],
    policy: Annotated[
        list[str] | None,
        typer.Option(help="NAME of a \\[scale.NAME] table, or FILE:NAME; all of them without."),
    ] = None,
    config: Annotated[str, typer.Option(help="Where a NAME is looked up.")] = CONFIG,
    job: Annotated[str, typer.Option(help="How long a job takes (median).")] = "10s",
    boot: Annotated[str, typer.Option(help="How long a worker takes to start.")] = "40s",
    grace: Annotated[str, typer.Option(help="From being told to stop to being killed.")] = "30s",
    idle_first: Annotated[
        bool, typer.Option("--idle-first", help="The target can choose whom it stops.")
    ] = False,
    plot: Annotated[str | None, typer.Option(help="Write a picture (SVG).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try policies on a recorded trace, through the same code that runs.

    Arrivals are reconstructed from the recorded depth: an estimate, best for comparing.
    """
    policies = _policies(policy, config)
    entries = _entries(trace)
    if parse_duration(job) <= 0:
        raise UsageError("--job has to be more than nothing")
    physics = Physics(parse_duration(job), parse_duration(boot), parse_duration(grace), idle_first)
    results = [run(name, found, entries, physics) for name, found in policies.items()]
    if plot is not None:
        _write(plot, draw(f"{trace}: {', '.join(policies)}", entries, results))
    if json:
        common.print_json({"note": NOTE, "policies": [_data(result) for result in results]})
        return
    common.print_table(_HEADER, [_row(result) for result in results])
    typer.echo(NOTE)


_HEADER = (
    "POLICY",
    "WORKER HOURS",
    "WAIT P50",
    "WAIT P95",
    "ACTIONS",
    "KILLED",
    "DONE",
    "LEFT",
    "AS RECORDED",
)


def _row(result: Result) -> tuple[str, ...]:
    return (
        result.name,
        f"{result.worker_hours:.1f}",
        show_duration(result.wait_p50),
        show_duration(result.wait_p95),
        str(result.actions),
        str(result.killed),
        str(result.finished),
        str(result.waiting),
        f"{result.same[0]} of {result.same[1]}" if result.same else "-",
    )


def _data(result: Result) -> dict[str, object]:
    return {
        "policy": result.name,
        "worker_hours": round(result.worker_hours, 3),
        "wait_p50": round(result.wait_p50, 3),
        "wait_p95": round(result.wait_p95, 3),
        "actions": result.actions,
        "killed": result.killed,
        "done": result.finished,
        "left": result.waiting,
        "as_recorded": list(result.same) if result.same else None,
    }


def _policies(given: list[str] | None, config: str) -> dict[str, Policy]:
    if not given:
        return {name: plan.policy for name, plan in configs.read(config).items()}
    found: dict[str, Policy] = {}
    for word in given:
        path, colon, name = word.rpartition(":")
        plans = configs.read(path if colon else config)
        if name not in plans:
            raise UsageError(f"{path or config} has no [scale.{name}]{nearest(name, plans)}")
        found[word] = plans[name].policy
    return found


def _entries(trace: str) -> list[Entry]:
    if trace.startswith("sample:"):
        return decode_all(samples.lines(trace[7:]), trace)
    name = "standard input" if trace == "-" else show(os.fsencode(trace))
    try:
        with open(0 if trace == "-" else trace, encoding="utf-8", closefd=trace != "-") as file:
            return decode_all(file, name)
    except OSError as error:
        raise UsageError(f"{name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{name}: this is not UTF-8") from None


def _write(path: str, picture: str) -> None:
    try:
        Path(path).write_text(picture, encoding="utf-8")
    except OSError as error:
        raise CannotTell(f"{path}: cannot be written ({error.strerror})") from None
