"""Ticking for ever: each scaler in a thread of its own, so that a slow one delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from ..errors import LeaseLost, LifelineError
from .scaler import Scaler


def run(
    scalers: Sequence[Scaler],
    stop: threading.Event,
    tell: Callable[[Scaler, Exception], None],
    wait: Callable[[Scaler], bool] = lambda _: True,
) -> None:
    """Tick each scaler every `every` seconds, as soon as `wait` lets it, until `stop` is set.

    `wait` is called in the scaler's own thread; false means that it is not to tick at all. What a
    tick raises is told, and the next one tried; only a lost lease, and what is no error of
    lifeline's own, ends it all and is raised.
    """
    ends: list[BaseException] = []
    threads = [
        threading.Thread(target=_run_one, args=(each, stop, tell, wait, ends), daemon=True)
        for each in scalers
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join()
    if ends:
        raise ends[0]


def _run_one(
    scaler: Scaler,
    stop: threading.Event,
    tell: Callable[[Scaler, Exception], None],
    wait: Callable[[Scaler], bool],
    ends: list[BaseException],
) -> None:
    try:
        if wait(scaler):
            _tick(scaler, stop, tell)
    except BaseException as error:
        ends.append(error)
        stop.set()


def _tick(scaler: Scaler, stop: threading.Event, tell: Callable[[Scaler, Exception], None]) -> None:
    due = time.monotonic()
    while not stop.is_set():
        try:
            scaler.tick()
        except LeaseLost:
            raise
        except LifelineError as error:
            tell(scaler, error)
        due = max(due + scaler.policy.every, time.monotonic())
        stop.wait(due - time.monotonic())
