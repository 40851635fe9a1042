"""How much work there is, as one probe saw it at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import ProbeError

_MOST = 1e15  # jobs, or seconds: more is no measurement


@dataclass(frozen=True, slots=True)
class Sample:
    """What a probe saw. Raises ProbeError for what cannot be true: None, NaN, less than nothing.

    `ready` jobs could be started now, `busy` ones are being worked on, `future` ones are not due
    yet; `oldest_age` is for how many seconds the oldest ready job has been waiting, None if the
    queue does not tell. `exact` is False where the queue itself gives only an estimate.
    """

    ready: float
    busy: float = 0
    future: float = 0
    oldest_age: float | None = None
    exact: bool = True

    def __post_init__(self) -> None:
        for name in ("ready", "busy", "future", "oldest_age"):
            value = getattr(self, name)
            if name != "oldest_age" or value is not None:
                _check(name, value)


@dataclass(frozen=True, slots=True)
class Failure:
    """A probe gave no answer; `reason` says why, in one line and without secrets."""

    reason: str


Reading = Sample | Failure


def sample_of(value: object) -> Sample:
    """What a probe returned, as a Sample. Raises ProbeError if it is no number and no Sample."""
    if isinstance(value, Sample):
        return value
    _check("ready", value)
    assert isinstance(value, (int, float))
    return Sample(value)


def total(samples: Sequence[Sample]) -> Sample:
    """Several queues as one: sums, and the age of the oldest job of all.

    The age is not known if that of any queue with ready jobs is not.
    """
    ages = [each.oldest_age for each in samples if each.oldest_age is not None]
    is_known = all(each.oldest_age is not None or not each.ready for each in samples)
    return Sample(
        ready=sum(each.ready for each in samples),
        busy=sum(each.busy for each in samples),
        future=sum(each.future for each in samples),
        oldest_age=max(ages) if ages and is_known else None,
        exact=all(each.exact for each in samples),
    )


def _check(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ProbeError(f"the probe says {name} = {value!r:.40}, which is no number")
    if value < 0:
        raise ProbeError(f"the probe says {name} = {value!r:.40}, which is less than nothing")
    if not value < _MOST:  # neither is not-a-number
        raise ProbeError(f"the probe says {name} = {value!r:.40}, which counts nothing")
