"""Looking once a second, beside the terminal: neither a slow store nor a long end stops the keys.

Threads publish by one assignment each; whoever draws is woken by a byte in a pipe.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

from ..errors import LifelineError, StateUnusable
from ..leases.port import Backend, Seen
from .gather import Here, Local
from .rows import View

_EVERY = 1.0  # seconds


class Watch:
    """What is seen of this host and, if there is a store, of the fleet."""

    def __init__(self, store: Backend | None = None, url: str | None = None) -> None:
        """Looks once at this host. Raises StateUnusable, CannotTell."""
        self._local = Local()
        self._store, self._url = store, url
        self._here: Here = self._local.look()
        self._leases: list[Seen] = []
        self._told = "" if store is None else "the store has not answered yet"
        self._blind = ""  # why this host cannot be seen any more
        self._failure: BaseException | None = None
        self._soon = threading.Event()
        self._wake: int | None = None

    def ask_fleet(self) -> None:
        """One look at the store, here and now. A store that fails is told of in the view."""
        if self._store is None:
            return
        try:
            self._leases, self._told = self._store.holders(), ""
        except LifelineError as error:
            self._told = f"as the store was last seen: {error}" if self._leases else str(error)

    def view(self) -> View:
        """What is known in this moment. Raises what a look has raised and nobody expected."""
        if self._failure:
            raise self._failure
        found = self._here.view(self._local.host, self._leases, self._url, self._told)
        if not self._blind:
            return found
        return View(found.rows, found.now, found.host, found.fleet, (*found.notes, self._blind))

    def begin(self, wake: int) -> None:
        """Go on looking, and write to `wake` whenever there is something new."""
        self._wake = wake
        self._start(self._look)
        if self._store is not None:
            self._start(self.ask_fleet)

    def soon(self) -> None:
        """Look again now."""
        self._soon.set()

    def woken(self) -> None:
        """Have the view drawn again."""
        if self._wake is not None:
            with suppress(OSError):  # full, or closed at the end
                os.write(self._wake, b"\0")

    def _look(self) -> None:
        try:
            self._here, self._blind = self._local.look(), ""
        except (LifelineError, OSError) as error:
            kind = "" if isinstance(error, StateUnusable) else "cannot look: "
            self._blind = f"{kind}{error}"

    def _start(self, look: Callable[[], None]) -> None:
        def go_on() -> None:
            pause = threading.Event() if look == self.ask_fleet else self._soon
            try:
                while True:
                    look()
                    self.woken()
                    pause.wait(_EVERY)
                    pause.clear()
            except BaseException as error:  # the drawing thread raises it
                self._failure = error
                self.woken()

        threading.Thread(target=go_on, daemon=True).start()
