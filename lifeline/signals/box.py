"""The box of one holder: which calls are for it, which are new, and what is answered.

Each sender's calls are numbered and follow each other, so what comes with a lower number than the
last one is a late copy, and what comes with the same one is a copy: answered as the first was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .letters import HEARD, Answer, Call
from .payload import Payload
from .port import Posted

_MOST_SENDERS = 1000  # whose last number is known


@dataclass(slots=True)
class _Last:
    """What is known of a sender: its last call, and whether that has been answered."""

    number: int
    answered: bool = False


class Delivery:
    """A payload on its way to the code that waits for it."""

    __slots__ = ("_answer", "payload")

    def __init__(self, payload: Payload, answer: Callable[[], None]) -> None:
        self.payload = payload
        self._answer = answer

    def took(self) -> None:
        """It is in the hands of the code: tell the sender, if that wants to know."""
        self._answer()


class Box:
    """For the holder `owner` of a slot, for as long as `is_alive()`.

    None as `owner` is for one who overhears: it takes what is for any holder, and answers nothing.

    `give` is called with each delivery and says whether somebody takes such a thing; `answer` sends
    a letter. Where nothing tells of letters, they are looked for `every` so many seconds.
    """

    def __init__(
        self,
        name: str,
        slot: int,
        owner: str | None,
        is_alive: Callable[[], bool],
        give: Callable[[Delivery], bool],
        every: float = 5.0,
    ) -> None:
        self.name = name
        self.slot = slot
        self.owner = owner
        self.every = every
        self._is_alive = is_alive
        self._give = give
        self._senders: dict[str, _Last] = {}

    def take(self, letter: bytes, answer: Callable[[Posted], None]) -> None:
        """Take in a letter that came to this box; others than calls are passed over."""
        call = Call.parse(letter)
        if call is None or not self._is_for_me(call) or not self._is_alive():
            return
        last = self._senders.get(call.sender)
        if last is not None and call.number <= last.number:
            if call.number == last.number and last.answered:
                self._answer(call, last, answer)
            return
        last = _Last(call.number)
        delivery = Delivery(Payload(call.payload), self._taken(call, last, answer))
        if not self._give(delivery):
            return
        self._remember(call.sender, last)
        if call.when == HEARD:
            self._answer(call, last, answer)

    def _is_for_me(self, call: Call) -> bool:
        return self.owner is None or call.owner in ("", self.owner)

    def _taken(
        self, call: Call, last: _Last, answer: Callable[[Posted], None]
    ) -> Callable[[], None]:
        def tell() -> None:
            if call.when != HEARD:
                self._answer(call, last, answer)

        return tell

    def _answer(self, call: Call, last: _Last, answer: Callable[[Posted], None]) -> None:
        last.answered = True
        if call.reply and self.owner is not None:
            answer((call.reply, Answer(call.sender, call.number, self.slot).encode()))

    def _remember(self, sender: str, last: _Last) -> None:
        self._senders.pop(sender, None)  # the one that spoke last is at the end
        self._senders[sender] = last
        if len(self._senders) > _MOST_SENDERS:
            del self._senders[next(iter(self._senders))]
