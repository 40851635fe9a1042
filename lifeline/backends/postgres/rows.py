"""Requests and claims as statements, and rows as answers. Nothing here talks to a server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ...errors import SlotsMismatch, StoreRefused, show
from ...leases.keys import key
from ...leases.port import Claim, Granted, Info, Request, Seen, Taken
from . import sql as pg_sql
from .session import Rows, Statement
from .url import Target


def stored(name: str) -> str:
    """The name as a text column takes it. Which row is meant is up to the key."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return text.replace("\0", "\\0")


def channel(target: Target, name: str) -> str:
    """Where releases of a name are told: hexadecimal, so a name cannot be SQL."""
    return f"lifeline_{key(target.namespace, name, 'released') & (1 << 64) - 1:016x}"


def slot_key(target: Target, name: str, slot: int) -> str:
    return str(key(target.namespace, name, slot))


def count_key(target: Target, name: str, slots: int) -> tuple[str, str]:
    """52 bits of the name and 12 of its number of slots, as a pair of signed 32."""
    whole = key(target.namespace, name, "slots") & ~4095 | slots & 4095
    high, low = (whole >> 32) & 0xFFFFFFFF, whole & 0xFFFFFFFF
    return str(_signed(high)), str(_signed(low))


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word


def turn(target: Target, name: str) -> Statement:
    return Statement(pg_sql.TURN, (str(key(target.namespace, name, "turn")),))


def acquire(sql: str, target: Target, request: Request, order: Sequence[int]) -> Statement:
    keys = [slot_key(target, request.name, slot) for slot in order]
    return Statement(
        sql,
        (
            array(keys),
            array(map(str, order)),
            target.namespace,
            stored(request.name),
            str(request.slots),
            target.mode,
            request.owner,
            repr(float(request.ttl)),
            json.dumps(dict(request.info)),
        ),
    )


def acquired(target: Target, request: Request, rows: Rows) -> Granted | Taken:
    """What the rows of an acquisition say. Raises SlotsMismatch or StoreRefused."""
    seen = []
    for kind, slot, fence, wait, *rest in rows:
        if kind == "granted":
            return Granted(number(slot), number(fence), float(wait or 0))
        slots, owner, mode, ttl, info, left, name = rest
        if kind == "wrong":
            raise _wrong(target, request, number(slots), mode or "", name or "")
        until = float(left or 0) if mode == "lease" else None
        seen.append(
            Seen(request.name, number(slot), number(slots), owner or "", number(fence),
                 float(ttl or 0), read_info(info), until)
        )  # fmt: skip
    return Taken(tuple(seen))


def _wrong(
    target: Target, request: Request, slots: int, mode: str, name: str
) -> SlotsMismatch | StoreRefused:
    if name != stored(request.name):
        return StoreRefused(
            f"{target.place}: this name and {show(name.encode())} have the same 64-bit key; "
            "choose another, or a namespace of its own"
        )
    if mode != target.mode:
        return StoreRefused(
            f"{target.place}: the name is held with mode={mode}, not {target.mode}; "
            "give every machine the same mode"
        )
    return SlotsMismatch(request.name, slots, request.slots)


def renew(sql: str, target: Target, claims: Sequence[Claim]) -> Statement:
    return Statement(
        sql,
        (
            array(slot_key(target, claim.name, claim.slot) for claim in claims),
            array(claim.owner for claim in claims),
            array(str(claim.fence) for claim in claims),
            array(repr(float(claim.ttl)) for claim in claims),
        ),
    )


def free(target: Target, claim: Claim) -> Statement:
    return Statement(
        pg_sql.FREE, (slot_key(target, claim.name, claim.slot), claim.owner, str(claim.fence))
    )


def tell(target: Target, name: str, slot: int, what: str = "free") -> Statement:
    return Statement(pg_sql.TELL, (channel(target, name), f"{what} {slot}"))


def held(rows: Rows, name: str | None) -> list[Seen]:
    """Rows of `holders` as leases."""
    return [
        Seen(
            stored_name or "" if name is None else name,
            number(slot),
            number(slots),
            owner or "",
            number(fence),
            float(ttl or 0),
            read_info(info),
            None if left is None else float(left),
        )
        for stored_name, slot, slots, owner, fence, ttl, info, left in rows
    ]


def read_info(text: str | None) -> Info:
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}


def number(text: str | None) -> int:
    return int(text or 0)


def array(values: Iterable[str]) -> str:
    """A PostgreSQL array literal."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"
