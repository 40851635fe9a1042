"""Leases in a table of DynamoDB: `dynamodb://TABLE[?region=…][&endpoint=…][&namespace=…]`.

Each verb is a conditional UpdateItem on the one item of the name (see `dynamodb_items`). The store
has no clock that a condition could ask, so a lease is taken from a holder that went silent only by
observation: its version, which every renewal changes, has stood still for a whole ttl on the
clock of the one who takes it.

A table of dynalock can be used as it is. Under the same name, without a namespace, each keeps out
while the other holds; an item that dynalock left behind is taken over once its time is up.

Credentials come from where the AWS tools look for them. An item is as large as all its slots
together, and every renewal writes it whole: meant for tens of slots. One region only: copies of a
global table may give the same lease away twice, unless its consistency is strong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from ...errors import SlotsMismatch, StoreUnreachable, UsageError
from ...leases.port import (
    LOST,
    RENEWED,
    UNKNOWN,
    Claim,
    Finding,
    Granted,
    Mail,
    Request,
    Seen,
    Taken,
)
from ...leases.urls import check_account, redact, take_options
from . import admin, items
from .items import Change, Found, Item
from .mail import DynamoMail
from .table import Table, time_of

_OPTIONS = frozenset({"endpoint", "namespace", "region"})
_HOST = re.compile(r"[a-z0-9_.-]+\Z|[0-9a-f:.]+\Z")
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}\Z")


def open_backend(url: str) -> DynamoStore:
    """The store at `url`; not connected yet."""
    base, options = take_options(check_account(url), _OPTIONS)
    table, mark, _ = base.removeprefix("dynamodb:").removeprefix("//").partition("?")
    if mark:
        raise UsageError("the lock URL: dynamodb:// has the options region, endpoint, namespace")
    if not _TABLE.match(table := unquote(table)):
        raise UsageError("the lock URL: dynamodb:// takes the name of a table, and no password")
    endpoint = options.get("endpoint")
    if endpoint is not None and not _is_address(endpoint):
        raise UsageError("the lock URL: endpoint is no plain http:// or https:// address")
    return DynamoStore(
        Table(redact(url), table, options.get("region"), endpoint), options.get("namespace", "")
    )


def _is_address(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(_HOST.match(host)) and "@" not in endpoint


class DynamoStore:
    """Leases as items of one table."""

    def __init__(self, table: Table, namespace: str) -> None:
        self.table = table
        self._namespace = namespace

    @property
    def patience(self) -> float:
        """Seconds that a request takes at most."""
        return self.table.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self.table.patience = seconds

    # --- the three verbs ----------------------------------------------------------------------

    def try_acquire(self, request: Request) -> Granted | Taken:
        """Take the first free slot of the request's order, else one that was observed in vain."""
        slot, before = request.order[0], None
        # Each further attempt means that somebody else has changed the item meanwhile.
        for _ in range(len(request.order) + 1):
            change = items.acquisition(request, self._namespace, slot, _version(), before)
            done, item, now = self._update(request.name, change)
            if done:
                return Granted(slot, int(item[f"fence_{slot}"]["N"]))
            found = items.found(item)
            choice = _choose(request, found, now)
            if isinstance(choice, Taken):
                return choice
            if isinstance(choice, Granted):
                if self._counts_anew(request, choice):
                    return choice
                continue
            slot, before = choice
        return Taken(tuple(found.leases.values()))

    def _counts_anew(self, request: Request, granted: Granted) -> bool:
        """Renew what an earlier attempt got: its holder counts the ttl from this attempt on."""
        slot, fence = granted.slot, granted.fence
        claim = Claim(request.name, slot, request.slots, request.owner, fence, request.ttl)
        return self.renew([claim]) == [RENEWED]

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        """Write a new version of each lease. UNKNOWN from the first one on that has no answer."""
        answers: list[str] = []
        for claim in claims:
            try:
                done, _, _ = self._update(claim.name, items.renewal(claim, _version()))
            except StoreUnreachable:
                if not answers:
                    raise
                break
            answers.append(RENEWED if done else LOST)
        return answers + [UNKNOWN] * (len(claims) - len(answers))

    def release(self, claim: Claim) -> bool:
        """Free the slot. The item stays, for its fence."""
        change = items.release(claim.slot, claim.owner, claim.fence, last=claim.slots == 1)
        done, _, _ = self._update(claim.name, change)
        return done

    def _update(self, name: str, change: Change) -> tuple[bool, Item, float]:
        """Whether it was done; the changed attributes, or the item that stood against it; and
        the store's time, in seconds since the epoch (0 if it does not tell)."""
        done, answer = self.table.update(
            {"id": items.text(items.item_id(self._namespace, name))},
            ReturnValues="UPDATED_NEW",
            **change.arguments(),
        )
        item = self.table.part(answer, "Attributes") if done else answer.get("Item", {})
        return done, item, time_of(answer)

    # --- the rest of the port -----------------------------------------------------------------

    def holders(self, name: str | None = None) -> list[Seen]:
        """Every lease that is held, of `name` or of all names, by name and slot."""
        seen: list[Seen] = []
        for item, now in self._scan() if name is None else [self._get(name)]:
            if item.get("namespace", items.text(""))["S"] != self._namespace:
                continue
            found = items.found(item)
            other = items.dynalock_seen(found, item.get("id", items.text(""))["S"], now)
            seen += [*found.leases.values(), *([other] if other else [])]
        return sorted(seen, key=lambda each: (each.name, each.slot))

    def break_lease(self, name: str, slot: int) -> int | None:
        """Take the slot from the holder that was found, and move the fence on."""
        lease = items.found(self._get(name)[0]).leases.get(slot)
        if lease is None:
            return None
        change = items.release(slot, lease.owner, lease.fence, last=False, broken=True)
        done, item, _ = self._update(name, change)
        return int(item["fence"]["N"]) if done else None

    def watch(self, name: str) -> None:
        """None: the table tells nobody. (Its streams come late and cost a reader each.)"""

    def mail(self) -> Mail:
        """Mailboxes in the same table."""
        return DynamoMail(self.table.twin(), self._namespace)

    def check(self) -> list[Finding]:
        """The table, its key, its copies, what deletes items, the rights, the clock."""
        return list(admin.check(self.table))

    def setup(self) -> list[str]:
        """Make the table, if it is not there. AWS needs some seconds more; this does not wait."""
        return admin.setup(self.table)

    def close(self) -> None:
        """Let go of the connections; the next verb makes new ones."""
        self.table.close()

    def forget(self) -> None:
        """In a forked child: leave the connections to the parent."""
        self.table.forget()

    def _get(self, name: str) -> tuple[Item, float]:
        wanted = {"id": items.text(items.item_id(self._namespace, name))}
        answer = self.table.ask("get_item", Key=wanted, ConsistentRead=True)
        return answer.get("Item", {}), time_of(answer)

    def _scan(self) -> Iterator[tuple[Item, float]]:
        start: dict[str, Any] = {}
        while True:
            answer = self.table.ask(
                "scan",
                ConsistentRead=True,
                FilterExpression="attribute_exists(held) OR attribute_exists(lock_owner)",
                **start,
            )
            yield from ((item, time_of(answer)) for item in self.table.part(answer, "Items"))
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


def _choose(
    request: Request, item: Found, now: float
) -> Granted | Taken | tuple[int, Found | None]:
    """What a refused attempt comes to: an answer, or the slot to try next and what is there now."""
    for slot, lease in item.leases.items():
        if lease.owner == request.owner:  # an earlier attempt, whose answer got lost
            return Granted(slot, lease.fence)
    if item.dynalock:
        other = items.dynalock_seen(item, request.name, now)
        return Taken((other,)) if other else (request.order[0], item)
    if item.held and item.slots != request.slots:
        raise SlotsMismatch(request.name, item.slots, request.slots)
    for slot in request.order:
        if slot not in item.leases:
            return slot, None
    for slot in request.order:
        if request.observed.get(slot) == item.leases[slot].version:
            return slot, item
    return Taken(tuple(item.leases[slot] for slot in sorted(item.leases)))


def _version() -> str:
    return os.urandom(8).hex()
