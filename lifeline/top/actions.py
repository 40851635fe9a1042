"""What the view does to a lifeline: the same as the verbs of these names."""

from __future__ import annotations

from .. import events
from ..clock import parse_duration
from ..config import names
from ..ending import end_running
from ..holding import hold, holding, release
from ..processes.identity import Identity
from ..processes.state import State
from ..processes.table import open_table
from .model import HOLD, RELEASE, TERMINATE_AND_HOLD
from .rows import Row

_REASON = "by hand in lifeline top"


def act(action: str, row: Row) -> str:
    """Do it; a sentence that says what was done. Raises LifelineError. May take the grace."""
    assert row.identity is not None
    state = State()
    if action == HOLD:
        hold(state, row.identity, None, _REASON)
        return f"held: {row.title}; what runs goes on running"
    if action == RELEASE:
        released = release(state, row.identity)
        return f"{'released' if released else 'was not held'}: {row.title}"
    if action == TERMINATE_AND_HOLD:
        # Before looking, or a tick could start it in between.
        with holding(state, row.identity, None, _REASON):
            return _terminate(state, row, row.identity)
    return _terminate(state, row, row.identity)


def _terminate(state: State, row: Row, identity: Identity) -> str:
    grace = row.entry and names.option(row.entry, "grace")
    ended = end_running(open_table(), state, identity, parse_duration(grace) if grace else None)
    if ended:
        events.append(state, "terminate", identity, pid=ended[0].process.pid, ended=len(ended))
    left = [each for each in ended if not each.gone]
    if left:
        return f"{row.title}: pid {left[0].process.pid} {left[0].reason}"
    killed = sum(each.signal == "KILL" for each in ended)
    with_force = f", {killed} by KILL" if killed else ""
    return f"ended: {row.title} ({len(ended)} processes{with_force})" if ended else "nothing ran"
