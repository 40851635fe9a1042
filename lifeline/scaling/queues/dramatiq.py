"""Dramatiq on Redis: a list of message ids for each queue, another (`.DQ`) for delayed messages.

A delayed message counts as ready from its `eta` on, whether it still lies in the list or a worker
holds it. What a worker has fetched is in its set of unacknowledged ids; once its heartbeat is older
than `heartbeat_timeout`, Dramatiq gives that to others, so it counts as ready again.
Evidence that a queue exists: any of its keys. An empty queue leaves none, see `allow_missing`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...clock import wall
from .. import checking
from ..errors import ProbeError
from ..sample import Sample, total
from . import settings
from .eta import message, split
from .keys import Ask, Keys

_HEARTBEAT_TIMEOUT = 60.0  # seconds, Dramatiq's own


class Dramatiq:
    """Counts the messages of `queues`, looking into `peek` delayed ones of each."""

    def __init__(
        self, keys: Keys, queues: tuple[str, ...], namespace: str, peek: int, heartbeat: float
    ) -> None:
        self._keys = keys
        self._queues = queues
        self._namespace = namespace
        self._peek = peek
        self._heartbeat = heartbeat

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        with self._keys.open() as ask:
            now = wall()
            oldest = (now - self._heartbeat) * 1000
            (found,) = ask(("ZRANGE", f"{self._namespace}:__heartbeats__", 0, -1, "WITHSCORES"))
            beats = zip(found[::2], map(float, found[1::2]), strict=True)
            workers = {worker: beat > oldest for worker, beat in beats}
            return total([self._look(ask, queue, workers, now) for queue in self._queues])

    def _look(self, ask: Ask, queue: str, workers: dict[bytes, bool], now: float) -> Sample:
        base = f"{self._namespace}:{queue}"
        waiting, first, delayed, some, traces, *held = ask(
            ("LLEN", base),
            ("LINDEX", base, 0),
            ("HLEN", f"{base}.DQ.msgs"),
            ("HRANDFIELD", f"{base}.DQ.msgs", self._peek, "WITHVALUES"),
            ("EXISTS", base, f"{base}.msgs", f"{base}.DQ", f"{base}.DQ.msgs", f"{base}.XQ"),
            *(("SCARD", self._acks(worker, queue)) for worker in workers),
        )
        self._keys.require(queue, traces)
        later = split((_eta(each, base) for each in some[1::2]), delayed, now)
        busy = sum(count for count, alive in zip(held, workers.values(), strict=True) if alive)
        age = self._age(ask, base, first, now) if first is not None else None
        left = sum(held) - busy  # by workers that are gone
        return Sample(waiting + later.due + left, busy, later.future, age, later.exact)

    def _acks(self, worker: bytes, queue: str) -> bytes:
        return f"{self._namespace}:__acks__.".encode() + worker + f".{queue}".encode()

    def _age(self, ask: Ask, base: str, first: bytes, now: float) -> float | None:
        """Of the message that is next. A retry or a delay keeps the first time of all."""
        (text,) = ask(("HGET", f"{base}.msgs", first))
        if text is None:  # taken and done meanwhile
            return None
        born = message(text, base).get("message_timestamp")
        return max(0.0, now - born / 1000) if isinstance(born, (int, float)) else None


def _eta(text: bytes, base: str) -> float | None:
    try:
        eta = message(text, f"{base}.DQ.msgs")["options"].get("eta")
        return None if eta is None else float(eta) / 1000
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ProbeError(f"{base}.DQ.msgs holds something that is no message") from None


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for Dramatiq: `url`, `queues` (default), `namespace`, `heartbeat_timeout`, `peek`,
    `allow_missing`, `timeout`."""
    names = ("url", "queues", "namespace", "heartbeat_timeout", "peek", "allow_missing")
    settings.known(options, *names)
    heartbeat = options.get("heartbeat_timeout", _HEARTBEAT_TIMEOUT)
    return Dramatiq(
        Keys(options),
        settings.queues(options, "default"),
        settings.plain(options, "namespace", "dramatiq"),
        settings.peek(options),
        checking.some_seconds("heartbeat_timeout", heartbeat),
    )
