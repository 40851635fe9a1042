"""What the view shows, as plain data: a row for each lifeline, here or elsewhere in the fleet."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from ..errors import show, show_words
from ..history import Ends
from ..lease_names import lease_name
from ..leases.port import Seen
from ..overview import Running
from ..processes.holds import Hold
from ..processes.identity import Identity

RUNNING, STANDBY, STOPPED = "running", "stands by", "stopped"
HELD, OFF, ELSEWHERE = "held", "off", "elsewhere"


@dataclass(frozen=True, slots=True)
class Planned:
    """A lifeline of the configuration: the entry's name, and what it is among processes.

    `next_tick` is in wall seconds, None if it has no schedule or never comes.
    """

    entry: str
    identity: Identity
    next_tick: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One lifeline. `identity` is None for one that runs elsewhere: it can only be looked at.

    `since` and `next_tick` are wall seconds, `memory` bytes; None where it does not apply.
    """

    title: str
    state: str
    identity: Identity | None = None
    entry: str | None = None
    host: str = ""
    pid: int | None = None
    since: float | None = None
    restarts: int | None = None
    memory: int | None = None
    slot: str = ""
    fence: int | None = None
    last_exit: int | None = None
    next_tick: float | None = None
    hold: Hold | None = None

    @property
    def key(self) -> Hashable:
        """What stays the same from one second to the next, also over a restart."""
        if self.identity is None:
            return self.host, self.title, self.slot
        # Several runs of one command are on a host only where they have slots.
        return self.identity.words, self.identity.environment, self.slot


@dataclass(frozen=True, slots=True)
class View:
    """Everything at one moment; `notes` say what could not be seen, `fleet` is the store's URL."""

    rows: tuple[Row, ...]
    now: float
    host: str
    fleet: str | None = None
    notes: tuple[str, ...] = field(default=())


def title(identity: Identity, argv: tuple[bytes, ...] = ()) -> str:
    """A name, or the command as a person would type it."""
    if identity.name is not None:
        return show(identity.name)
    return show_words(argv or identity.words[1:])


def rows(
    running: list[Running],
    held: list[Hold],
    planned: list[Planned],
    leases: list[Seen],
    host: str,
    exits: Ends,
) -> tuple[Row, ...]:
    """A row for each lifeline that runs, is held, is planned here, or has a lease elsewhere.

    Sorted by title, those of this host first.
    """
    found = [_running(each) for each in running]
    found += [
        Row(title(each.identity), HELD, each.identity, since=each.since)
        for each in held
        if not _has(found, each.identity)
    ]
    found += [
        Row(title(each.identity), OFF, each.identity)
        for each in planned
        if not _has(found, each.identity)
    ]
    found = [_completed(row, held, planned, exits) for row in found]
    left = [seen for seen in leases if seen.owner]
    for at, row in enumerate(found):
        mine = next((seen for seen in left if _is_of(seen, row, host)), None)
        if mine:
            left.remove(mine)
            found[at] = replace(row, slot=_slot(mine), fence=mine.fence)
    found += [_elsewhere(seen) for seen in left]
    return tuple(sorted(found, key=lambda row: (row.host, row.title, row.slot, row.pid or 0)))


def _running(each: Running) -> Row:
    state = STOPPED if each.stopped else STANDBY if each.standby else RUNNING
    return Row(
        title(each.identity, each.argv),
        state,
        each.identity,
        pid=each.process.pid,
        since=each.since,
        restarts=each.restarts,
        memory=each.memory,
        last_exit=each.last_exit,
    )


def _has(found: list[Row], identity: Identity) -> bool:
    return any(row.identity and row.identity.same_command(identity) for row in found)


def _completed(row: Row, held: list[Hold], planned: list[Planned], exits: Ends) -> Row:
    assert row.identity is not None
    plan = next((p for p in planned if p.identity.same_command(row.identity)), None)
    last = exits.code(row.identity, row.pid, row.since or 0.0)
    return replace(
        row,
        hold=next((h for h in held if h.identity.same_command(row.identity)), None),
        entry=plan.entry if plan else None,
        next_tick=plan.next_tick if plan else None,
        last_exit=row.last_exit if last is None else last,
    )


def _is_of(seen: Seen, row: Row, host: str) -> bool:
    return (
        row.identity is not None
        and seen.info.get("host") == host
        and seen.info.get("pid") == row.pid
        and seen.name == lease_name(row.identity)
    )


def _elsewhere(seen: Seen) -> Row:
    since, pid = seen.info.get("since"), seen.info.get("pid")
    return Row(
        show(seen.name.encode("utf-8", "replace")),
        ELSEWHERE,
        host=show(str(seen.info.get("host", "?")).encode("utf-8", "replace"), 60),
        pid=pid if isinstance(pid, int) else None,
        since=float(since) if isinstance(since, (int, float)) else None,
        slot=_slot(seen),
        fence=seen.fence,
    )


def _slot(seen: Seen) -> str:
    return f"{seen.slot} of {seen.slots}"
