"""Without the table: what can be known of a hand-over from the NOTIFYs that were heard.

The holder before has ended if the last thing that this session heard of the slot is its release:
acquisitions are told as well, and a session has heard all that was committed before its own
statement was answered.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import SlotsMismatch
from ...leases.port import Claim, Granted, Request, Seen, Taken
from . import rows as pg_rows
from .session import Rows, Session, Statement
from .url import Target


class Heard:
    """What was told on one session of the slots whose names it listens to."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._released: dict[tuple[str, str], bool] = {}

    def listen(self, session: Session, name: str) -> None:
        session.run(Statement(f"LISTEN {pg_rows.channel(self._target, name)}"))

    def wait(self, session: Session, request: Request, slot: int) -> float:
        """Seconds until the holder before is gone for certain, once the slot is granted."""
        for notice in session.notices():
            what, _, which = notice.payload.partition(" ")
            if what == "free" or notice.pid != session.backend_pid:
                self._released[notice.channel, which] = what == "free"
        place = pg_rows.channel(self._target, request.name), str(slot)
        known = self._released.get(place, False)
        self._released[place] = False
        return 0.0 if known else request.ttl

    def clear(self) -> None:
        self._released.clear()


def outcome(request: Request, rows: Rows, own: Sequence[Claim] = ()) -> Granted | Taken:
    """What the rows of an acquisition without a table say; `own` are this session's claims.

    Raises SlotsMismatch.
    """
    seen = []
    for kind, slot, number, _ in rows:
        if kind == "granted":
            return Granted(pg_rows.number(slot), pg_rows.number(number))
        if kind == "wrong":
            raise SlotsMismatch(request.name, pg_rows.number(slot), request.slots)
        seen.append(unknown(request.name, slot, request.slots, number))
    return Taken((*seen, *map(known, own)))


def unknown(name: str, slot: str | None, slots: int, pid: str | None) -> Seen:
    """Somebody holds the slot: all that the server's locks tell is whose session it is."""
    info = {"backend": pg_rows.number(pid)}
    return Seen(name, pg_rows.number(slot), slots, f"session {pid}", 0, 0.0, info)


def known(claim: Claim) -> Seen:
    """A claim of our own."""
    return Seen(
        claim.name, claim.slot, claim.slots, claim.owner, claim.fence, claim.ttl, claim.info
    )


def asked(sql: str, target: Target, request: Request, order: list[int]) -> Statement:
    keys = [pg_rows.slot_key(target, request.name, slot) for slot in order]
    count = pg_rows.count_key(target, request.name, request.slots)
    return Statement(sql, (pg_rows.array(keys), pg_rows.array(map(str, order)), *count))
