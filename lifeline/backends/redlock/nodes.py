"""Asking several servers at once, without threads: send to all, then collect what comes.

Why not one after the other: a server that hangs would cost its whole patience before the next is
asked. Why redis-py's connections and no wire of our own: TLS, passwords and errors are as with one
server. Only making a connection blocks, and is bounded for each node (`step`); requests over open
connections leave first, and their answers arrive meanwhile.

There is no clock here, so a verb has a budget of *ticks*: each wait for an answer takes one, used
up or not. That bounds the time from above, which is all that is needed: whether an answer is still
worth anything is the kernel's to say, which counts the lease from before the verb was called. A
tick is a hundredth of the store's patience.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import StoreError, StoreRefused, StoreUnreachable
from ..redis.line import Line
from ..redis.scripts import Call, Keys

PATIENCE = 4.0  # seconds, of a verb
TICKS = 40  # of a verb
LATE = 5  # ticks for who has not answered when the outcome is known, and for clearing up
_CONNECTING = 100 - TICKS - LATE  # ticks, for making all connections

Answers = dict[Line, Any]  # a reply or a StoreError


@dataclass(slots=True)
class Budget:
    """The ticks that are left to a verb, of `tick` seconds each."""

    ticks: int
    tick: float


def ask_all(
    nodes: Sequence[Line],
    call: Callable[[Line], Call],
    budget: Budget,
    enough: int | None = None,
    most: int = TICKS,
) -> Answers:
    """An answer for each node, after at most so many ticks of the budget.

    Once `enough` have replied, the others have little time left.
    """
    answers: Answers = {}
    waiting = _sent(nodes, call, answers)
    try:
        _collect(waiting, answers, budget, enough, max(0, budget.ticks - most))
    finally:
        for node in waiting.values():
            node.close()  # its answer must not be taken for one to the next question
            answers[node] = StoreUnreachable(f"{node.place.label}: no answer in time; is it up?")
    return answers


def _collect(
    waiting: dict[int, Line], answers: Answers, budget: Budget, enough: int | None, until: int
) -> None:
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    while waiting and budget.ticks > until:
        budget.ticks -= 1
        for descriptor, _ in poll.poll(budget.tick * 1000):
            node = waiting.pop(descriptor)
            poll.unregister(descriptor)
            answers[node] = _received(node)
        if enough is not None and len(replies(answers)) >= enough:
            until, enough = max(until, budget.ticks - LATE), None


def _sent(nodes: Sequence[Line], call: Callable[[Line], Call], answers: Answers) -> dict[int, Line]:
    """The nodes that were asked, by descriptor; who cannot be asked has answered."""
    waiting = {}
    for node in sorted(nodes, key=lambda node: not node.is_open):
        try:
            node.open()
            node.send(call(node))
            waiting[node.fileno()] = node
        except StoreError as error:
            answers[node] = error
    return waiting


def _received(node: Line) -> Any:
    try:
        return node.receive()
    except StoreError as error:
        return error


def replies(answers: Answers) -> Answers:
    return {node: said for node, said in answers.items() if not isinstance(said, StoreError)}


def failures(answers: Answers) -> list[StoreError]:
    return [said for said in answers.values() if isinstance(said, StoreError)]


class Quorum:
    """The nodes of one store, and how many of them decide."""

    def __init__(self, nodes: Sequence[Line], keys: Keys, patience: float) -> None:
        self.nodes = list(nodes)
        self.keys = keys
        self.majority = len(self.nodes) // 2 + 1
        self.label = "redlock:" + ",".join(node.place.label for node in nodes)
        self.patience = patience

    @property
    def patience(self) -> float:
        """Seconds that a verb takes at most."""
        return self._patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._patience = seconds
        for node in self.nodes:
            node.timeout = self.step  # of the next connection
            node.close()

    @property
    def step(self) -> float:
        """Seconds for a step of connecting to one of the nodes."""
        return self._patience * _CONNECTING / 100 / len(self.nodes)

    def budget(self, ticks: int = TICKS) -> Budget:
        return Budget(ticks, self._patience / 100)

    def ask(self, call: Callable[[Line], Call]) -> Answers:
        """The replies of a majority at least, as far as they came. Raises StoreError."""
        answers = ask_all(self.nodes, call, self.budget(), self.majority)
        if len(replies(answers)) < self.majority:
            raise self.too_few(failures(answers))
        return replies(answers)

    def ready_first(self) -> list[Line]:
        """The nodes in their order, but those without a connection last."""
        return sorted(self.nodes, key=lambda node: not node.is_open)

    def too_few(self, failed: Sequence[StoreError]) -> StoreError:
        """The error to raise if so many failed that no majority is left.

        A definite one only if no majority can come about before people act.
        """
        refused = [error for error in failed if isinstance(error, StoreRefused)]
        definite = len(self.nodes) - len(refused) < self.majority
        first = (refused or failed)[0] if definite else failed[0]
        kind = StoreRefused if definite else StoreUnreachable
        count = f"{len(failed)} of {len(self.nodes)} servers fail and {self.majority} are needed"
        return kind(f"redlock: {count}; {first}")
