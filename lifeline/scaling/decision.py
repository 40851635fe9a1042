"""What was decided, and why: the value that every tick gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """What one stage of the pipeline made of it: a number of workers, and why.

    `value` is None where a stage has no number: what a probe saw, a target that cannot be read.
    """

    stage: str
    value: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers there should be and how many there are.

    Both are None if it cannot be told how many there are: then nothing is written. `applied` is
    true if `desired` was written in this tick. `blocked` says that the target is left alone for
    now although the numbers differ; `failed` that a probe or the target gave an error, or was not
    asked for one that it gave before.
    """

    desired: int | None
    actual: int | None
    applied: bool
    reasons: tuple[Reason, ...]
    blocked: bool = False
    failed: bool = False

    @property
    def differs(self) -> bool:
        """True if there should be another number of workers than there is."""
        return self.desired != self.actual

    @property
    def why(self) -> str:
        """The reason of the last stage that changed the number, in one line."""
        found, value = self.reasons[-1], None
        for reason in self.reasons:
            if reason.value is not None and reason.value != value:
                found, value = reason, reason.value
        return f"{found.stage}: {found.text}"


@dataclass(frozen=True, slots=True)
class Pause:
    """An operator's "no more" (`up`) and "no fewer" (`down`): wall seconds until which it holds.

    0 is not paused, infinity is until it is resumed.
    """

    up: float = 0.0
    down: float = 0.0
