"""`lifeline history`: what happened."""

from typing import Annotated, Any

import typer

from ..clock import parse_duration, show_duration, wall
from ..errors import show
from ..events import HELD, STAND_DOWN
from ..history import Event, read
from ..processes.state import State
from . import common

EXAMPLES = """Examples:

lifeline history --since 1d mailer

lifeline history --json --all -- /srv/app/worker.py --queue mail"""

_SHOWN = ("pid", "job", "code", "reason", "seconds", "restarts", "until", "ended")


def history(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar=common.NAME_OR_COMMAND,
            help="Only this one.",
            show_default=False,
            autocompletion=common.complete_names,
        ),
    ] = None,
    since: Annotated[str, typer.Option(help="How far back: 6h, 7d.")] = "7d",
    all_: Annotated[
        bool, typer.Option("--all", help="Also each tick that found its twin or a hold.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show starts, ends, restarts, holds and terminations, oldest first."""
    wanted = common.meant(context, name)
    earliest = wall() - parse_duration(since)
    state = State()
    found = read(state, wanted) if state.check() else []
    found = [event for event in found if float(event["time"]) >= earliest]
    if not all_:
        found = [event for event in found if event["event"] not in (STAND_DOWN, HELD)]
    if json:
        for event in found:
            common.print_json_line(event)
    elif found:
        common.print_table(("TIME", "LIFELINE", "EVENT", "WHAT"), [_row(each) for each in found])
    else:
        typer.echo("nothing happened")


def _row(event: Event) -> tuple[str, ...]:
    named = str(event.get("name") or event.get("command") or "-")
    facts = ((key, event[key]) for key in _SHOWN if key in event)
    what = "  ".join(f"{key} {_value(key, value)}" for key, value in facts)
    return common.timestamp(float(event["time"])), named[:60], str(event["event"]), what


def _value(key: str, value: Any) -> str:
    if key == "seconds":
        return show_duration(float(value)) if value >= 1 else f"{value:g}s"
    if key == "until":
        return common.timestamp(float(value))
    return show(str(value).encode("utf-8", "backslashreplace"))
