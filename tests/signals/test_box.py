"""What a holder makes of letters, without any store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.errors import UsageError
from lifeline.signals.box import Box, Delivery
from lifeline.signals.letters import HEARD, TAKEN, Answer, Call
from lifeline.signals.payload import Payload, check_payload
from lifeline.signals.port import Posted, check_token

OWNER, OTHER = "0" * 32, "1" * 32
REPLY = "a" * 32
CALL = Call("b" * 16, 1, OWNER, REPLY, HEARD, b"hello")


class Holder:
    """One who holds slot 3, what it was given, and what it answered."""

    def __init__(self, owner: str | None = OWNER) -> None:
        self.alive = True
        self.accepts = True
        self.given: list[Delivery] = []
        self.answers: list[Posted] = []
        self._box = Box("name", 3, owner, lambda: self.alive, self._give)

    def _give(self, delivery: Delivery) -> bool:
        if self.accepts:
            self.given.append(delivery)
        return self.accepts

    def take(self, *calls: Call) -> list[bytes]:
        """What it has been given once these have come."""
        for call in calls:
            self._box.take(call.encode(), self.answers.append)
        return [delivery.payload for delivery in self.given]


def test_a_call_is_given_and_answered() -> None:
    """At once, to its sender, with the slot."""
    holder = Holder()
    assert holder.take(CALL) == [b"hello"]
    assert holder.answers == [(REPLY, Answer(CALL.sender, 1, 3).encode())]
    assert Answer.parse(holder.answers[0][1]) == Answer(CALL.sender, 1, 3)


def test_a_copy_is_answered_and_not_given() -> None:
    """The first answer may have been lost."""
    holder = Holder()
    assert holder.take(CALL, CALL) == [b"hello"]
    assert len(holder.answers) == 2


def test_what_is_late_is_dropped() -> None:
    """A sender's calls follow each other: an older one than the last would come out of order."""
    holder = Holder()
    assert holder.take(replace(CALL, number=2), CALL) == [b"hello"]
    assert len(holder.answers) == 1
    assert len(holder.take(replace(CALL, sender="c" * 16))) == 2


def test_acknowledged_is_answered_when_taken() -> None:
    """Not before, and copies before that are neither given nor answered."""
    holder = Holder()
    call = replace(CALL, when=TAKEN)
    assert holder.take(call, call) == [b"hello"]
    assert holder.answers == []
    holder.given[0].took()
    holder.take(call)
    assert len(holder.answers) == 2
    assert len(holder.given) == 1


@pytest.mark.parametrize("why", ["another's", "lost", "refused"])
def test_nothing_is_answered_by_who_does_not_take_it(why: str) -> None:
    """What is for an earlier holder, what comes after the loss, what nobody deals with."""
    holder = Holder()
    call = replace(CALL, owner=OTHER) if why == "another's" else CALL
    holder.alive, holder.accepts = why != "lost", why != "refused"
    assert holder.take(call) == []
    assert holder.answers == []


def test_where_the_store_does_not_tell_the_owner_the_slot_counts() -> None:
    """A call without an owner is for whoever holds the slot."""
    assert Holder().take(replace(CALL, owner="")) == [b"hello"]


def test_one_who_overhears_takes_what_is_for_anybody() -> None:
    """Each call once, though holders change meanwhile, and answers none."""
    listener = Holder(owner=None)
    calls = [CALL, replace(CALL, owner=OTHER), replace(CALL, number=2, owner="", when=TAKEN)]
    assert listener.take(*calls) == [b"hello", b"hello"]
    for delivery in listener.given:
        delivery.took()
    assert listener.answers == []


@given(st.binary(max_size=300))
def test_junk_is_passed_over(letter: bytes) -> None:
    """Anybody who may write to the store can put anything there."""
    assert Call.parse(letter) is None
    assert Answer.parse(letter) is None
    assert Call.parse(b"lifeline/1 call " + letter) is None


@given(st.binary(max_size=7000), st.sampled_from([OWNER, ""]), st.sampled_from([REPLY, ""]))
def test_a_call_is_read_as_it_was_written(payload: bytes, owner: str, reply: str) -> None:
    call = Call("0123456789abcdef", 12, owner, reply, TAKEN, payload)
    assert Call.parse(call.encode()) == call
    assert len(call.encode()) < 7900 + 4096


@pytest.mark.parametrize(
    "change",
    [
        {"reply": "../../../../../../../../../../etc"},
        {"reply": "x; DROP TABLE y"},
        {"sender": "b" * 15},
        {"owner": "*" * 32},
        {"payload": b"x" * 7001},
    ],
)
def test_a_forged_call_is_passed_over(change: dict[str, str]) -> None:
    """A token that is none, a payload that is too large."""
    assert Call.parse(replace(CALL, **change).encode()) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "token", ["", "../x", "a" * 15, "A" * 16, "a" * 17, "a" * 33, "a" * 16 + "\n"]
)
def test_a_token_is_hexadecimal(token: str) -> None:
    """What goes into a path, a channel or SQL can be nothing else."""
    with pytest.raises(ValueError, match="hexadecimal"):
        check_token(token)


def test_a_payload_is_bytes_with_text_and_json() -> None:
    """It equals what was sent."""
    payload = Payload(check_payload('{"at": "東京"}'))
    assert payload == '{"at": "東京"}'.encode()
    assert payload.text == '{"at": "東京"}'
    assert payload.json() == {"at": "東京"}
    assert Payload(b"\xff").text == "\N{REPLACEMENT CHARACTER}"
    with pytest.raises(UsageError, match="7001 bytes and may have 7000"):
        check_payload(b"x" * 7001)
