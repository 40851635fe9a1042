"""`lifeline watch`: print what is said to who holds a lease: to itself, or to others."""

from __future__ import annotations

import base64
import signal
import sys
from typing import Annotated, Any, NoReturn

import typer

from .. import clock
from ..errors import EXIT_LOST, EXIT_SIGNAL_BASE, complain
from ..leases.holding import Holding
from ..leases.lock import Lock
from ..leases.overhearing import Overhearing
from ..options import RunOptions
from ..signals.payload import Payload
from . import common

EXAMPLES = """Examples:

lifeline watch --slots 3 mailer | jq -r .payload

lifeline watch --listen mailer"""


def watch(
    name: Annotated[str, typer.Argument(help="The lease's name.", show_default=False)],
    slots: Annotated[int, typer.Option(help="So many may hold it at once.", metavar="N")] = 1,
    ttl: Annotated[
        str, typer.Option(help="The lease of a dead host runs out after.", metavar="TIME")
    ] = f"{RunOptions.ttl:g}s",
    lock: Annotated[
        str | None,
        typer.Option("--lock", metavar="URL", help="The store; LIFELINE_LOCK if not given."),
    ] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="Hold no slot: print what others are told.")
    ] = False,
) -> None:
    """Wait for a slot of NAME, hold it, and print each payload as one line of JSON.

    With --listen no slot is taken, and nobody counts it. INT or TERM ends it; exit code 76 if the
    lease is lost.
    """
    url = common.store_url(lock)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # the slot is released when the reader has gone
    try:
        if listen:
            _overhear(name, url, slots)
        else:
            _hold(Lock(name, url, slots=slots, ttl=clock.parse_duration(ttl)))
    except BrokenPipeError:
        raise typer.Exit(EXIT_SIGNAL_BASE + signal.SIGPIPE) from None


def _overhear(name: str, url: str, slots: int) -> NoReturn:
    with Overhearing(name, url, slots) as overheard:
        complain(f"listens to those who hold {name}")
        for slot, payload in overheard:
            _print(slot, None, payload)
    raise AssertionError("there is no end to it")


def _hold(turn: Lock) -> NoReturn:
    try:
        if not turn.acquire_if_free():  # which tells of a store that does not answer
            complain(f"every slot of {turn.name} is taken: waits for one; --listen needs none")
            turn.acquire()
        assert turn.lease is not None, "acquire() without a limit returns with the lease"
        _print_all(turn.lease)
    finally:
        if turn.lease is not None:
            turn.leave(failed=True)
    complain("the lease is lost")
    raise typer.Exit(EXIT_LOST)


def _print_all(lease: Holding) -> None:
    came = lease.signals()
    complain(f"holds slot {lease.slot} of {lease.name}")
    for payload in came:
        _print(lease.slot, lease.fence, payload)


def _print(slot: int, fence: int | None, payload: Payload) -> None:
    common.print_json_line({"slot": slot, "fence": fence, **_data(payload)})
    sys.stdout.flush()


def _data(payload: Payload) -> dict[str, Any]:
    """As text, or else as base64."""
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload": None, "base64": base64.b64encode(payload).decode()}


def _leave(number: int, _frame: object) -> NoReturn:
    raise SystemExit(EXIT_SIGNAL_BASE + number)
