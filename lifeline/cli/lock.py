"""`lifeline lock`: who holds a lease, whether a store will do, and what to do about either."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from .. import clock
from ..errors import (
    EXIT_NOT_RUNNING,
    EXIT_USAGE,
    LifelineError,
    UsageError,
    printable,
    warn_of_password,
)
from ..leases.named import check_lease_name
from ..leases.port import BAD, Backend, Finding, Seen
from ..leases.stores import open_store, shown
from . import common
from .progress import waiting

EXAMPLES = """Examples:

lifeline lock holders --lock env:DATABASE_URL mailer

lifeline lock check env:DATABASE_URL"""

HOLDERS_EXAMPLES = """Examples:

lifeline lock holders --lock env:DATABASE_URL

lifeline lock holders --lock env:DATABASE_URL --json mailer"""

CHECK_EXAMPLES = """Examples:

lifeline lock check env:DATABASE_URL

lifeline lock check --json redis://127.0.0.1:6379/0"""

SETUP_EXAMPLES = """Examples:

lifeline lock setup env:DATABASE_URL

lifeline lock setup dynamodb://lifeline?region=eu-central-1"""

BREAK_EXAMPLES = """Examples:

lifeline lock break --lock env:DATABASE_URL --slot 0 mailer

lifeline lock break --lock env:DATABASE_URL --slot 2 --yes mailer"""

app = typer.Typer(
    name="lock",
    help="Leases over several machines: who has them, and the store that they are in.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Lock = Annotated[
    str | None,
    typer.Option("--lock", metavar="URL", help="The store; LIFELINE_LOCK if not given."),
]
_Url = Annotated[
    str | None,
    typer.Argument(
        metavar="URL", help="The store; LIFELINE_LOCK if not given.", show_default=False
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("holders", epilog=HOLDERS_EXAMPLES)
def holders(
    name: Annotated[
        str | None, typer.Argument(help="Of this name only.", show_default=False)
    ] = None,
    lock: _Lock = None,
    json: _Json = False,
) -> None:
    """Show who holds leases: where, since when, until when. Exit code 3 if nobody does."""
    store = _open(lock)
    wanted = check_lease_name(name) if name is not None else None
    with waiting("asking the store"):
        found = store.holders(wanted)
    now = clock.wall()
    if json:
        common.print_json([_data(seen, now) for seen in found])
    elif found:
        header = ("NAME", "SLOT", "FENCE", "HOST", "PID", "SINCE", "UNTIL", "COMMAND")
        common.print_table(header, [_row(seen, now) for seen in found])
    else:
        typer.echo("nobody holds a lease" + (f" of {printable(name)}" if name else ""), err=True)
    raise typer.Exit(0 if found else EXIT_NOT_RUNNING)


@app.command("check", epilog=CHECK_EXAMPLES)
def check(url: _Url = None, json: _Json = False) -> None:
    """Look whether a store will do: reach, rights, clocks, settings. Exit code 1 if it will not."""
    given = _url(url)
    store = open_store(given)
    with waiting(f"looking at {shown(given)}"):
        found = store.check()
    if json:
        common.print_json(
            [{"level": f.level, "what": f.what, "advice": f.advice or None} for f in found]
        )
    else:
        typer.echo(f"{shown(given)}:")
        for finding in found:
            typer.echo(_line(finding))
    raise typer.Exit(1 if any(finding.level == BAD for finding in found) else 0)


@app.command("setup", epilog=SETUP_EXAMPLES)
def setup(url: _Url = None) -> None:
    """Create the table that a store needs, if it needs one. Doing it twice does nothing."""
    store = _open(url)
    with waiting("setting the store up"):
        done = store.setup()
    for line in done or ["nothing to do"]:
        common.say(line)


@app.command("break", epilog=BREAK_EXAMPLES)
def break_lease(
    name: Annotated[str, typer.Argument(help="The lease's name.", show_default=False)],
    slot: Annotated[int, typer.Option(help="Which of its slots.", min=0)],
    lock: _Lock = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take a slot from whoever holds it, and move its fence on.

    The holder hears of it at its next renewal and ends its work; until then two may work at
    once. What checks fences refuses the old one from now on.
    """
    store = _open(lock)
    check_lease_name(name)
    holder = _holder(store, name, slot)
    where = _who(holder) if holder else "nobody, as far as the store tells"
    if not yes:
        _confirm(printable(f"break slot {slot} of {name}, held by {where}?"))
        now = _holder(store, name, slot)  # it may have taken a person a while to answer
        if _identity(now) != _identity(holder):
            raise LifelineError("it is not with the same holder any more; nothing was broken")
    fence = store.break_lease(name, slot)
    if fence is None:
        typer.echo(f"there is no lease of {printable(name)}, slot {slot}", err=True)
        raise typer.Exit(EXIT_NOT_RUNNING)
    common.say(f"broken: slot {slot} of {name}; its fence is {fence} now")


def _holder(store: Backend, name: str, slot: int) -> Seen | None:
    return next((seen for seen in store.holders(name) if seen.slot == slot), None)


def _identity(holder: Seen | None) -> tuple[str, int] | None:
    return None if holder is None else (holder.owner, holder.fence)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("this asks first, and there is no terminal to ask: give --yes")
    if not typer.confirm(question):
        raise typer.Exit(EXIT_USAGE)


def _url(given: str | None) -> str:
    url = given or os.environ.get("LIFELINE_LOCK")
    if not url:
        raise UsageError("which store? give its URL, or set LIFELINE_LOCK")
    warn_of_password(url)
    return url


def _open(given: str | None) -> Backend:
    return open_store(_url(given))


def _who(seen: Seen) -> str:
    return f"{seen.info.get('host', '?')} pid {seen.info.get('pid', '?')}"


def _since(seen: Seen) -> float | None:
    since = seen.info.get("since")
    return float(since) if isinstance(since, int | float) else None


def _row(seen: Seen, now: float) -> tuple[str, ...]:
    since = _since(seen)
    return (
        seen.name,
        f"{seen.slot} of {seen.slots}",
        str(seen.fence),
        str(seen.info.get("host", "?")),
        str(seen.info.get("pid", "?")),
        "?" if since is None else common.timestamp(since),
        "" if seen.left is None else common.timestamp(now + seen.left),
        str(seen.info.get("command", "")),
    )


def _data(seen: Seen, now: float) -> dict[str, object]:
    return {
        "name": seen.name,
        "slot": seen.slot,
        "slots": seen.slots,
        "fence": seen.fence,
        "owner": seen.owner,
        "host": seen.info.get("host"),
        "pid": seen.info.get("pid"),
        "command": seen.info.get("command"),
        "since": _since(seen),
        "until": None if seen.left is None else round(now + seen.left, 3),
        "ttl": seen.ttl,
    }


def _line(finding: Finding) -> str:
    advice = f"\n         {printable(finding.advice)}" if finding.advice else ""
    return f"{finding.level:>7}  {printable(finding.what)}{advice}"
