"""Reading everything that the view shows. The fleet's store is asked apart: it may take long."""

from __future__ import annotations

import os
import socket

from .. import clock
from ..config import reading, schedule
from ..config.nexttick import next_tick
from ..config.reading import Config
from ..errors import LifelineError, UsageError
from ..events import lasting_paths
from ..history import Ends, ends
from ..leases.port import Seen
from ..overview import Running, overview
from ..processes import holds
from ..processes.holds import Hold
from ..processes.identity import named
from ..processes.state import State
from .rows import Planned, View, rows


class Local:
    """What is on this host, as it is now; files are read again only once they have changed."""

    def __init__(self) -> None:
        self.state = State()
        self.host = socket.gethostname()
        self._exits: tuple[object, Ends] = (None, Ends())
        self._config: tuple[object, Config | None] = (None, None)

    def look(self) -> Here:
        """Raises StateUnusable, CannotTell."""
        now = clock.wall()
        known = self.state.check()
        notes: list[str] = []
        return Here(
            overview(),
            holds.all_holds(self.state, now) if known else [],
            self._planned(now, notes),
            self._last_exits() if known else Ends(),
            now,
            tuple(notes),
        )

    def _planned(self, now: float, notes: list[str]) -> list[Planned]:
        try:
            config = self._read()
        except LifelineError as error:
            notes.append(str(error))
            return []
        return [_plan(config, name, now) for name in config.entries] if config else []

    def _read(self) -> Config | None:
        from ..config import place

        path = place.find()
        seen = (path, _stamp(os.fsencode(path))) if path else None
        if seen != self._config[0]:
            self._config = (seen, reading.read(path) if path else None)
        return self._config[1]

    def _last_exits(self) -> Ends:
        seen = [_stamp(path) for path in lasting_paths(self.state)]
        if seen != self._exits[0]:
            self._exits = (seen, ends(self.state))
        return self._exits[1]


class Here:
    """What one look at this host has found."""

    def __init__(
        self,
        running: list[Running],
        held: list[Hold],
        planned: list[Planned],
        exits: Ends,
        now: float,
        notes: tuple[str, ...],
    ) -> None:
        self.running = running
        self.held = held
        self.planned = planned
        self.exits = exits
        self.now = now
        self.notes = notes

    def view(self, host: str, leases: list[Seen], fleet: str | None, told: str = "") -> View:
        """Together with the leases of the fleet; `told` is why they cannot be read."""
        found = rows(self.running, self.held, self.planned, leases, host, self.exits)
        notes = (*self.notes, *([told] if told else []))
        return View(found, self.now, host, fleet, notes)


def _plan(config: Config, name: str, now: float) -> Planned:
    entry = config.entries[name]
    identity = named(os.fsencode(entry.called))
    try:
        fields = schedule.fields(entry)
    except UsageError:  # `lifeline config check` says it
        fields = None
    return Planned(name, identity, next_tick(fields, now) if fields else None)


def _stamp(path: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
