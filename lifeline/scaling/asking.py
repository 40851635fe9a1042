"""Asking all probes at once, each for so long at most. What fails becomes a Failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from ..errors import LifelineError, show
from .sample import Failure, Reading, sample_of

Probe = Callable[[], object]
_LONGEST_REASON = 200  # characters


class Asker:
    """Asks probes in parallel. One that hangs is not asked again until it has come back.

    Threads are daemons: a probe that never returns keeps no process from ending.
    """

    def __init__(self, probes: Sequence[Probe], timeout: float) -> None:
        self._probes = probes
        self._timeout = timeout
        self._running: dict[int, threading.Thread] = {}

    def ask(self) -> tuple[Reading, ...]:
        """The answer of each probe, in their order, after `timeout` seconds at most."""
        answers: dict[int, Reading] = {}
        started = []
        for at, probe in enumerate(self._probes):
            if at in self._running and self._running[at].is_alive():
                continue
            work = (probe, answers, at)
            thread = threading.Thread(target=_ask_one, args=work, daemon=True, name="probe")
            self._running[at] = thread
            thread.start()
            started.append(thread)
        deadline = time.monotonic() + self._timeout
        for thread in started:
            thread.join(max(0.0, deadline - time.monotonic()))
        silent = Failure(f"no answer within {self._timeout:g} s")
        # A late answer goes into a dictionary that nobody reads any more.
        found = dict(answers)
        return tuple(found.get(at, silent) for at in range(len(self._probes)))


def _ask_one(probe: Probe, answers: dict[int, Reading], at: int) -> None:
    try:
        answers[at] = sample_of(probe())
    except Exception as error:
        answers[at] = Failure(reason_of(error))


def reason_of(error: Exception) -> str:
    """One line for an error. What other libraries say may hold a password, so only ours is shown.

    Their errors are told by type; a probe that knows better raises ProbeError.
    """
    if isinstance(error, LifelineError):
        return show(str(error).encode("utf-8", "backslashreplace"), _LONGEST_REASON)
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {show(error.strerror.encode(), _LONGEST_REASON)}"
    return f"{type(error).__name__}"
