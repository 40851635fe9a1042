"""Celery's messages as kombu keeps them in Redis: when they may run, when they were sent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ProbeError
from .eta import message, moment


@dataclass(frozen=True, slots=True)
class Letter:
    """`eta` is when it may run, None for at once; `sent` when it was sent, if it says so."""

    eta: float | None
    sent: float | None


def letter(text: bytes) -> Letter:
    """A message of a list. Raises ProbeError if it is none."""
    return _letter(message(text, "a list of Celery's"))


def _letter(data: Any) -> Letter:
    headers = data.get("headers") if isinstance(data, dict) else None
    if not isinstance(headers, dict):
        raise ProbeError("a list of Celery's holds something that is no message of its")
    eta = headers.get("eta")
    if eta is not None and moment(eta) is None:
        raise ProbeError(f"a message of Celery's has eta = {eta!r:.40}, which is no time")
    sent = headers.get("sent_at")
    if not isinstance(sent, (int, float)) or not math.isfinite(sent):
        sent = None
    return Letter(moment(eta), sent)


@dataclass(frozen=True, slots=True)
class Fetched:
    """What workers have fetched: `lost` ones go to others, `later` ones wait for their eta."""

    lost: int = 0
    busy: int = 0
    later: int = 0


def fetched(
    entries: Sequence[bytes], names: set[str], overdue: Iterable[bytes], now: float, total: int
) -> Fetched:
    """What of `unacked` belongs to the routing keys `names`.

    `entries` are its fields and values in turn; if they are not all of `total`, the rest is
    taken to be like them.
    """
    lost = busy = later = 0
    given_up = set(overdue)
    for tag, text in zip(entries[::2], entries[1::2], strict=True):
        data = message(text, "unacked")
        if not isinstance(data, list) or len(data) < 3:
            raise ProbeError("unacked holds something that is no message of Celery's")
        if data[2] not in names:
            continue
        eta = _letter(data[0]).eta
        if eta is not None and eta > now:
            later += 1
        elif tag in given_up:
            lost += 1
        else:
            busy += 1
    seen = len(entries) // 2
    scale = total / seen if seen else 1.0
    return Fetched(*(math.ceil(count * scale) for count in (lost, busy, later)))
