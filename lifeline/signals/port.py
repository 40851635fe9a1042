"""What a store does for signals: verbs without time.

A letter goes to a *token*, which is 16 or 32 hexadecimal digits and nothing else, whatever names
and payloads hold: that of a holder's box, or the one of a sender, for answers. A store makes of a
token what it needs (a channel, a file, an item) and knows nothing of what is in a letter.

As with leases, a verb never sleeps, loops in time, retries or starts a thread, and raises
`errors.StoreError` if it fails. After that the connection is good for nothing but `close`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

Posted = tuple[str, bytes]  # the token, and what it got
TOKEN = re.compile(r"[0-9a-f]{16}(?:[0-9a-f]{16})?\Z")


def check_token(token: str) -> str:
    """`token`, which is made here, so anything else is a fault. Raises ValueError."""
    if not TOKEN.match(token):
        raise ValueError("a token has 16 or 32 hexadecimal digits")
    return token


class Mail(Protocol):
    """A connection of its own for letters. Used by one thread at a time."""

    #: True if nothing tells that a letter has come: collect now and then. What one has collected
    #: is not there for another.
    polls: bool

    def box(self, name: str, slot: int) -> str:
        """The token of whoever holds this slot."""

    def descriptors(self) -> Sequence[int]:
        """Those that can be read when there may be something to collect."""

    def listen(self, token: str) -> None:
        """Collect what is posted to the token from now on."""

    def ignore(self, token: str) -> None:
        """Do so no more."""

    def post(self, letters: Sequence[Posted]) -> None:
        """Send each, in this order. Returns once the store has them."""

    def collect(self) -> list[Posted]:
        """Take in what is there, in the order of posting. Waits for nothing.

        What `post` and `listen` have met on the way is there, though no descriptor says so.
        """

    def probe(self) -> None:
        """Return if letters would still come through."""

    def close(self) -> None:
        """Let go of the connection, and of what was made for it."""

    def forget(self) -> None:
        """In a forked child: let go of it without a word to anybody."""
