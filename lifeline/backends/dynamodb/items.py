"""One name as one item: what is written, on which conditions, and what it says when read.

    id                     the name itself; in a namespace, that and a key before it
    lock_name, namespace   what it is called
    slots                  how many there are, for as long as anybody holds one
    held                   the owners of all that are held (a set; missing while nobody holds any)
    fence                  the newest fence of any slot: one counter for the name
    changes                counts acquisitions, releases and breaks
    owner_2, fence_2, version_2, ttl_2, info_2      the lease of slot 2, while it is held
    expires                far in the future while anything is held, for dynalock

All slots of a name stand in one item because a condition sees one item only: so the number of
slots and an owner's second attempt are checked in the very write that grants.

dynalock (0.2) keeps `{id, expires, lock_owner}` in a table with the same key, `expires` being whole
seconds of the holder's wall clock. A live item of its is a holder here; `expires` keeps it from
taking what lifeline holds; and what it puts over a released item, the fences with it, is taken
back with a fence no lower than that `expires`, which no counter gets to before it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from ...leases.keys import key
from ...leases.port import Claim, Request, Seen

Item = dict[str, dict[str, Any]]  # as the wire has it: {"id": {"S": "x"}}
FAR = 253402300799  # seconds since the epoch: the end of the year 9999
SKEW = 2.0  # seconds that a dynalock item counts beyond its end: its clock and the store's differ


@dataclass(frozen=True, slots=True)
class Found:
    """An item as it was found."""

    slots: int = 0
    fence: int = 0
    changes: int = 0
    held: frozenset[str] = frozenset()
    leases: dict[int, Seen] = field(default_factory=dict)
    dynalock: str = ""  # the owner, if dynalock wrote the item
    expires: int = 0


def item_id(namespace: str, name: str) -> str:
    """The item of a name. dynalock uses the name alone, so without a namespace this does too."""
    if not namespace:
        return name
    return f"{namespace}/{key(namespace, name, 'item') & 0xFFFFFFFFFFFFFFFF:016x}/{name}"


def found(item: Item) -> Found:
    """What an item says."""
    names = item.get("lock_name") or item.get("id") or text("")
    slots = _int(item, "slots")
    owners = {
        int(label[6:]): value["S"] for label, value in item.items() if label.startswith("owner_")
    }
    return Found(
        slots,
        _int(item, "fence"),
        _int(item, "changes"),
        frozenset(item.get("held", {}).get("SS", ())),
        {slot: _seen(item, names["S"], slot, slots, owner) for slot, owner in owners.items()},
        item.get("lock_owner", {}).get("S", ""),
        _int(item, "expires"),
    )


def _seen(item: Item, name: str, slot: int, slots: int, owner: str) -> Seen:
    return Seen(
        name,
        slot,
        slots,
        owner,
        _int(item, f"fence_{slot}"),
        float(item[f"ttl_{slot}"]["N"]),
        json.loads(item[f"info_{slot}"]["S"]),
        version=item[f"version_{slot}"]["S"],
    )


def dynalock_seen(item: Found, name: str, now: float) -> Seen | None:
    """dynalock's lease, if it lives at `now` by the store's clock, in seconds since the epoch."""
    left = item.expires + SKEW - now
    if not item.dynalock or left <= 0:
        return None
    return Seen(name, 0, 1, item.dynalock, 0, left, {"by": "dynalock"}, left)


def text(value: str) -> dict[str, Any]:
    return {"S": value}


def number(value: float) -> dict[str, Any]:
    return {"N": str(value)}


def _int(item: Item, label: str) -> int:
    return int(float(item.get(label, {}).get("N", 0)))


class Change:
    """A conditional write to one item, as UpdateItem takes it. Every attribute has an alias."""

    def __init__(self) -> None:
        self.sets: list[str] = []
        self.others: list[str] = []
        self.conditions: list[str] = []
        self.names: dict[str, str] = {}
        self.values: Item = {}

    def name(self, attribute: str) -> str:
        """How expressions call an attribute: many plain words are reserved."""
        self.names[f"#{attribute}"] = attribute
        return f"#{attribute}"

    def value(self, label: str, value: dict[str, Any]) -> str:
        """How expressions call a value."""
        self.values[f":{label}"] = value
        return f":{label}"

    def set(self, attribute: str, value: dict[str, Any]) -> None:
        self.sets.append(f"{self.name(attribute)} = {self.value(attribute, value)}")

    def only_if(self, condition: str) -> None:
        self.conditions.append(f"({condition})")

    def arguments(self) -> dict[str, Any]:
        sets = [f"SET {', '.join(self.sets)}"] if self.sets else []
        return {
            "UpdateExpression": " ".join([*sets, *self.others]),
            "ConditionExpression": " AND ".join(self.conditions),
            "ExpressionAttributeNames": self.names,
            "ExpressionAttributeValues": self.values,
        }


def acquisition(
    request: Request, namespace: str, slot: int, version: str, before: Found | None = None
) -> Change:
    """Take a slot that is free; or that of `before`, if nothing has changed since it was found."""
    change = Change()
    owner, me = change.name(f"owner_{slot}"), change.value("me", text(request.owner))
    held, slots = change.name("held"), change.name("slots")
    floor = 0
    if before is not None and before.dynalock:
        floor = max(before.fence, before.expires)
        lapsed = change.value("lapsed", number(before.expires)), change.name("expires")
        change.only_if(f"{lapsed[1]} = {lapsed[0]}")
        theirs = change.value("theirs", text(before.dynalock))
        change.only_if(f"{change.name('lock_owner')} = {theirs}")
        change.others.append("REMOVE #lock_owner")
        change.set("held", {"SS": [request.owner]})
    elif before is not None:
        stale = before.leases[slot]
        change.only_if(
            f"{change.name(f'version_{slot}')} = {change.value('stale', text(stale.version))}"
        )
        change.only_if(
            f"{change.name('changes')} = {change.value('before', number(before.changes))}"
        )
        change.set("held", {"SS": sorted({*before.held, request.owner} - {stale.owner})})
    else:
        change.only_if(f"attribute_not_exists({change.name('lock_owner')})")
        change.only_if(f"attribute_not_exists({owner})")
        change.only_if(
            f"attribute_not_exists({held}) OR ({slots} = :slots AND NOT contains({held}, {me}))"
        )
        change.others.append(f"ADD {held} {change.value('held', {'SS': [request.owner]})}")
    _describe(change, request, namespace, slot, version, floor)
    return change


def _describe(
    change: Change, request: Request, namespace: str, slot: int, version: str, floor: int
) -> None:
    change.sets.append(f"#owner_{slot} = :me")
    change.set(f"version_{slot}", text(version))
    change.set(f"ttl_{slot}", number(request.ttl))
    change.set(f"info_{slot}", text(json.dumps(dict(request.info))))
    change.set("slots", number(request.slots))
    change.set("lock_name", text(request.name))
    change.set("namespace", text(namespace))
    change.set("expires", number(FAR))
    fence = f"if_not_exists({change.name('fence')}, {change.value('floor', number(floor))})"
    for attribute in ("fence", f"fence_{slot}"):
        change.sets.append(f"{change.name(attribute)} = {fence} + {change.value('one', number(1))}")
    _count(change)


def _count(change: Change) -> None:
    changes, none = change.name("changes"), change.value("none", number(0))
    one = change.value("one", number(1))
    change.sets.append(f"{changes} = if_not_exists({changes}, {none}) + {one}")


def _is_theirs(change: Change, slot: int, owner: str, fence: int) -> None:
    change.only_if(f"{change.name(f'owner_{slot}')} = {change.value('owner', text(owner))}")
    change.only_if(f"{change.name(f'fence_{slot}')} = {change.value('held_by', number(fence))}")


def renewal(claim: Claim, version: str) -> Change:
    """A new version, if the lease is the claim's. On owner and fence, not on the version before:
    that may have been replaced by a renewal whose answer got lost."""
    change = Change()
    _is_theirs(change, claim.slot, claim.owner, claim.fence)
    change.set(f"version_{claim.slot}", text(version))
    return change


def release(slot: int, owner: str, fence: int, *, last: bool, broken: bool = False) -> Change:
    """Free the slot, if it is the owner's. `last`: nobody else can hold one of this name."""
    change = Change()
    _is_theirs(change, slot, owner, fence)
    gone = [f"{part}_{slot}" for part in ("owner", "fence", "version", "ttl", "info")]
    gone += ["expires"] if last else []
    change.others.append(f"REMOVE {', '.join(map(change.name, gone))}")
    change.others.append(f"DELETE {change.name('held')} {change.value('owners', {'SS': [owner]})}")
    _count(change)
    if broken:
        change.sets.append(f"{change.name('fence')} = #fence + :one")
    return change
