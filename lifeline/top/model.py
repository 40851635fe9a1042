"""What a person sees of the view and does to it: plain state, changed by keys."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from .rows import ELSEWHERE, RUNNING, STANDBY, STOPPED, Row, View

LIST, HELP, CONFIRM = "list", "help", "confirm"
HOLD, RELEASE, TERMINATE, TERMINATE_AND_HOLD, QUIT = (
    "hold",
    "release",
    "terminate",
    "terminate and hold",
    "quit",
)
_ACTIONS = {"h": HOLD, "r": RELEASE, "t": TERMINATE}


@dataclass(slots=True)
class Model:
    """Which row is chosen, what is being asked, what there is to say."""

    mode: str = LIST
    chosen: Hashable = None
    asked: Row | None = None
    message: str = ""
    _at: int = 0  # where the chosen one was last, for when it goes

    def index(self, view: View) -> int:
        """Which row is chosen; the one in its place if it has gone. 0 without rows."""
        for at, row in enumerate(view.rows):
            if row.key == self.chosen:
                self._at = at
                return at
        self._at = max(0, min(self._at, len(view.rows) - 1))
        return self._at

    def row(self, view: View) -> Row | None:
        """The chosen row."""
        return view.rows[self.index(view)] if view.rows else None

    def press(self, key: str, view: View) -> tuple[str, Row] | str | None:
        """Take in a key. What is to be done: an action and its row, QUIT, or nothing."""
        if key == "q" and self.mode != CONFIRM:
            return QUIT
        if self.mode == HELP:
            self.mode = LIST
            return None
        if self.mode == CONFIRM:
            return self._answered(key)
        self.message = ""
        if key == "?":
            self.mode = HELP
        elif key in ("down", "j", "up", "k", "home", "end"):
            self._move(key, view)
        elif key in _ACTIONS:
            return self._wanted(_ACTIONS[key], view)
        return None

    def _move(self, key: str, view: View) -> None:
        if not view.rows:
            return
        last, at = len(view.rows) - 1, self.index(view)
        steps = {"home": 0, "end": last, "down": at + 1, "j": at + 1, "up": at - 1, "k": at - 1}
        self._at = max(0, min(steps[key], last))
        self.chosen = view.rows[self._at].key

    def _wanted(self, action: str, view: View) -> tuple[str, Row] | None:
        row = self.row(view)
        if row is None:
            return None
        self.chosen = row.key
        if row.state == ELSEWHERE:
            self.message = f"{row.title} runs on {row.host}: it can be changed there"
            return None
        if action == TERMINATE:
            if row.state not in (RUNNING, STANDBY, STOPPED):
                self.message = f"{row.title} does not run"
                return None
            self.mode, self.asked = CONFIRM, row
            return None
        return action, row

    def _answered(self, key: str) -> tuple[str, Row] | None:
        row, self.mode, self.asked = self.asked, LIST, None
        action = {"y": TERMINATE, "h": TERMINATE_AND_HOLD}.get(key)
        if row is None or action is None:
            self.message = "not terminated"
            return None
        return action, row
