"""Ending what a runner has left, when it died or hangs."""

from __future__ import annotations

from collections.abc import Callable

from ..processes.look import of_run
from ..processes.table import Process, open_table, visible
from ..processes.tree import Ending
from ..supervision.loop import Loop

_STEP = 0.05  # seconds between looks at what is being ended


class Aftermath:
    """The job, as the runner named it, and its end."""

    def __init__(self) -> None:
        self._table = open_table()
        self._job: Process | None = None
        self._session = 0
        self._run = b""
        self._known: dict[Process, None] = {}
        self.is_running = False

    def know(self, pid: int, run: bytes) -> None:
        """The job leads session `pid`; `run` is in the environment of all that it starts."""
        facts = visible(self._table, pid)
        self._job = facts.process if facts else None
        self._session, self._run = pid, run

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
        if self._session:
            found = of_run(self._table, self._job, self._session, self._run, "the run")
            self._known.update(dict.fromkeys(found))
        return list(self._known)
