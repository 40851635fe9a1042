"""One tick as data: what was seen, what came of it, and what the memory makes of that. Pure.

This is what a trace holds, so a replay goes through the same two functions as a running scaler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .decision import Decision, Pause, Reason
from .memory import Memory
from .pipeline import NOT_PAUSED, decide, longest
from .policy import Policy
from .sample import Reading

READ, KNOWN, UNREAD = "read", "known", "unread"


@dataclass(frozen=True, slots=True)
class Moment:
    """What was seen at `now` (wall seconds).

    `how` says where `actual` comes from: READ from the target; KNOWN from before, because the
    target is left alone; UNREAD, and None, because of `error`. For `retry_after` seconds the target
    asks to be left alone. `refused` is False where it was not even asked (a lease that ends).
    """

    now: float
    readings: tuple[Reading, ...]
    actual: int | None
    busy: int | None = None
    how: str = READ
    error: str = ""
    retry_after: float | None = None
    refused: bool = False
    paused: Pause = NOT_PAUSED


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a write: `applied`, or `error`; neither if none was due. After both the target
    may ask to be left alone for `retry_after` seconds."""

    applied: bool = False
    error: str = ""
    retry_after: float | None = None


def judge(moment: Moment, memory: Memory, policy: Policy) -> tuple[Decision, Memory]:
    """The decision of a moment, and the memory before anything is written."""
    decision, memory = decide(
        moment.readings,
        moment.actual,
        memory,
        moment.now,
        policy,
        busy=moment.busy,
        paused=moment.paused,
        unread=moment.error,
    )
    if moment.how == UNREAD and moment.refused:
        memory = memory.after_refusal(moment.now, policy.every, moment.retry_after, None)
    elif moment.how == READ:
        memory = memory.after_answer(decision.differs).resting(moment.now, moment.retry_after)
    elif moment.how == KNOWN:
        # Nothing was seen of the fleet: whoever asks must not hear that all is well.
        told = Reason("target", None, f"{moment.error}: {decision.actual} as last seen")
        decision = replace(decision, reasons=(*decision.reasons, told), failed=True)
    return decision, memory


def settle(
    outcome: Outcome, decision: Decision, memory: Memory, now: float, policy: Policy
) -> Memory:
    """The memory once it is known what became of the decision."""
    if decision.actual is None or decision.desired is None:
        return memory
    if outcome.applied:
        keep = longest(policy)
        memory = memory.after_write(now, decision.actual, decision.desired, longest=keep)
        return memory.resting(now, outcome.retry_after)
    if outcome.error:
        return memory.after_refusal(now, policy.every, outcome.retry_after, decision.desired)
    return memory
