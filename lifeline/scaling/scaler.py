"""The scaler: one sample, one decision, at most one write, as often as it is told to tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from .. import clock as clocks
from ..clock import show_duration
from ..errors import LeaseLost, StateUnusable, UsageError
from ..options import check_name
from . import given
from .asking import Asker, Probe, reason_of
from .decision import Decision, Reason
from .errors import TargetError
from .memory import Memory
from .moment import KNOWN, READ, UNREAD, Moment, Outcome, judge, settle
from .pipeline import NOT_PAUSED
from .policy import policy_of
from .state import ScalerState

PATIENCE = 10.0  # seconds that one call to a target may take which says nothing of its own
_TOO_LITTLE = 2.0  # seconds of a lease: no call is begun with less


class Target(Protocol):
    """What sets how many workers run.

    It may also have `busy() -> int`, how many workers are at work; `timeout`, the number of seconds
    that a call may take, which is set before each one: never to more than it was; `tend()`, what is
    to be done at each tick that may change something, whatever the number; and `rest`, for how many
    seconds it asks to be left alone from now on although all went well. It raises TargetError.
    """

    def read(self) -> int:
        """How many workers there are now."""

    def write(self, n: int, /) -> None:
        """Let there be `n`. Absolute, so doing it twice does nothing."""


@runtime_checkable
class Lease(Protocol):
    """What shows that this is the only scaler of its fleet."""

    def check(self) -> None:
        """Raises LeaseLost if it is not any more."""

    def left(self) -> float:
        """For how many seconds it still is without a word from the store."""


class Tick:
    """Everything about one tick: for traces and `explain`."""

    __slots__ = ("before", "decision", "moment", "outcome")

    def __init__(
        self, before: Memory, moment: Moment, decision: Decision, outcome: Outcome
    ) -> None:
        self.before = before
        self.moment = moment
        self.decision = decision
        self.outcome = outcome


class Scaler:
    """Keeps as many workers as there is work.

    `probe` is a callable, or several, that return a number or a Sample, or raise. `target` has
    `read()` and `write(n)`. `rules`, `min`, `max` and all other options are those of lifeline.toml
    (docs/scaling.md). Nothing is written unless `apply` is true. With a `name`, what it remembers
    is kept in the state directory, and a restart changes nothing. Raises UsageError for what
    cannot be meant.
    """

    def __init__(
        self,
        probe: Probe | Sequence[Probe],
        target: Target,
        rules: Sequence[Mapping[str, Any]],
        *,
        name: str | None = None,
        apply: bool = False,
        lease: Lease | None = None,
        clock: Callable[[], float] = clocks.wall,
        on_tick: Callable[[Tick], None] | None = None,
        **options: Any,
    ) -> None:
        self.policy = policy_of({"rules": rules, **options})
        self.name = None if name is None else check_name(name)
        self.apply = apply
        self.target = _checked_target(target)
        self._patience = _patience_of(target)
        self._probes = _checked_probes(probe)
        self._asker = Asker(self._probes, self.policy.timeout)
        self._lease = lease
        self._clock = clock
        self._on_tick = on_tick
        self._state = None if name is None else ScalerState(name)
        self._memory = Memory()
        self._unsaved = False  # the state directory could not be written: ours is newer

    def tick(self) -> Decision:
        """Take one sample, decide, and apply it, or say what would be done.

        Raises LeaseLost if this is not the only scaler any more, StateUnusable if what it
        remembers cannot be read. Failing probes and targets are in the decision.
        """
        before, moment, decision, memory = self._decide()
        outcome = self._write(decision)
        memory = settle(outcome, decision, memory, moment.now, self.policy)
        decision = _with(decision, outcome, self.apply)
        decision = self._remember(memory, decision)
        if self._on_tick:
            self._on_tick(Tick(before, moment, decision, outcome))
        return decision

    def explain(self) -> Tick:
        """What a tick would do now. Nothing is written or remembered."""
        before, moment, decision, _ = self._decide()
        return Tick(before, moment, decision, Outcome())

    def observe(self) -> Moment:
        """What there is to see now, without deciding anything."""
        return self._look(self._recall())

    def _decide(self) -> tuple[Memory, Moment, Decision, Memory]:
        before = self._recall()
        moment = self._look(before)
        return before, moment, *judge(moment, before, self.policy)

    # --- looking ------------------------------------------------------------------------------

    def _look(self, memory: Memory) -> Moment:
        readings = self._asker.ask()
        now = self._clock()
        pause = self._state.pause(now) if self._state else NOT_PAUSED
        moment = Moment(now, readings, None, paused=pause)
        if memory.is_quiet(now):
            left = show_duration((memory.quiet_until or now) - now)
            error = f"left alone for another {left}"
            if memory.actual is None:
                return replace(moment, how=UNREAD, error=error)
            return replace(moment, how=KNOWN, actual=memory.actual, error=error)
        return self._read(moment)

    def _read(self, moment: Moment) -> Moment:
        found: list[int] = []
        for ask in filter(None, (self.target.read, getattr(self.target, "busy", None))):
            if not self._may_call():
                error = "the lease is about to end: nothing is asked"
                return replace(moment, how=UNREAD, error=error)
            try:
                found.append(given.workers(ask(), "what the target tells"))
            except Exception as failed:
                return replace(
                    moment,
                    how=UNREAD,
                    error=f"cannot be read: {reason_of(failed)}",
                    retry_after=_pause_of(failed),
                    refused=True,
                )
        return replace(
            moment,
            how=READ,
            actual=found[0],
            busy=found[1] if found[1:] else None,
            retry_after=self._rest(),
        )

    # --- writing ------------------------------------------------------------------------------

    def _write(self, decision: Decision) -> Outcome:
        if not self.apply or decision.blocked or decision.desired is None:
            return Outcome()
        try:
            if tend := getattr(self.target, "tend", None):
                if not self._may_call():
                    return Outcome()
                tend()
            if not decision.differs or not self._may_call():
                return Outcome()
            self.target.write(decision.desired)
        except LeaseLost:
            raise
        except Exception as error:
            return Outcome(error=reason_of(error), retry_after=_pause_of(error))
        return Outcome(applied=True, retry_after=self._rest())

    def _rest(self) -> float | None:
        """For how many seconds the target asks to be left alone after a call that went well."""
        rest = getattr(self.target, "rest", None)
        return float(rest) if rest and isinstance(rest, (int, float)) else None

    def _may_call(self) -> bool:
        """Ask the lease, and bound the next call by what is left of it."""
        patience = self._patience
        if self._lease:
            self._lease.check()
            left = self._lease.left()
            if left < _TOO_LITTLE:
                return False
            patience = min(patience, left / 2)
        if hasattr(self.target, "timeout"):
            self.target.timeout = patience
        return True

    # --- remembering --------------------------------------------------------------------------

    def _recall(self) -> Memory:
        """The memory; what this process has, if the state directory is not to be had."""
        if self._state is None or self._unsaved:
            return self._memory
        try:
            return self._state.memory()
        except StateUnusable:
            if self._memory.at is None:
                raise
            return self._memory

    def _remember(self, memory: Memory, decision: Decision) -> Decision:
        self._memory = memory
        if self._state:
            try:
                self._state.remember(memory, of_fleet=self._lease is not None)
                self._unsaved = False
            except StateUnusable as error:
                self._unsaved = True
                reason = Reason("memory", None, f"not kept: {error}")
                return replace(decision, reasons=(*decision.reasons, reason))
        return decision


def _with(decision: Decision, outcome: Outcome, apply: bool) -> Decision:
    """The decision with what became of it."""
    if outcome.applied:
        return replace(decision, applied=True)
    if outcome.error:
        reason = Reason("target", None, f"refused: {outcome.error}")
        return replace(decision, failed=True, reasons=(*decision.reasons, reason))
    if decision.differs and not apply:
        reason = Reason("dry run", None, "nothing is written: apply = true would do it")
        return replace(decision, reasons=(*decision.reasons, reason))
    return decision


def _patience_of(target: Target) -> float:
    """The target's own `timeout`, in seconds, where it has one that is one."""
    own = getattr(target, "timeout", None)
    is_one = isinstance(own, (int, float)) and not isinstance(own, bool) and own > 0
    return float(own) if is_one and own is not None else PATIENCE


def _pause_of(error: Exception) -> float | None:
    """For how many seconds the platform asks to be left alone."""
    return error.retry_after if isinstance(error, TargetError) else None


def _checked_probes(probe: object) -> tuple[Probe, ...]:
    probes = tuple(probe) if isinstance(probe, (list, tuple)) else (probe,)
    if not probes:
        raise UsageError("there is no probe")
    for each in probes:
        if isinstance(each, type):
            raise UsageError(f"the probe {each.__name__} is a class: give one of it, called")
        if not callable(each):
            raise UsageError(f"a probe has to be callable, and {type(each).__name__} is not")
    return probes


def _checked_target(target: Target) -> Target:
    if isinstance(target, type):
        raise UsageError(f"the target {target.__name__} is a class: give one of it, called")
    for verb in ("read", "write"):
        if not callable(getattr(target, verb, None)):
            raise UsageError(
                f"a target needs read() and write(n); {type(target).__name__} has no {verb}"
            )
    return target
