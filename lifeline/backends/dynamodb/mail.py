"""Signals through a mailbox in the table: an item that its owner reads now and then.

    id        "lifeline mail " and the token
    letters   a list of binaries, the oldest first

Nobody is told, so a letter waits until its reader looks again: a holder does at the pace of its
renewals. What is read is removed, on the condition that it still is the oldest, so what comes
meanwhile stays. Such an item has neither `held` nor `lock_name`, and is nobody's lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ...errors import StoreError, StoreUnreachable
from ...leases.keys import key
from ...signals.port import Posted, check_token
from . import items
from .table import Table

_MOST = 50  # letters in one item, which may have 400 kB


class DynamoMail:
    """A `signals.port.Mail` in `table`, whose connections are its own."""

    polls = True

    def __init__(self, table: Table, namespace: str) -> None:
        self._table = table
        self._namespace = namespace
        self._tokens: list[str] = []

    def box(self, name: str, slot: int) -> str:
        return f"{key(self._namespace, name, f'signals {slot}') & (1 << 64) - 1:016x}"

    def descriptors(self) -> Sequence[int]:
        return ()

    def listen(self, token: str) -> None:
        self._read(check_token(token))  # the rights are there, and the table
        self._tokens.append(token)

    def ignore(self, token: str) -> None:
        self._tokens.remove(token)

    def post(self, letters: Sequence[Posted]) -> None:
        for token, letter in letters:
            self._put(check_token(token), {"B": letter})

    def collect(self) -> list[Posted]:
        return [(token, letter) for token in self._tokens for letter in self._take(token)]

    def probe(self) -> None:
        """Nothing to try: each look is a request of its own."""

    def close(self) -> None:
        for token in self._tokens:
            if len(token) == 32:  # a sender's: it will not be asked for again
                with suppress(StoreError):
                    self._table.ask("delete_item", Key=_key(token))
        self._table.close()

    def forget(self) -> None:
        self._table.forget()

    def _put(self, token: str, letter: dict[str, Any]) -> None:
        """Add a letter, unless it is there. Raises StoreUnreachable if there is no more room."""
        before = self._update(
            token,
            UpdateExpression="SET letters = list_append(if_not_exists(letters, :none), :new)",
            ConditionExpression="attribute_not_exists(letters) OR "
            "(size(letters) < :most AND NOT contains(letters, :letter))",
            ExpressionAttributeValues={
                ":none": {"L": []},
                ":new": {"L": [letter]},
                ":letter": letter,
                ":most": items.number(_MOST),
            },
        )
        if before is not None and letter["B"] not in _letters(before):
            raise StoreUnreachable(
                f"{self._table.where}: {_MOST} signals wait there already, and nobody reads them"
            )

    def _take(self, token: str) -> list[bytes]:
        found = self._read(token)
        if not found:
            return []
        gone = ", ".join(f"letters[{number}]" for number in range(len(found)))
        before = self._update(
            token,
            UpdateExpression=f"REMOVE {gone}",
            ConditionExpression="letters[0] = :first",
            ExpressionAttributeValues={":first": {"B": found[0]}},
        )
        return [] if before is not None else found  # somebody else has read them

    def _read(self, token: str) -> list[bytes]:
        answer = self._table.ask("get_item", Key=_key(token), ConsistentRead=True)
        return _letters(answer.get("Item", {}))

    def _update(self, token: str, **change: Any) -> items.Item | None:
        """None if it was done, else what stood against it."""
        done, answer = self._table.update(_key(token), **change)
        return None if done else answer.get("Item", {})


def _key(token: str) -> items.Item:
    return {"id": items.text(f"lifeline mail {token}")}


def _letters(item: items.Item) -> list[bytes]:
    return [bytes(letter["B"]) for letter in item.get("letters", {}).get("L", ())]
