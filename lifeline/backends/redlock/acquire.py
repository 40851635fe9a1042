"""Getting a lease from a majority: one node says which slot, then all are asked for that one."""

from __future__ import annotations

from typing import Any

from ...errors import SlotsMismatch, StoreError, StoreRefused, StoreUnreachable
from ...leases.port import Granted, Request, Seen, Taken
from ..redis import calls
from ..redis.line import Line
from ..redis.restart import acquire, answered
from .nodes import LATE, TICKS, Quorum, ask_all, replies

_FIRST = 10  # ticks for the node that is asked first; then it is the next one's turn

Said = Granted | Taken | Exception


class Attempt:
    """One try. What it got without a majority is given back."""

    def __init__(self, quorum: Quorum, request: Request) -> None:
        self._quorum = quorum
        self._request = request
        self._budget = quorum.budget()
        self._clearing = quorum.budget(LATE)
        self._down: dict[Line, StoreError] = {}

    def run(self) -> Granted | Taken:
        """Raises SlotsMismatch, StoreError."""
        order = self._request.order
        in_the_way: list[Seen] = []
        while order:
            node, first = self._first(order)
            if isinstance(first, Taken):
                return Taken((*first.seen, *in_the_way))
            said = {node: first, **self._others(node, first)}
            votes = {node: vote for node, vote in said.items() if isinstance(vote, Granted)}
            if len(votes) >= self._quorum.majority and (grant := self._fenced(votes)):
                return grant
            self._undo(first.slot)
            in_the_way += self._seen(said)
            order = tuple(slot for slot in order if slot != first.slot)
        return Taken(tuple(in_the_way))

    def _first(self, order: tuple[int, ...]) -> tuple[Line, Granted | Taken]:
        """The first node that answers, and what it says to all slots of `order`."""
        for node in self._quorum.ready_first():
            if node in self._down:
                continue
            said = self._ask([node], order, most=_FIRST)[node]
            self._need_majority()
            if isinstance(said, (Granted, Taken)):
                return node, said
            if isinstance(said, SlotsMismatch):
                raise said
        raise self._quorum.too_few(list(self._down.values()))

    def _need_majority(self) -> None:
        """Raises if so many have failed in this try that nobody can be sure of a lease."""
        if len(self._quorum.nodes) - len(self._down) < self._quorum.majority:
            raise self._quorum.too_few(list(self._down.values()))

    def _others(self, first: Line, vote: Granted) -> dict[Line, Said]:
        """What the other nodes say to the slot that the first one gave."""
        others = [node for node in self._quorum.nodes if node is not first]
        asked = [node for node in others if node not in self._down]
        return self._ask(asked, (vote.slot,), vote.fence, enough=self._quorum.majority - 1)

    def _ask(
        self,
        nodes: list[Line],
        order: tuple[int, ...],
        least: int = 0,
        *,
        enough: int | None = None,
        most: int = TICKS,
    ) -> dict[Line, Said]:
        keys, request = self._quorum.keys, self._request
        answers = ask_all(
            nodes,
            lambda node: acquire(node, keys, request, order, least),
            self._budget,
            enough,
            most,
        )
        said = {node: self._read(node, answer) for node, answer in answers.items()}
        self._down.update(
            {node: error for node, error in said.items() if isinstance(error, StoreError)}
        )
        return said

    def _read(self, node: Line, answer: Any) -> Said:
        if isinstance(answer, StoreError):
            return answer
        try:
            return answered(node, answer, self._request)
        except (SlotsMismatch, StoreRefused) as error:
            return error

    def _fenced(self, votes: dict[Line, Granted]) -> Granted | None:
        """The grant, once a majority has its fence; None if no majority confirms that."""
        majority, slot = self._quorum.majority, next(iter(votes.values())).slot
        fence = max(vote.fence for vote in votes.values())
        # Work may begin when the last of a majority, the quickest ones, counts.
        wait = sorted(vote.wait for vote in votes.values())[majority - 1]
        if sum(vote.fence == fence for vote in votes.values()) < majority:
            keys, request = self._quorum.keys, self._request
            raised = ask_all(
                list(votes),
                lambda _: calls.raise_fence(keys, request.name, slot, fence, request.owner),
                self._budget,
                majority,
            )
            if sum(replies(raised).values()) < majority:
                return None
        return Granted(slot, fence, wait)

    def _undo(self, slot: int) -> None:
        """Give back what was granted, where there is still a connection; the ttl does the rest.

        Nobody is told: it was not free for anybody, and those who wait would all come at once.
        """
        keys, request = self._quorum.keys, self._request
        ask_all(
            [node for node in self._quorum.nodes if node.is_open],
            lambda _: calls.release(keys, request.name, slot, request.owner, tell=False),
            self._clearing,
        )

    def _seen(self, said: dict[Line, Said]) -> list[Seen]:
        """What is in the way. Raises if too few answered, or the number of slots is disputed."""
        for answer in said.values():
            if isinstance(answer, SlotsMismatch):
                raise answer
        self._need_majority()
        taken = [answer for answer in said.values() if isinstance(answer, Taken)]
        if not taken:
            raise StoreUnreachable("redlock: the answers of a majority did not come in time")
        return list(taken[0].seen)
