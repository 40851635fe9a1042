"""From what was seen to a decision. Pure: the same code runs, explains and simulates.

    decide(readings, actual, memory, now, policy) -> (decision, memory)

No clock, no file, no network: what the caller hands in is all there is. What became of a decision
is told to the memory afterwards (`Memory.after_write`, `Memory.after_refusal`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..clock import show_duration
from .decision import Decision, Pause, Reason
from .memory import Memory
from .policy import Policy
from .rules import can_judge
from .sample import Reading, Sample
from .stages import STAGES, clamp, pause
from .view import View, look

NOT_PAUSED = Pause()


def decide(
    readings: Sequence[Reading],
    actual: int | None,
    memory: Memory,
    now: float,
    policy: Policy,
    *,
    busy: int | None = None,
    paused: Pause = NOT_PAUSED,
    unread: str = "",
) -> tuple[Decision, Memory]:
    """How many workers there should be, and the memory for the next tick.

    `readings` are the answers of all probes at `now` (wall seconds), `actual` the workers there
    are, None if the target cannot be read (`unread` says why). `busy` is what the target knows of
    workers at work.
    """
    if memory.at is not None and now < memory.at:
        memory = memory.shifted(now - memory.at)  # the clock was set back
    reasons = [_told(reading) for reading in readings]
    if actual is None:
        reasons.append(Reason("target", None, unread or "cannot be read, so nothing is written"))
        return Decision(None, None, False, tuple(reasons), failed=True), replace(memory, at=now)
    view = look(policy, readings, actual, busy, memory, now, paused)
    view = replace(view, memory=_seeded(view))
    value, held, view, from_rules = _ask_rules(view)
    reasons += from_rules
    if value is None:
        value, memory = _blind(view, reasons)
    else:
        view = replace(view, memory=_remember(view, held, value))
        memory = view.memory
        for name, stage in STAGES:
            value, text = stage(value, view)
            reasons.append(Reason(name, value, text))
    reasons.append(_last(value, view))
    failed = bool(view.failures)
    blocked = value != actual and memory.is_quiet(now)
    return Decision(value, actual, False, tuple(reasons), blocked, failed), memory


def longest(policy: Policy) -> float:
    """How many seconds of changes a memory has to keep for this policy."""
    rates = [rate.period for rate in (policy.max_up, policy.max_down) if rate]
    return max(policy.cooldown_up, policy.cooldown_down, *rates, 0.0)


def _ask_rules(view: View) -> tuple[int | None, dict[str, int], View, list[Reason]]:
    """The most that any rule asks for, raw and with hysteresis; None if none can answer.

    What is known while a probe fails is the least that there is to do: it may raise what was
    recommended and where rules stand, and lowers neither.
    """
    raw: list[tuple[int, str]] = []
    kept: dict[str, int] = {}
    unknown: list[str] = []
    for at, sample in view.samples.items():
        for number, rule in enumerate(view.policy.rules):
            if not can_judge(rule, sample):
                unknown.append("the probe does not tell how long the oldest job waits")
                continue
            bounds, key = rule.bounds(sample, view.actual), f"{at}.{number}"
            raw.append((bounds.enter, bounds.why))
            stood = view.memory.held.get(key, 0)
            kept[key] = max(bounds.enter, min(stood, bounds.stay))
    view = replace(view, failures=(*view.failures, *unknown))
    if not raw:
        return None, {}, view, []
    most, why = max(raw, key=lambda each: each[0])
    value = max(kept.values())
    text = "no step to hold" if value == most else "load is only just below its step"
    stood = view.memory.history[-1][1]
    if view.failures and value < stood:
        value, text = stood, "not less than before, while a probe fails"
    if view.failures:
        kept = {key: max(each, view.memory.held.get(key, 0)) for key, each in kept.items()}
    return value, kept, view, [Reason("rules", most, why), Reason("hysteresis", value, text)]


def _seeded(view: View) -> Memory:
    """The past, where it has to begin anew: with the workers that there are.

    At a first tick, or a restart would drop the fleet; and where there is another number than was
    left, for somebody has meant that.
    """
    memory = view.memory
    if memory.history and memory.actual in (None, view.actual):
        return memory
    return replace(memory, history=(*memory.history, (view.now, view.actual)))


def _recommended(view: View, workers: int) -> tuple[tuple[float, int], ...]:
    """The history with a recommendation of now; what no window reaches any more is left out."""
    start = view.now - max(view.policy.up_window, view.policy.down_window)
    history = (*view.memory.history, (view.now, workers))
    outside = sum(1 for time, _ in history if time <= start)
    return history[max(0, outside - 1) :]


def _remember(view: View, held: dict[str, int], recommended: int) -> Memory:
    """The past with this tick in it."""
    memory, now = view.memory, view.now
    idle = None
    if not view.has_work and not view.failures:
        idle = now if memory.idle_since is None else memory.idle_since
    return replace(
        memory,
        at=now,
        actual=view.actual,
        history=_recommended(view, recommended),
        held={**memory.held, **held},
        idle_since=idle,
        blind_since=None,
    )


def _blind(view: View, reasons: list[Reason]) -> tuple[int, Memory]:
    """No probe can answer: all stays as it is, or the fallback after its time."""
    policy, now = view.policy, view.now
    since = now if view.memory.blind_since is None else view.memory.blind_since
    memory = replace(view.memory, at=now, actual=view.actual, blind_since=since, idle_since=None)
    fallback = policy.on_error
    value, text = view.actual, f"no answer for {show_duration(now - since)}: all stays as it is"
    if fallback and now - since >= fallback.after:
        value = max(view.actual, fallback.at_least)
        text = f"no answer for {show_duration(now - since)}: at least {fallback.at_least}"
        if fallback.at_least > memory.history[-1][1]:
            # So that whom it has started goes as others do, after the window: not with the first
            # answer, to come again with the next failure.
            memory = replace(memory, history=_recommended(view, fallback.at_least))
    reasons.append(Reason("failures", value, text))
    within, text = clamp(value, view)
    value = max(view.actual, within)  # never fewer, for want of an answer
    reasons.append(Reason("min and max", value, text))
    value, text = pause(value, view)
    reasons.append(Reason("pause", value, text))
    return value, memory


def _last(value: int, view: View) -> Reason:
    memory, now = view.memory, view.now
    if value == view.actual:
        return Reason("apply", value, "as many as there are")
    if memory.is_quiet(now):
        left = show_duration((memory.quiet_until or now) - now)
        return Reason("apply", value, f"{view.actual} -> {value}, once the target answers: {left}")
    return Reason("apply", value, f"{view.actual} -> {value}")


def _told(reading: Reading) -> Reason:
    if not isinstance(reading, Sample):
        return Reason("probe", None, f"failed: {reading.reason}")
    facts = [f"{reading.ready:g} ready", f"{reading.busy:g} busy"]
    if reading.future:
        facts.append(f"{reading.future:g} later")
    if reading.oldest_age is not None:
        facts.append(f"oldest {reading.oldest_age:.3g} s")
    if not reading.exact:
        facts.append("estimated")
    return Reason("probe", None, ", ".join(facts))
