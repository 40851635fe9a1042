"""Ending what a runner has left, when it died or hangs."""

from __future__ import annotations

from collections.abc import Callable

from ..processes.look import Traces, of_run
from ..processes.table import Process, open_table, snapshot, visible
from ..processes.tree import Ending
from ..supervision.loop import Loop

_STEP = 0.05  # seconds between looks at what is being ended


class Aftermath:
    """The job, as the runner named it, and its end."""

    def __init__(self) -> None:
        self._table = open_table()
        self._traces: Traces | None = None
        self._known: dict[Process, None] = {}
        self.is_running = False

    def know(self, pid: int, run: bytes) -> None:
        """The job leads session `pid`; `run` is in the environment of all that it starts."""
        facts = visible(self._table, pid)
        job = facts.process if facts else None
        self._traces = Traces(job, pid, self._table.session_mark(pid), run)

    def begin(self, loop: Loop, grace: float, over: Callable[[bool], None]) -> None:
        """TERM, KILL after `grace` seconds; then `over(True)`, or False if somebody cannot go."""
        self.is_running = True
        ending = Ending(self._table, self._find, grace)

        def step() -> None:
            if ending.step():
                over(not ending.living)
            else:
                loop.after(_STEP, step)

        step()

    def _find(self) -> list[Process]:
        """It remembers: one whose environment is gone was of the run all the same."""
        if self._traces:
            everybody = snapshot(self._table)
            found = of_run(self._table, everybody, self._traces, "the run", self._known)
            self._known.update(dict.fromkeys(found))
        return list(self._known)
