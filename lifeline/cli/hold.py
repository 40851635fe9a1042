"""`lifeline hold` and `lifeline release`: do not start this, until told otherwise."""

import datetime
from typing import Annotated

import typer

from .. import clock, holding
from ..clock import parse_duration
from ..errors import UsageError
from ..processes.holds import Hold
from ..processes.state import State
from . import common

HOLD_EXAMPLES = """Examples:

lifeline hold --for 2h --reason "database moves" mailer

lifeline hold --until 06:30 -- /srv/app/worker.py --queue mail"""

RELEASE_EXAMPLES = """Examples:

lifeline release mailer

lifeline release -- /srv/app/worker.py --queue mail"""


def hold(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar=common.NAME_OR_COMMAND,
            help="Which one.",
            show_default=False,
            autocompletion=common.complete_names,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="When it ends: 06:30, or 2030-01-31T06:30 (local time)."),
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="How long: 90s, 2h, 3d.")] = None,
    reason: Annotated[str, typer.Option(help="Shown to whoever meets the hold.")] = "",
) -> None:
    """Keep a lifeline from being started: the next ticks say so and leave with exit code 0.

    What runs already goes on running; `lifeline terminate --hold` ends it too.
    """
    identity = common.needed(context, name)
    if until is not None and for_ is not None:
        raise UsageError("give --until or --for, not both")
    now = clock.wall()
    end = None
    if until is not None:
        end = parse_time(until, now)
    elif for_ is not None:
        end = now + positive(for_)
    common.doubt(name)
    typer.echo(sentence(holding.hold(State(), identity, end, reason)))


def release(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar=common.NAME_OR_COMMAND,
            help="Which one.",
            show_default=False,
            autocompletion=common.complete_names,
        ),
    ] = None,
) -> None:
    """End a hold: the next tick starts the lifeline again."""
    identity = common.needed(context, name)
    if holding.release(State(), identity):
        typer.echo(f"released: {common.title(identity)}")
    else:
        typer.echo(f"was not held: {common.title(identity)}")


def sentence(hold: Hold) -> str:
    """What somebody is told who has put it in place."""
    ending = "it is released" if hold.until is None else common.timestamp(hold.until)
    return f"held until {ending}: {common.title(hold.identity)}"


def positive(duration: str) -> float:
    """Seconds in `duration`, more than none: a hold of none would not hold."""
    seconds = parse_duration(duration)
    if seconds <= 0:
        raise UsageError(f"a hold of {duration} is none; to end one: lifeline release")
    return seconds


def parse_time(text: str, now: float) -> float:
    """Wall seconds of a local time: `HH:MM` (the next one) or ISO 8601; it has to come yet."""
    present = datetime.datetime.fromtimestamp(now).astimezone()
    try:
        if "-" in text:
            when = datetime.datetime.fromisoformat(text)
            when = when if when.tzinfo else when.astimezone()
        else:
            clock_time = datetime.time.fromisoformat(text)
            when = datetime.datetime.combine(present.date(), clock_time).astimezone()
            if when <= present:
                tomorrow = present.date() + datetime.timedelta(days=1)
                when = datetime.datetime.combine(tomorrow, clock_time).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a time: write 06:30 or 2030-01-31T06:30") from None
    if when <= present:
        raise UsageError(f"{text} has already passed")
    return when.timestamp()
