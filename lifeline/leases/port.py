"""What a store has to be able to do: verbs without time.

A backend makes one round trip for each verb, and answers. It never sleeps, loops, retries or
starts a thread; when to ask again, when to give up and what an answer means is the kernel's.

Refusal is a value, failure is an exception: a taken lease is `Taken`; a store that gives no
answer, or one that proves nothing, raises `errors.StoreError`. Then nothing is known: the request
may have been carried out. Each verb can be sent again for that reason; for the same owner, the
second `try_acquire` is granted what the first one was, and its ttl counts from the second one on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..signals.port import Mail
from .lease import LOST, RENEWED, UNKNOWN

__all__ = [
    "BAD",
    "GOOD",
    "LOST",
    "NOTE",
    "RENEWED",
    "UNKNOWN",
    "WARNING",
    "Backend",
    "Claim",
    "Finding",
    "Granted",
    "Info",
    "Mail",
    "Request",
    "Seen",
    "Taken",
    "Wake",
]

Info = Mapping[str, "str | int | float"]


@dataclass(frozen=True, slots=True)
class Request:
    """Asks for one slot of `name`, the first of `order` that is free.

    `owner` is random for each acquisition (32 hexadecimal digits); `ttl` is in seconds; `info` is
    shown to people (host, pid, since, command). `observed` maps a slot to the version of a lease
    that was seen unchanged for longer than its ttl: a store without a clock of its own may give
    the slot away if its version still is that one.
    """

    name: str
    slots: int
    order: tuple[int, ...]
    owner: str
    ttl: float
    info: Info = field(default_factory=dict)
    observed: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Granted:
    """The slot is the owner's. Work may begin after `wait` seconds, counted from the answer.

    `fence` is greater than with every earlier acquisition of this slot. `wait` is above zero where
    the store gave the slot away before the holder before had to be gone.
    """

    slot: int
    fence: int
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A lease as the store shows it. `owner` is empty if the slot is free.

    `left` is the number of seconds until the store gives it away by itself, None if it never does
    or cannot tell. `version` is set by stores without a clock: it changes with each renewal.
    """

    name: str
    slot: int
    slots: int
    owner: str
    fence: int
    ttl: float
    info: Info = field(default_factory=dict)
    left: float | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """No slot is free; `seen` are the leases in the way, as far as the store tells."""

    seen: tuple[Seen, ...] = ()

    def holders(self) -> str:
        """Who is in the way, for people."""
        held = [seen.info for seen in self.seen if seen.owner]
        who = ", ".join(f"{info.get('host', '?')} pid {info.get('pid', '?')}" for info in held)
        return who or "somebody"


@dataclass(frozen=True, slots=True)
class Claim:
    """A granted lease, as its holder names it to the store."""

    name: str
    slot: int
    slots: int
    owner: str
    fence: int
    ttl: float
    info: Info = field(default_factory=dict)


GOOD, NOTE, WARNING, BAD = "good", "note", "warning", "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `lifeline lock check` looked at; `advice` says what to do about it."""

    level: str
    what: str
    advice: str = ""


class Wake(Protocol):
    """Tells at once that a lease of one name may have been released."""

    def fileno(self) -> int:
        """The descriptor that can be read when there is something to drain."""

    def drain(self) -> bool:
        """Take in what is there; true if a lease of the name was released. Never blocks.

        Raises StoreError if nothing will be told any more.
        """

    def close(self) -> None: ...


class Backend(Protocol):
    """A store. Used by one thread at a time; the kernel sees to that."""

    @property
    def patience(self) -> float:
        """How long, in seconds, a verb may take before it raises.

        It is set by who uses the store, to leave room for another try; a store that cannot be
        hurried keeps its own.
        """

    @patience.setter
    def patience(self, seconds: float) -> None: ...

    def try_acquire(self, request: Request) -> Granted | Taken:
        """Take the first free slot of the request's order.

        Raises SlotsMismatch if the name is held with another number of slots, StoreError if the
        outcome is not known or the store cannot be used.
        """

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        """Extend each claim that still is its owner's: an answer for each, in their order.

        Never makes a claim anew: what is missing is LOST, though the slot be free. Raises
        StoreError if nothing is known of any.
        """

    def release(self, claim: Claim) -> bool:
        """Free the slot, if it is this owner's, and wake who waits. The fence stays.

        False if it was not the owner's any more: the lease was lost before.
        """

    def holders(self, name: str | None = None) -> list[Seen]:
        """Every lease that is held, of `name` or of all names, by name and slot."""

    def break_lease(self, name: str, slot: int) -> int | None:
        """Take the slot from whoever holds it and move the fence on: the new fence.

        None if there is no such lease. The holder's next renewal says LOST; guarded writes of
        its fence are refused from now on.
        """

    def watch(self, name: str) -> Wake | None:
        """Hear of releases; None if the store does not tell."""

    def mail(self) -> Mail:
        """A connection for signals: another one, which any thread may open at any time.

        Raises StoreRefused if this store, or what is before it, carries none.
        """

    def check(self) -> list[Finding]:
        """What is right and wrong with the store, for people."""

    def setup(self) -> list[str]:
        """Create what the store needs; a line for each thing done. Done twice, it does nothing."""

    def close(self) -> None:
        """Let go of the connection. Leases are not released."""

    def forget(self) -> None:
        """In a forked child: let go of the connection without a word to the server."""
