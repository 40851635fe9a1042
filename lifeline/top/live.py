"""The loop between a person and the view: draw, wait, do."""

from __future__ import annotations

import threading

from ..errors import LifelineError
from .actions import act
from .draw import draw
from .keys import Keys
from .model import QUIT, TERMINATE, TERMINATE_AND_HOLD, Model
from .rows import Row
from .screen import Screen
from .watch import Watch


class Deeds:
    """What was asked for and goes on beside the view; at most one for each lifeline."""

    def __init__(self, model: Model, watch: Watch) -> None:
        self._model = model
        self._watch = watch
        self._going: dict[str, threading.Thread] = {}

    @property
    def going(self) -> list[str]:
        """Titles of what is being ended."""
        return [title for title, thread in self._going.items() if thread.is_alive()]

    def begin(self, action: str, row: Row) -> None:
        """Do it: an end beside the view, because it may take its grace; the others at once."""
        if action not in (TERMINATE, TERMINATE_AND_HOLD):
            self._do(action, row)
        elif row.title in self.going:
            self._model.message = f"{row.title} is being ended"
        else:
            self._model.message = f"ending {row.title} …"
            # No daemon: KILL comes after the grace even if the view is left meanwhile.
            thread = threading.Thread(target=self._do, args=(action, row))
            self._going[row.title] = thread
            thread.start()

    def _do(self, action: str, row: Row) -> None:
        try:
            told = act(action, row)
        except (LifelineError, OSError) as error:
            told = str(error)
        self._model.message = told
        self._watch.soon()
        self._watch.woken()


def live(watch: Watch) -> tuple[int, list[str]]:
    """Show the view until it is left: the exit code, and titles of what is still being ended."""
    model, keys = Model(), Keys()
    deeds = Deeds(model, watch)
    with Screen() as screen:
        watch.begin(screen.wake)
        while True:
            view = watch.view()
            screen.show(draw(view, model, *screen.size()))
            typed, code = screen.wait(keys.pending)
            if code is not None:
                return code, deeds.going
            for key in keys.feed(typed) if typed else keys.flush():
                wish = model.press(key, view)
                if wish == QUIT:
                    return 0, deeds.going
                if isinstance(wish, tuple):
                    deeds.begin(*wish)
