"""`lifeline terminate`: end a lifeline and everything below it."""

from contextlib import ExitStack
from typing import Annotated

import typer

from .. import clock, events
from ..clock import parse_duration
from ..config import names
from ..ending import end_running
from ..errors import LifelineError, UsageError, show_word, show_words
from ..finding import standing_by
from ..holding import holding
from ..processes.state import State
from ..processes.table import open_table
from ..processes.tree import Ended
from . import common
from .hold import positive, sentence
from .progress import waiting

EXAMPLES = """Examples:

lifeline terminate mailer

lifeline terminate --hold 2h --grace 30s -- /srv/app/worker.py --queue mail"""

_FOR_EVER = "for ever"


def terminate(
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
    grace: Annotated[
        str | None,
        typer.Option(
            help="From TERM to KILL; a runner keeps to a shorter one of its own. Without: that of "
            "the run, 10s at least."
        ),
    ] = None,
    hold: Annotated[
        str | None,
        typer.Option(
            metavar="[DURATION]",
            help="Also hold it, so that the next tick does not start it again.",
            show_default=False,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """End what runs under a lifeline: TERM to its whole tree, KILL after the grace.

    Stopped processes are continued so that they can end. Only the processes found at the start,
    and what they start meanwhile, are signalled, each only while it is still that very process.
    A runner that stands by (--on-running wait) is no part of it, and is named: it runs next.
    Exit code 0 if all are gone, also if there was nothing; 1 if one would not go.
    """
    identity = common.needed(context, name)
    if grace is None:
        grace = names.option(name, "grace") if name else None
    seconds = None if grace is None else parse_duration(grace)
    until = _until(hold)
    common.doubt(name)
    table, state = open_table(), State()
    with ExitStack() as at_an_error:
        # Before looking, or a tick could start it in between.
        held = None
        if hold is not None:
            making = holding(state, identity, until, "terminated by hand")
            held = at_an_error.enter_context(making)
        waiters = standing_by(table, state, identity)
        with waiting(f"ending {common.title(identity)}: TERM, then KILL", seconds):
            ended = end_running(table, state, identity, seconds)
    left = [each for each in ended if not each.gone]
    if ended:
        events.append(state, "terminate", identity, pid=ended[0].process.pid, ended=len(ended))
    if json:
        common.print_json([_data(each) for each in ended])
    else:
        _print(ended)
        if held:
            typer.echo(sentence(held))
        for waiter in () if held or left else waiters:
            if table.is_alive(waiter):
                typer.echo(
                    f"pid {waiter.pid} stands by and starts it now; "
                    "to keep it from that: lifeline terminate --hold"
                )
    if left:
        raise LifelineError(f"pid {left[0].process.pid} {left[0].reason}")


def _data(each: Ended) -> dict[str, object]:
    return {
        "pid": each.process.pid,
        "command": [show_word(word) for word in each.command],
        "signal": each.signal,
        "gone": each.gone,
        "reason": each.reason,
    }


def _print(ended: list[Ended]) -> None:
    if not ended:
        typer.echo("nothing was running")
    for each in ended:
        what = f"pid {each.process.pid}  {show_words(each.command, 80)}"
        how = f"  ({each.signal})" if each.signal else ""  # else its runner has ended it
        typer.echo(f"ended {what}{how}" if each.gone else f"still there {what}")


def _until(hold: str | None) -> float | None:
    """When a hold of so long ends; None: never, or there is none."""
    return None if hold in (None, _FOR_EVER) else clock.wall() + positive(hold)


def attach_hold(arguments: list[str]) -> list[str]:
    """Give `--hold` its value as one word: its duration may be left out, for no end."""
    if arguments[:1] != ["terminate"] or "--hold" not in arguments:
        return arguments
    at = arguments.index("--hold")
    following = arguments[at + 1 : at + 2]
    if following and _is_duration(following[0]):
        return [*arguments[:at], f"--hold={following[0]}", *arguments[at + 2 :]]
    return [*arguments[:at], f"--hold={_FOR_EVER}", *arguments[at + 1 :]]


def _is_duration(text: str) -> bool:
    try:
        parse_duration(text)
    except UsageError:
        return False
    return True
