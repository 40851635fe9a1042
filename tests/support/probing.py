"""Asking probes, and what they may answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lifeline.scaling import plugins
from lifeline.scaling.errors import ProbeError
from lifeline.scaling.sample import Sample

_HOUR = 3600.0  # seconds: a time zone is off by more, no busy machine is


def probe(kind: str, **options: Any) -> Callable[[], Sample]:
    """A probe as lifeline.toml has it."""
    found: Callable[[], Sample] = plugins.make(plugins.PROBE, {"kind": kind, **options})
    return found


def assert_counts(seen: Sample, expected: Sample, waits: float | None = None) -> None:
    """Just these numbers; the oldest has been waiting for `waits` seconds and no hour longer."""
    assert replace(seen, oldest_age=None) == expected
    if waits is not None:
        assert seen.oldest_age is not None and waits <= seen.oldest_age < waits + _HOUR


def refused(found: Callable[[], Sample]) -> str:
    """The one line of the ProbeError that the probe raises; no password is in it."""
    with pytest.raises(ProbeError) as caught:
        found()
    told = str(caught.value)
    assert caught.value.exit_code == 75 and "\n" not in told and "hush" not in told
    return told
