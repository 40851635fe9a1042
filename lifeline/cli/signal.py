"""`lifeline signal`: say something to whoever holds a lease."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from .. import clock
from ..errors import EXIT_NOT_RUNNING, UsageError, printable
from ..leases import speaking
from ..signals.payload import LARGEST
from . import common

EXAMPLES = """Examples:

lifeline signal mailer reload

lifeline signal mailer --slot 0 --wait 10s - <job.json"""


def signal(
    name: Annotated[str, typer.Argument(help="The lease's name.", show_default=False)],
    payload: Annotated[
        str, typer.Argument(help="What to say; - reads it from stdin.", show_default=False)
    ] = "",
    slot: Annotated[
        int | None, typer.Option(help="To the holder of this slot only.", metavar="N")
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(help="Until each has taken it, or so long; else 1s.", metavar="TIME"),
    ] = None,
    lock: Annotated[
        str | None,
        typer.Option("--lock", metavar="URL", help="The store; LIFELINE_LOCK if not given."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Send a payload to every holder of NAME. Exit code 3 if nobody has heard it.

    At most once; with --wait at least once.
    """
    given = _read() if payload == "-" else os.fsencode(payload)
    seconds = None if wait is None else clock.parse_duration(wait)
    heard = speaking.signal(
        name, given, common.store_url(lock), slot, seconds, acknowledge=wait is not None
    )
    if json:
        common.print_json({"name": name, "heard": heard})
    elif heard:
        typer.echo(f"heard by {heard}")
    else:
        typer.echo(f"nobody who holds {printable(name)} has heard it", err=True)
    raise typer.Exit(0 if heard else EXIT_NOT_RUNNING)


def _read() -> bytes:
    """What stdin says, which may have no end."""
    given = sys.stdin.buffer.read(LARGEST + 1) if sys.stdin else b""
    if len(given) > LARGEST:
        raise UsageError(
            f"there are more than {LARGEST} bytes on stdin, and a payload has no more: "
            "put it somewhere and send where"
        )
    return given
