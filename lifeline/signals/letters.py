"""What goes over the wire: one line of words, and after a call its payload. It is a format.

A receiver passes over whatever does not fit: anybody who may write to the store can put anything
there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .payload import LARGEST

HEARD, TAKEN = "heard", "taken"  # when a call is to be answered

_CALL = re.compile(
    rb"lifeline/1 call ([0-9a-f]{16}) ([0-9]{1,18}) ([0-9a-f]{32}|-) ([0-9a-f]{32}|-) "
    rb"(heard|taken)\n"
)
_ANSWER = re.compile(rb"lifeline/1 answer ([0-9a-f]{16}) ([0-9]{1,18}) ([0-9]{1,4})\Z")


@dataclass(frozen=True, slots=True)
class Call:
    """Something for a holder. `number` rises with each call of one `sender`.

    `owner` is whose it is, empty if the store did not tell; `reply` is the token for the answer,
    empty if none is wanted.
    """

    sender: str
    number: int
    owner: str
    reply: str
    when: str
    payload: bytes

    def encode(self) -> bytes:
        words = (self.sender, str(self.number), self.owner or "-", self.reply or "-", self.when)
        return b"lifeline/1 call %b\n%b" % (" ".join(words).encode(), self.payload)

    @classmethod
    def parse(cls, letter: bytes) -> Call | None:
        """The call, if it is one."""
        head = _CALL.match(letter)
        if head is None or len(letter) - head.end() > LARGEST:
            return None
        sender, number, owner, reply, when = (word.decode() for word in head.groups())
        return cls(
            sender,
            int(number),
            owner.strip("-"),
            reply.strip("-"),
            when,
            letter[head.end() :],
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The holder of a slot has got the call."""

    sender: str
    number: int
    slot: int

    def encode(self) -> bytes:
        return f"lifeline/1 answer {self.sender} {self.number} {self.slot}".encode()

    @classmethod
    def parse(cls, letter: bytes) -> Answer | None:
        """The answer, if it is one."""
        words = _ANSWER.match(letter)
        if words is None:
            return None
        return cls(words[1].decode(), int(words[2]), int(words[3]))


def number_of(letter: bytes) -> int:
    """What a call's number is: copies of the same letters can be put in order by it."""
    head = _CALL.match(letter)
    return int(head[2]) if head else 0
