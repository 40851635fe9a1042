"""Leases that a majority of 3 or 5 independent Redis or Valkey servers has granted (Redlock).

Source: redis.io, "Distributed Locks with Redis". A lease is good while more than half of the
servers hold it for its owner. What this adds to that page, and why it holds:

**Validity.** The page's "ttl less the time taken less the drift" is the kernel's rule: it counts
`ttl * (1 - drift)` from before the first request left, so the time taken is in it.

**Delayed restarts.** A server that starts may have forgotten leases; a grant of it counts from when
it has been up for the ttl (`?restart_delay=` as with one server). The grant says how long to wait
until a majority of those that granted counts. Say H begins to work at T and U still may: U's last
confirmed round was sent after T - ttl to a majority. A node of that and of H's counted majority had
not restarted since T - ttl, so it kept U's lease past T and could not have granted H, or kept H's
and could not have confirmed U. While H waits, and later, it renews at a majority; by the same
argument, started at the first round after its grant, nobody else has one.

**Renewal** makes nothing anew, but for one thing: in a round in which a majority has confirmed the
lease, it is set again on nodes that lost it (and hold no other's), unless it was broken there.
Those do not count in that round. A renewal that fails releases nothing: the work may still be
running.

**Fences.** Every node keeps a counter for each slot. A grant moves a node's counter on; the fence F
is the greatest of a majority's, and is not given out before a majority has counter and lease at F
*while the owner holds the lease there* (`RAISE`, not needed if all said the same). A later grant
has a majority of its own; at a node of both, it came after F was written there (before, the owner
would not have held it), so it was more than F. That needs counters that survive restarts; where
they do not, the clock in them has to do (`redis_scripts`).

**Who is first.** If all asked all nodes at once, starters of the same second would split the votes
and nobody would run. So each asks the first node that answers which slot is to be had, and only
then the others for that slot. A node that kept a lease which the others lost can thereby say
"taken" for one ttl at most. Safety does not depend on it: any majority decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from ...errors import StoreError, UsageError
from ...leases.port import (
    BAD,
    LOST,
    RENEWED,
    UNKNOWN,
    Claim,
    Finding,
    Granted,
    Request,
    Seen,
    Taken,
)
from ..redis import calls
from ..redis.check import findings
from ..redis.line import Line
from ..redis.restart import expected_run
from ..redis.scripts import Keys
from ..redis.url import Place
from ..redis.url import read as read_place
from ..redis.watch import Subscription, subscribed
from .acquire import Attempt
from .mail import RedlockMail
from .nodes import LATE, PATIENCE, Answers, Quorum, ask_all

_COUNTS = (3, 5)
_BETWEEN = re.compile(",(?=rediss?://)")


class RedlockBackend:
    """The servers, with a connection to each that answers."""

    def __init__(self, places: Sequence[Place], patience: float = PATIENCE) -> None:
        self._keys = Keys(places[0].namespace)
        self._quorum = Quorum([Line(place, patience) for place in places], self._keys, patience)

    @property
    def patience(self) -> float:
        return self._quorum.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._quorum.patience = seconds

    def try_acquire(self, request: Request) -> Granted | Taken:
        return Attempt(self._quorum, request).run()

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        if not claims:
            return []
        said = self._quorum.ask(
            lambda node: calls.renew(self._keys, claims, expected_run(node.server))
        )
        votes = zip(*said.values(), strict=True)
        outcome = [self._outcome(sum(mine), len(mine) - sum(mine)) for mine in votes]
        self._heal(claims, outcome, said)
        return outcome

    def _outcome(self, mine: int, lost: int) -> str:
        if mine >= self._quorum.majority:
            return RENEWED
        if lost > len(self._quorum.nodes) - self._quorum.majority:
            return LOST  # whatever the others would say
        return UNKNOWN

    def _heal(self, claims: Sequence[Claim], outcome: list[str], said: Answers) -> None:
        """Set again, on nodes that lost them, the leases that a majority has just confirmed."""
        lacking = {}
        for node, mine in said.items():
            rows = zip(claims, outcome, mine, strict=True)
            if gone := [claim for claim, result, ok in rows if result == RENEWED and not ok]:
                lacking[node] = gone
        if lacking:
            ask_all(
                list(lacking),
                lambda node: calls.heal(self._keys, lacking[node], node.server.run),
                self._quorum.budget(LATE),
            )

    def release(self, claim: Claim) -> bool:
        said = self._quorum.ask(
            lambda _: calls.release(self._keys, claim.name, claim.slot, claim.owner)
        )
        mine = sum(map(bool, said.values()))
        return self._outcome(mine, len(said) - mine) != LOST

    def holders(self, name: str | None = None) -> list[Seen]:
        """What a majority of the servers hold for the same owner."""
        said = self._quorum.ask(lambda _: calls.holders(self._keys, name))
        rows = [row for reply in said.values() for row in calls.rows(reply)]
        rows.sort(key=_lease_of)
        copies = [list(same) for _, same in groupby(rows, _lease_of)]
        return [_merged(same) for same in copies if len(same) >= self._quorum.majority]

    def break_lease(self, name: str, slot: int) -> int | None:
        said = self._quorum.ask(lambda _: calls.break_lease(self._keys, name, slot))
        fences = [int(fence) for fence in said.values() if fence is not None]
        if not fences:
            return None
        fence = max(fences)
        self._quorum.ask(lambda _: calls.raise_fence(self._keys, name, slot, fence))
        return fence

    def watch(self, name: str) -> Subscription | None:
        """Hears of releases at one server, the last that answers: releases reach it last."""
        failed: list[StoreError] = []
        for node in reversed(self._quorum.ready_first()):
            if failed and not node.is_open and len(failed) >= self._quorum.majority:
                break
            try:
                return subscribed(node.place, self._keys.channel(name), self._quorum.step)
            except StoreError as error:
                failed.append(error)
        raise self._quorum.too_few(failed)

    def mail(self) -> RedlockMail:
        return RedlockMail([node.place for node in self._quorum.nodes], self._quorum)

    def check(self) -> list[Finding]:
        found = []
        for node in self._quorum.nodes:
            try:
                each = findings(node)
            except StoreError as error:
                each = [Finding(BAD, str(error), "mend it: the majority depends on the others")]
            found += [
                Finding(one.level, f"{node.place.label}: {one.what}", one.advice) for one in each
            ]
        return [*found, *self._twins()]

    def _twins(self) -> list[Finding]:
        runs = [node.server.run for node in self._quorum.nodes if node.server.run]
        if len(set(runs)) == len(runs):
            return []
        advice = "give servers that fail independently"
        return [Finding(BAD, "two of the URLs lead to the same server", advice)]

    def setup(self) -> list[str]:
        """Nothing to do: the first lease makes its keys."""
        return []

    def close(self) -> None:
        for node in self._quorum.nodes:
            node.close()

    forget = close


def _lease_of(seen: Seen) -> tuple[str, int, str]:
    return seen.name, seen.slot, seen.owner


def _merged(copies: list[Seen]) -> Seen:
    """One lease from its copies: the one that lasts as long as a majority does."""
    newest = max(seen.fence for seen in copies)
    middle = sorted(copies, key=lambda seen: seen.left or 0.0)[len(copies) // 2]
    return Seen(
        middle.name,
        middle.slot,
        middle.slots,
        middle.owner,
        newest,
        middle.ttl,
        middle.info,
        middle.left,
    )


def open_backend(url: str) -> RedlockBackend:
    """The store at `redlock:redis://a,redis://b,redis://c`. Raises UsageError."""
    urls = _BETWEEN.split(url.removeprefix("redlock:"))
    if len(urls) not in _COUNTS or not all(each.startswith(_SCHEMES) for each in urls):
        raise UsageError(
            "the lock URL should look like redlock:redis://a,redis://b,redis://c with 3 or 5 "
            "independent servers, each redis:// or rediss://"
        )
    return RedlockBackend(_agreed([read_place(each) for each in urls]))


_SCHEMES = ("redis://", "rediss://")


def _agreed(places: list[Place]) -> list[Place]:
    """The places, once they are different servers with the same options of ours."""
    addresses = {(each.arguments["host"], each.arguments.get("port", 6379)) for each in places}
    if len(addresses) < len(places):
        raise UsageError("the lock URL names a server twice; Redlock needs independent ones")
    if len({(each.namespace, each.restart_delay) for each in places}) > 1:
        raise UsageError(
            "the lock URL: give namespace and restart_delay to each server of redlock: alike"
        )
    return places
