"""What is true now, each part read by itself: one that fails does not silence the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .. import clock
from ..errors import LifelineError
from ..leases.port import Backend, Seen
from ..overview import Running, overview
from ..processes import holds
from ..processes.holds import Hold
from ..processes.state import State
from ..scaling.known import Known, known_scalers
from .totals import Total, count


@dataclass(slots=True)
class Samples:
    """One moment. `failed` maps a source that could not be read to the reason."""

    now: float
    running: list[Running] = field(default_factory=list)
    held: list[Hold] = field(default_factory=list)
    totals: dict[str, Total] = field(default_factory=dict)
    scalers: list[Known] = field(default_factory=list)
    leases: list[Seen] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


def take(store: Backend | None = None) -> Samples:
    """Everything there is to tell, with the leases of `store`."""
    state, now = State(), clock.wall()
    taken = Samples(now)

    def read_state() -> None:
        if state.check():
            taken.held = holds.all_holds(state, now)
            taken.scalers = known_scalers(state)

    def read_leases() -> None:
        if store is not None:
            taken.leases = [seen for seen in store.holders() if seen.owner]

    def read_processes() -> None:
        taken.running = overview()

    def read_history() -> None:
        taken.totals = count(state)

    sources: dict[str, Callable[[], None]] = {
        "history": read_history,
        "processes": read_processes,
        "state": read_state,
    }
    if store is not None:
        sources["lock"] = read_leases
    for name, read in sources.items():
        try:
            read()
        except (LifelineError, OSError) as error:
            taken.failed[name] = str(error)
    taken.sources = tuple(sources)
    return taken
