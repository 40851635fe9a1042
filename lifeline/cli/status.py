"""`lifeline status`: what runs under lifelines for this user."""

from typing import Annotated, Any

import typer

from .. import clock
from ..errors import EXIT_NOT_RUNNING, show, show_word
from ..history import Ends, ends
from ..overview import Running, overview
from ..processes import holds
from ..processes.state import State
from . import common

EXAMPLES = """Examples:

lifeline status

lifeline status --json -- /srv/app/worker.py --queue mail"""


def status(
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
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what runs under lifelines for this user, and what is held.

    Exit code 0 if something runs, 3 if not.
    """
    wanted = common.meant(context, name)
    running = overview(wanted)
    now = clock.wall()
    state = State()
    exits = ends(state) if state.check() else Ends()
    for each in running:
        code = exits.code(each.identity, each.process.pid, each.since)
        each.last_exit = each.last_exit if code is None else code
    held = holds.all_holds(state, now) if state.check() else []
    held = [hold for hold in held if wanted is None or hold.identity.same_command(wanted)]
    if json:
        data = {"running": [_data(each) for each in running], "held": list(map(_hold_data, held))}
        common.print_json(data)
    else:
        _print(running, held, now)
    raise typer.Exit(0 if running else EXIT_NOT_RUNNING)


def _print(running: list[Running], held: list[holds.Hold], now: float) -> None:
    if running:
        header = (
            "LIFELINE",
            "PID",
            "SINCE",
            "FOR",
            "FOUND BY",
            "JOB",
            "MEMORY",
            "RESTARTS",
            "LAST EXIT",
        )
        common.print_table(header, [_row(each, now) for each in running])
    else:
        typer.echo("not running")
    for hold in held:
        typer.echo(f"held: {common.title(hold.identity)}{_hold_text(hold)}")


def _row(each: Running, now: float) -> tuple[str, ...]:
    return (
        common.title(each.identity, each.argv),
        str(each.process.pid),
        common.timestamp(each.since),
        clock.show_duration(now - each.since),
        each.how + (" (stopped)" if each.stopped else ""),
        str(each.job.pid) if each.job else _without_job(each),
        f"{each.memory / 2**20:.1f} MiB" if each.memory else "-",
        str(each.restarts),
        "-" if each.last_exit is None else str(each.last_exit),
    )


def _without_job(each: Running) -> str:
    return "stands by" if each.standby else "ended" if each.job_ended else "-"


def _data(each: Running) -> dict[str, Any]:
    return {
        "name": show(each.identity.name) if each.identity.name is not None else None,
        "command": [show_word(word) for word in each.argv],
        "pid": each.process.pid,
        "start_ticks": each.process.start,
        "since": each.since,
        "found_by": each.how,
        "stopped": each.stopped,
        "standby": each.standby,
        "job_pid": each.job.pid if each.job else None,
        "memory_bytes": each.memory,
        "restarts": each.restarts,
        "last_exit": each.last_exit,
    }


def _hold_text(hold: holds.Hold) -> str:
    until = "" if hold.until is None else f" until {common.timestamp(hold.until)}"
    reason = f" ({show(hold.reason)})" if hold.reason else ""
    return until + reason


def _hold_data(hold: holds.Hold) -> dict[str, Any]:
    return {
        "lifeline": common.title(hold.identity),
        "since": hold.since,
        "until": hold.until,
        "reason": show(hold.reason),
    }
