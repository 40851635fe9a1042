"""Celery with Redis as its broker: one list for each queue and priority, and a hash `unacked`.

A message with an `eta` in the future is not ready, wherever it lies. A worker holds such messages
and those that it has fetched ahead in `unacked`; what stays there longer than the visibility
timeout is given to others, so it counts as ready again. By default a task is acknowledged when it
starts: running ones are in no key. Workers tell how many run in their heartbeats, and the probe
listens to those.
Evidence that a queue exists: kombu writes its binding when it is first declared, and keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...clock import wall
from .. import checking
from ..checking import BadOption
from ..sample import Sample
from . import settings
from .celery_messages import fetched, letter
from .eta import split
from .heartbeats import Heartbeats
from .keys import Ask, Keys

_VISIBILITY = 3600.0  # seconds, kombu's own
_LISTEN = 2.5  # seconds: a worker beats every 2 s


@dataclass(frozen=True, slots=True)
class Layout:
    """How kombu names its keys: its transport options `global_keyprefix`, `sep`, `priority_steps`.

    `exchange` is where the queues are bound, beside the exchange that has a queue's own name.
    """

    prefix: str = ""
    separator: str = "\x06\x16"
    steps: tuple[int, ...] = (0, 3, 6, 9)
    exchange: str = "celery"

    def lists(self, queue: str) -> list[str]:
        """The key of each priority, the most urgent first."""
        ends = [f"{self.separator}{step}" if step else "" for step in self.steps]
        return [f"{self.prefix}{queue}{end}" for end in ends]

    def bindings(self, queue: str) -> list[str]:
        names = dict.fromkeys((self.exchange, queue))
        return [f"{self.prefix}_kombu.binding.{name}" for name in names]


class CeleryRedis:
    """Counts the messages of `queues`; looks into the first `peek` of each list, and of `unacked`.

    If there are more, the sample is not exact. `visibility` is in seconds.
    """

    def __init__(
        self,
        keys: Keys,
        queues: tuple[str, ...],
        layout: Layout,
        peek: int,
        visibility: float,
        heartbeats: Heartbeats | None,
    ) -> None:
        self._keys = keys
        self._queues = queues
        self._layout = layout
        self._peek = peek
        self._visibility = visibility
        self._heartbeats = heartbeats

    def __call__(self) -> Sample:
        """Raises ProbeError. Takes as long as it listens to heartbeats."""
        with self._keys.open() as ask:
            found = self._look(ask, self._names(ask))
        if self._heartbeats is None:
            return found
        busy = found.busy + self._heartbeats.running()
        return Sample(found.ready, busy, found.future, found.oldest_age, found.exact)

    def _names(self, ask: Ask) -> set[str]:
        """The routing keys of our queues. Raises ProbeError for a queue without a trace."""
        names = set(self._queues)
        for queue in self._queues:
            lists, bindings = self._layout.lists(queue), self._layout.bindings(queue)
            traces, *tables = ask(("EXISTS", *lists), *(("SMEMBERS", key) for key in bindings))
            members = [member.decode("utf-8", "replace") for table in tables for member in table]
            ours = [each for each in members if each.endswith(self._layout.separator + queue)]
            self._keys.require(queue, traces or ours)
            names.update(each.partition(self._layout.separator)[0] for each in ours)
        return names

    def _look(self, ask: Ask, names: set[str]) -> Sample:
        now, prefix = wall(), self._layout.prefix
        lists = [key for queue in self._queues for key in self._layout.lists(queue)]
        total, entries, overdue, *replies = ask(
            ("HLEN", f"{prefix}unacked"),
            ("HRANDFIELD", f"{prefix}unacked", self._peek, "WITHVALUES"),
            ("ZRANGEBYSCORE", f"{prefix}unacked_index", "-inf", now - self._visibility),
            *(("LLEN", key) for key in lists),
            *(("LRANGE", key, -self._peek, -1) for key in lists),
        )
        waiting = self._waiting(replies[: len(lists)], replies[len(lists) :], now)
        taken = fetched(entries, names, overdue, now, total)
        return Sample(
            ready=waiting.ready + taken.lost,
            busy=taken.busy,
            future=waiting.future + taken.later,
            oldest_age=waiting.oldest_age,
            exact=waiting.exact and total <= self._peek,
        )

    def _waiting(self, lengths: Sequence[int], parts: Sequence[list[bytes]], now: float) -> Sample:
        letters = [[letter(text) for text in part] for part in parts]
        splits = [
            split([each.eta for each in some], length, now)
            for some, length in zip(letters, lengths, strict=True)
        ]
        sent = [
            max(each.sent, each.eta or 0.0)
            for some in letters
            for each in some
            if each.sent is not None and (each.eta is None or each.eta <= now)
        ]
        return Sample(
            ready=sum(each.due for each in splits),
            future=sum(each.future for each in splits),
            oldest_age=max(0.0, now - min(sent)) if sent else None,
            exact=all(each.exact for each in splits),
        )


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for Celery: `url`, `queues` (celery), `exchange`, `prefix`, `sep`, `priority_steps`,
    `visibility_timeout`, `listen`, `workers`, `peek`, `allow_missing`, `timeout`."""
    names = ("url", "queues", "exchange", "prefix", "sep", "priority_steps", "visibility_timeout")
    settings.known(options, *names, "listen", "workers", "peek", "allow_missing")
    keys, prefix = Keys(options), settings.plain(options, "prefix", "")
    listen = checking.seconds("listen", options.get("listen", _LISTEN))
    workers = settings.plain(options, "workers", "*")
    visibility = options.get("visibility_timeout", _VISIBILITY)
    return CeleryRedis(
        keys,
        settings.queues(options, "celery"),
        _layout(options, prefix),
        settings.peek(options),
        checking.some_seconds("visibility_timeout", visibility),
        Heartbeats(keys, prefix, listen, workers) if listen else None,
    )


def _layout(options: settings.Options, prefix: str) -> Layout:
    usual = Layout()
    steps = options.get("priority_steps", usual.steps)
    if not isinstance(steps, (list, tuple)) or not steps:
        raise BadOption(("priority_steps",), "priority_steps is a list of numbers: [0, 3, 6, 9]")
    return Layout(
        prefix,
        settings.plain(options, "sep", usual.separator),
        tuple(checking.count("priority_steps", step) for step in steps),
        settings.plain(options, "exchange", usual.exchange),
    )
