"""The verbs of the store, one after the other in a thread of their own: none holds the loop up.

However long a store takes, the job of a runner that hangs is ended in time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from ..errors import LifelineError, StoreError
from ..leases.shared import fault
from ..supervision.loop import Loop

Then = Callable[[Any], None]  # called in the loop with what the verb gave, or its LifelineError


class Verbs:
    """Asks, and has the answers in the loop."""

    def __init__(self, loop: Loop) -> None:
        self._asked: SimpleQueue[tuple[Callable[[], Any], Then]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, Then]] = SimpleQueue()
        self._heard, self._bell = os.pipe()
        loop.watch(self._heard, self._pass_on)
        threading.Thread(target=self._run, name="lifeline verbs", daemon=True).start()

    def ask(self, verb: Callable[[], Any], then: Then) -> None:
        """Call `verb` after those that were asked before, then `then` in the loop."""
        self._asked.put((verb, then))

    def _run(self) -> None:
        while True:
            verb, then = self._asked.get()
            try:
                answer = verb()
            except LifelineError as error:
                answer = error
            except BaseException as error:  # nothing ends this thread, or nothing would be released
                answer = StoreError(f"the store's driver failed: {fault(error)}")
            self._answers.put((answer, then))
            os.write(self._bell, b".")

    def _pass_on(self) -> None:
        os.read(self._heard, 1)
        answer, then = self._answers.get()
        then(answer)
