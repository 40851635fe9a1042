"""From the port's words to calls of scripts, and from their replies back to the port's answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ...errors import SlotsMismatch, StoreRefused, show
from ...leases.port import Claim, Granted, Info, Request, Seen, Taken
from . import scripts
from .scripts import Call, Keys, Word


def milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def acquire(
    keys: Keys,
    request: Request,
    run: str,
    *,
    order: Sequence[int] | None = None,
    least: int = 0,
    age: str = "none",
) -> Call:
    """Takes the first free slot of `order`; its fence is `least` or more (0: by the clock).

    `age` says of what the age is wanted: none, data, server.
    """
    order = request.order if order is None else order
    return scripts.ACQUIRE(
        [
            keys.fences(request.name),
            keys.index,
            keys.born,
            *(keys.slot(request.name, slot) for slot in order),
        ],
        [
            request.owner,
            milliseconds(request.ttl),
            request.slots,
            request.name,
            json.dumps(dict(request.info)),
            run,
            least,
            age,
            *order,
        ],
    )


def granted(reply: Any, request: Request, label: str) -> tuple[Granted | Taken, int]:
    """What the store said to `acquire`, and the age in seconds (-1 if it was not asked for).

    Raises SlotsMismatch, StoreRefused.
    """
    if isinstance(reply, bytes):
        _, slot, fence, age = reply.split()
        return Granted(int(slot), int(fence)), int(age)
    kind = reply[0]
    if kind == b"taken":
        return Taken(tuple(rows(reply[1]))), -1
    if kind == b"slots":
        raise SlotsMismatch(request.name, int(reply[1]), request.slots)
    raise StoreRefused(
        f"{label}: {show(request.name.encode())} has the same key as {show(reply[1])}; "
        "rename one of them"
    )


def renew(keys: Keys, claims: Sequence[Claim], run: str) -> Call:
    args: list[Word] = [run]
    for claim in claims:
        args += (claim.owner, milliseconds(claim.ttl))
    return scripts.RENEW([keys.slot(claim.name, claim.slot) for claim in claims], args)


def release(keys: Keys, name: str, slot: int, owner: str, *, tell: bool = True) -> Call:
    return scripts.RELEASE(
        [keys.slot(name, slot), keys.index], [owner, keys.channel(name) if tell else b""]
    )


def break_lease(keys: Keys, name: str, slot: int) -> Call:
    return scripts.BREAK(
        [keys.fences(name), keys.index, keys.slot(name, slot)], [slot, keys.channel(name)]
    )


def holders(keys: Keys, name: str | None) -> Call:
    if name is None:
        return scripts.HOLDERS([keys.index], [])
    return scripts.HOLDERS_OF([keys.fences(name)], [])


def raise_fence(keys: Keys, name: str, slot: int, fence: int, owner: str = "") -> Call:
    return scripts.RAISE([keys.fences(name), keys.slot(name, slot)], [slot, fence, owner])


def heal(keys: Keys, claims: Sequence[Claim], run: str) -> Call:
    places = [keys.index]
    args: list[Word] = [run]
    for claim in claims:
        places += (keys.fences(claim.name), keys.slot(claim.name, claim.slot))
        args += (claim.owner, milliseconds(claim.ttl), claim.slots, claim.name)
        args += (json.dumps(dict(claim.info)), claim.slot, claim.fence)
    return scripts.HEAL(places, args)


def rows(reply: Sequence[Sequence[Any]]) -> list[Seen]:
    """The leases of a reply, by name and slot."""
    found = [_seen(*row) for row in reply]
    return sorted(found, key=lambda seen: (seen.name, seen.slot))


def _seen(
    name: bytes,
    slot: bytes,
    slots: bytes,
    owner: bytes,
    fence: bytes,
    ttl: bytes,
    info: bytes,
    left: int,
) -> Seen:
    return Seen(
        name=name.decode(),
        slot=int(slot),
        slots=int(slots),
        owner=owner.decode(),
        fence=int(fence),
        ttl=int(ttl) / 1000,
        info=_info(info),
        left=max(left, 0) / 1000,
    )


def _info(text: bytes) -> Info:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
