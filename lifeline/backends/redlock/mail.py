"""Signals through every one of the servers: what a majority was given reaches who hears a majority.

Each letter comes several times, once from each server; the box passes over copies. A server that is
out of reach is tried again with each probe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from ...errors import StoreError
from ...signals.letters import number_of
from ...signals.port import Posted
from ..redis.mail import RedisMail
from ..redis.url import Place
from .nodes import Quorum


class RedlockMail:
    """A `signals.port.Mail` at three or five servers."""

    polls = False

    def __init__(self, places: Sequence[Place], quorum: Quorum) -> None:
        self._places = list(places)
        self._quorum = quorum  # for what it says if too few answer
        self._nodes: dict[int, RedisMail] = {}
        self._tokens: set[str] = set()
        self._failed: list[StoreError] = []
        self._open_missing()
        self._need_majority()

    def box(self, name: str, slot: int) -> str:
        return next(iter(self._nodes.values())).box(name, slot)

    def descriptors(self) -> Sequence[int]:
        return [fd for node in self._nodes.values() for fd in node.descriptors()]

    def listen(self, token: str) -> None:
        self._tokens.add(token)
        self._each(lambda node: node.listen(token))

    def ignore(self, token: str) -> None:
        self._tokens.discard(token)
        self._each(lambda node: node.ignore(token))

    def post(self, letters: Sequence[Posted]) -> None:
        self._each(lambda node: node.post(letters))

    def collect(self) -> list[Posted]:
        came: list[Posted] = []
        self._each(lambda node: came.extend(node.collect()))
        # A server that missed one must not bring the next before another brings that one.
        return sorted(came, key=lambda each: number_of(each[1]))

    def probe(self) -> None:
        with suppress(StoreError):  # what is left may be enough once the missing are back
            self._each(RedisMail.probe)
        self._open_missing()
        self._need_majority()

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()
        self._nodes.clear()

    forget = close

    def _each(self, call: Callable[[RedisMail], object]) -> None:
        """Call for each server there is. Raises StoreError if too few are left."""
        self._failed = []
        for number, node in list(self._nodes.items()):
            try:
                call(node)
            except StoreError as error:
                self._failed.append(error)
                del self._nodes[number]
                node.close()
        self._need_majority()

    def _open_missing(self) -> None:
        self._failed = []
        for number, place in enumerate(self._places):
            if number in self._nodes:
                continue
            try:
                node = RedisMail(place, self._quorum.step)
                for token in self._tokens:
                    node.listen(token)
                self._nodes[number] = node
            except StoreError as error:
                self._failed.append(error)

    def _need_majority(self) -> None:
        if len(self._nodes) >= self._quorum.majority:
            return
        self.close()
        raise self._quorum.too_few(self._failed)
