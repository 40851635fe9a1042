"""The stages after the rules: each takes a number of workers and gives one, with the reason.

Pure, and monotone: a higher number in never gives a lower one out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from ..clock import show_duration
from .policy import BUSY_ALL, BUSY_NONE, Rate
from .view import View

Stage = Callable[[int, View], tuple[int, str]]


def stabilisation(value: int, view: View) -> tuple[int, str]:
    """Up to the least of the up window, down to the most of the down window, as HPA does it.

    A recommendation stands until the next one, so the one before the window counts as well: a
    scaler that looks once in ten minutes has a past, too.
    """
    low = min(_within(view, view.policy.up_window))
    high = max(_within(view, view.policy.down_window))
    if low > view.actual:
        text = _window(view.policy.up_window, "least")
        return low, text if low < value else "no window holds it"
    if high < view.actual:
        text = _window(view.policy.down_window, "most")
        return high, text if high > value else "no window holds it"
    if value < view.actual:
        return view.actual, f"{_window(view.policy.down_window, 'most')} ({high})"
    if value > view.actual:
        return view.actual, f"{_window(view.policy.up_window, 'least')} ({low})"
    return view.actual, "as many as there are"


def busy_floor(value: int, view: View) -> tuple[int, str]:
    """Never fewer than are at work; it holds workers, it does not add any."""
    if view.policy.protect_busy == BUSY_NONE:
        return value, "not asked for"
    everybody = view.policy.protect_busy == BUSY_ALL and view.busy > 0
    floor = view.actual if everybody else min(view.busy, view.actual)
    if value < floor:
        return floor, f"{view.busy} at work" + (", so all stay" if everybody else "")
    return value, f"{view.busy} at work"


def rate_limit(value: int, view: View) -> tuple[int, str]:
    """So many in a period, where that is asked for."""
    rate = view.policy.max_up if value > view.actual else view.policy.max_down
    if rate is None or value == view.actual:
        return value, "none" if rate is None else "no change to limit"
    start = view.actual - sum(
        new - old for time, old, new in view.memory.changes if time > view.now - rate.period
    )
    step = _step(rate, start)
    if value > view.actual:
        limited = max(view.actual, min(value, start + step))
    else:
        limited = min(view.actual, max(value, start - step))
    held = "" if limited == value else ", held"
    return limited, f"at most {step} in {show_duration(rate.period)}{held}"


def cooldown(value: int, view: View) -> tuple[int, str]:
    """No change so soon after the last; a way up never waits for a way down."""
    policy, changes = view.policy, view.memory.changes
    if value > view.actual:
        since = max((time for time, old, new in changes if new > old), default=None)
        wait = policy.cooldown_up
    elif value < view.actual:
        since, wait = max((time for time, _, _ in changes), default=None), policy.cooldown_down
    else:
        return value, "no change to hold"
    if since is None or view.now >= since + wait:
        return value, "over"
    return view.actual, f"another {show_duration(since + wait - view.now)}"


def clamp(value: int, view: View) -> tuple[int, str]:
    """Between min and max, whatever was said before."""
    policy = view.policy
    inside = max(policy.min, min(value, policy.max))
    if inside == value:
        return value, f"within {policy.min} to {policy.max}"
    return inside, f"min = {policy.min}" if inside > value else f"max = {policy.max}"


def zero_gate(value: int, view: View) -> tuple[int, str]:
    """To none only after a time without any work; awake as soon as there is some."""
    policy = view.policy
    awake = min(policy.min_active, policy.max)
    if value > 0:
        if value < awake:
            return awake, f"min_active = {policy.min_active}"
        return value, "not about zero"
    if view.has_work:
        return awake, "there is work" if awake else "max = 0"
    if view.actual == 0:
        return 0, "nothing to do"
    idle = 0.0 if view.memory.idle_since is None else view.now - view.memory.idle_since
    # An estimate may lag: one that says "nothing" has to be said twice.
    if idle >= policy.idle_after and (view.exact or idle > 0):
        return 0, f"nothing to do for {show_duration(idle)}"
    return min(view.actual, awake), f"nothing to do for {show_duration(idle)} only"


def failures(value: int, view: View) -> tuple[int, str]:
    """An error is not "no work": while a probe fails, no worker goes."""
    if not view.failures:
        return value, "none"
    told = f"{len(view.failures)} failed: {view.failures[0]}"
    return max(value, view.actual), told + (", so none goes" if value < view.actual else "")


def pause(value: int, view: View) -> tuple[int, str]:
    """What an operator has paused does not happen."""
    if value > view.actual and view.now < view.pause.up:
        return view.actual, f"up is paused{_until(view.pause.up)}"
    if value < view.actual and view.now < view.pause.down:
        return view.actual, f"down is paused{_until(view.pause.down)}"
    return value, "none in the way"


#: In this order; the names are what people read.
STAGES: tuple[tuple[str, Stage], ...] = (
    ("stabilisation", stabilisation),
    ("busy floor", busy_floor),
    ("rate limit", rate_limit),
    ("cooldown", cooldown),
    ("min and max", clamp),
    ("zero gate", zero_gate),
    ("failures", failures),
    ("pause", pause),
)


def _within(view: View, window: float) -> list[int]:
    """Recommendations of the window, with the one that stood when it began."""
    start = view.now - window
    inside = [workers for time, workers in view.memory.history if time > start]
    before = [workers for time, workers in view.memory.history if time <= start]
    # Of a window of no length only the newest, which stands now, is left.
    return [*before[-1:], *inside]


def _window(seconds: float, which: str) -> str:
    return f"the {which} of the last {show_duration(seconds)}"


def _step(rate: Rate, start: int) -> int:
    if rate.workers is not None:
        return rate.workers
    return max(1, math.ceil(start * (rate.percent or 0.0) / 100))


def _until(until: float) -> str:
    if math.isinf(until):
        return ""
    return f" until {datetime.fromtimestamp(until).astimezone().isoformat(' ', 'seconds')}"
