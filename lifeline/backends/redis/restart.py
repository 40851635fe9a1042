"""Servers that may have forgotten leases: how long their grants do not count.

They forget when they start without every write on disk, and when they are emptied (FLUSHALL).
What a lease's holder was promised before has run out once the server's run and its data set are
as old as the lease's ttl. Ages are whole seconds, rounded down, so a wait is never too short.
"""

from __future__ import annotations

from typing import Any

from ...errors import StoreRefused
from ...leases.port import Granted, Request, Taken
from . import calls
from .line import Line, Server
from .scripts import Call, Keys
from .url import Place


def acquire(
    line: Line, keys: Keys, request: Request, order: tuple[int, ...] | None = None, least: int = 0
) -> Call:
    """Asks for a lease, and for the age of what the answer rests on. The line is open."""
    place, server = line.place, line.server
    age = "none"
    if place.restart_delay != 0:
        is_young = not server.durable and _uptime(place, server) < _delay(place, request.ttl)
        age = "server" if is_young else "data"
    run = server.run
    return calls.acquire(keys, request, run, order=order, least=least, age=age)


def answered(line: Line, reply: Any, request: Request) -> Granted | Taken:
    """What the reply to `acquire` says. Raises SlotsMismatch, StoreRefused."""
    answer, age = calls.granted(reply, request, line.place.label)
    if age < 0 or isinstance(answer, Taken):
        return answer
    line.server.uptime = max(line.server.uptime or 0, age)  # it is at least as old as its data
    wait = _delay(line.place, request.ttl) - age
    return Granted(answer.slot, answer.fence, wait=max(0.0, wait))


def _delay(place: Place, ttl: float) -> float:
    """Seconds that server and data must have been there before work may begin under a grant."""
    return ttl if place.restart_delay is None else place.restart_delay


def _uptime(place: Place, server: Server) -> int:
    """Seconds since the server's start, as last heard. Raises StoreRefused if it does not tell."""
    if server.uptime is None:
        raise StoreRefused(
            f"{place.label}: this user may not run INFO, so a restart would not be noticed; "
            "allow it (ACL SETUSER … +info), or accept that with ?restart_delay=0"
        )
    return server.uptime


def expected_run(server: Server) -> str:
    """The run that a claim must be of; "" if any will do, for nothing was lost in between."""
    return "" if server.durable else server.run
