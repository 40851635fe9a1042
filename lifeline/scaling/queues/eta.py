"""Messages that name the time before which they must not run, among others that do not."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ..errors import ProbeError


@dataclass(frozen=True, slots=True)
class Split:
    """How many of `total` messages are due, judged by those that were looked into."""

    due: int
    future: int
    exact: bool


def split(etas: Iterable[float | None], total: int, now: float) -> Split:
    """Due and future ones among `total`, from the times (seconds since the epoch) of some.

    What was not looked into is shared out in the same proportion, rounded towards due: to wait
    for a job that is due costs more than to start a worker for one that is not.
    """
    seen = list(etas)
    future = sum(1 for eta in seen if eta is not None and eta > now)
    unseen = max(0, total - len(seen))
    if not unseen:
        return Split(len(seen) - future, future, True)
    more = math.floor(unseen * future / len(seen)) if seen else 0
    return Split(total - future - more, future + more, False)


def message(text: bytes, what: str) -> Any:
    """A message from JSON. Raises ProbeError if it is none."""
    try:
        return json.loads(text)
    except ValueError:
        raise ProbeError(f"{what} holds a message that is no JSON") from None


def moment(text: object) -> float | None:
    """Seconds since the epoch of an ISO 8601 time, in UTC if it names no zone; None if it is none.

    Python before 3.11 does not read the Z that stands for UTC.
    """
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
