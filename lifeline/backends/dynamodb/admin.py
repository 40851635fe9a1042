"""A DynamoDB table as people set it up: what is right and wrong with it, and making one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from ...errors import StoreError
from ...leases.port import BAD, GOOD, NOTE, WARNING, Finding
from . import items
from .errors import FAILURES, NO_DYNAMODB, code_of, told
from .table import Table, time_of

_KEY = [{"AttributeName": "id", "KeyType": "HASH"}]
_TYPES = [{"AttributeName": "id", "AttributeType": "S"}]
_SKEW = 5.0  # seconds between the clocks from which a finding is a warning
_THERE = "ResourceInUseException"


def check(table: Table) -> Iterator[Finding]:
    """Findings, the weightiest first. A table that cannot be described is the last word."""
    try:
        answer = table.ask("describe_table")
        described = answer["Table"]
    except StoreError as error:
        what, _, advice = str(error).partition("; ")
        yield Finding(BAD, what, advice)
        return
    except KeyError:
        yield Finding(BAD, f"{table.where}: {NO_DYNAMODB}")
        return
    yield from _described(table, described)
    yield from _rights(table)
    yield from _expiry(table)
    yield from _clock(answer)


def _described(table: Table, described: dict[str, Any]) -> Iterator[Finding]:
    if described.get("TableStatus") != "ACTIVE":
        yield Finding(BAD, f"{table.where} is being made", "ask again in a few seconds")
    if described["KeySchema"] != _KEY or _TYPES[0] not in described["AttributeDefinitions"]:
        yield Finding(
            BAD, f"{table.where} has another key than `id`, a string", "name a table of its own"
        )
    else:
        yield Finding(GOOD, f"{table.where} is there, with the key that it needs")
    if described.get("Replicas") and described.get("MultiRegionConsistency") != "STRONG":
        yield Finding(
            WARNING,
            "a global table: two regions can give away the same lease",
            "have all holders use one region, or make the table strongly consistent",
        )


def _rights(table: Table) -> Iterator[Finding]:
    """Tries a write whose condition cannot be met, and a read."""
    change = items.Change()
    change.only_if(f"attribute_exists({change.name('id')}) AND attribute_not_exists(#id)")
    change.set("lock_name", items.text(""))
    for verb, arguments in (
        ("update_item", {"Key": {"id": items.text("lifeline")}, **change.arguments()}),
        ("get_item", {"Key": {"id": items.text("lifeline")}, "ConsistentRead": True}),
        ("scan", {"Limit": 1}),
    ):
        try:
            getattr(table.client, verb)(TableName=table.name, **arguments)
        except FAILURES as error:
            if code_of(error) == "ConditionalCheckFailedException":
                continue
            what, _, advice = str(told(table.where, error)).partition("; ")
            level = BAD if verb == "update_item" else WARNING
            yield Finding(level, f"{verb}: {what}", advice)


def _expiry(table: Table) -> Iterator[Finding]:
    try:
        told_of = table.ask("describe_time_to_live")["TimeToLiveDescription"]
    except StoreError:
        yield Finding(NOTE, "whether the table deletes items by time cannot be told")
        return
    attribute = told_of.get("AttributeName", "")
    if told_of.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
        yield Finding(
            WARNING,
            f"the table deletes items by their {attribute!a}: a deleted one begins its fences anew",
            "turn time to live off for this table",
        )


def _clock(answer: dict[str, Any]) -> Iterator[Finding]:
    """For people and for dynalock's items: no lease depends on it."""
    theirs = time_of(answer)
    if not theirs:
        return
    offset = datetime.now(timezone.utc).timestamp() - theirs
    if abs(offset) < _SKEW:
        yield Finding(GOOD, f"the clocks differ by less than {_SKEW:g} s")
    else:
        yield Finding(
            WARNING,
            f"this host's clock is {abs(offset):.0f} s {'ahead' if offset > 0 else 'behind'}",
            "set it: requests with a wrong time are refused, and dynalock's leases are misjudged",
        )


def setup(table: Table) -> list[str]:
    """Make the table, paid by request; nothing if it is there."""
    try:
        table.client.create_table(
            TableName=table.name,
            KeySchema=_KEY,
            AttributeDefinitions=_TYPES,
            BillingMode="PAY_PER_REQUEST",
        )
    except FAILURES as error:
        if code_of(error) == _THERE:
            return []
        raise told(table.where, error) from None
    state = table.ask("describe_table")["Table"].get("TableStatus")
    ready = "" if state == "ACTIVE" else "; it is being made and can be used in some seconds"
    return [f"made the table {table.name}{ready}"]
