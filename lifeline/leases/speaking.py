"""signal(): say something to whoever holds a lease."""

from __future__ import annotations

import re
from functools import partial

from ..errors import UsageError
from ..signals.payload import check_payload
from ..signals.sender import Holder
from .named import check_lease_name
from .shared import SharedStore, store_at

_OWNER = re.compile(r"[0-9a-f]{32}\Z")


def signal(
    name: str,
    payload: bytes | str = b"",
    store: str | None = None,
    slot: int | None = None,
    wait: float | None = None,
    acknowledge: bool = False,
) -> int:
    """Send `payload` to each holder of `name`, or that of one `slot`: how many have heard it.

    At most once: whoever does not answer within `wait` seconds (1, or 7 with DynamoDB) is not
    counted, whether it has heard or not. With `acknowledge` at least once: holders are called again
    until each has taken the payload, or until `wait` (10 or 20) is over. Those that `signals()` or
    `watch()` it take it. What one thread sends arrives in its order.

    Raises UsageError if the payload is larger than 7000 bytes, StoreError if the store says no or
    does not answer.
    """
    if slot is not None and slot < 0:
        raise UsageError(f"slots are counted from 0, and there is no {slot}")
    if wait is not None and not 0 <= wait < float("inf"):
        raise UsageError("to wait takes a number of seconds")
    content, shared = check_payload(payload), store_at(store)
    holders = partial(_holders, shared, check_lease_name(name), slot)
    with shared.post.sender() as sender:
        return sender.send(name, content, holders, wait, acknowledge)


def _holders(store: SharedStore, name: str, slot: int | None) -> list[Holder]:
    """Whom to call. The owner is told too, so that nobody else takes it for theirs."""
    return [
        (seen.slot, seen.owner if _OWNER.match(seen.owner) else "")
        for seen in store.holders(name)
        if slot in (None, seen.slot)
    ]
