"""Durations as people write them, and as they are shown."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline import clock
from lifeline.clock import parse_duration, show_duration
from lifeline.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5),
        (" 7 ", 7),
        ("10s", 10),
        ("250ms", 0.25),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("1w1d1h1m1s", 694861),
        ("30m1h", 5400),
        ("100d", 8640000),
    ],
)
def test_a_duration_is_seconds_or_numbers_with_units(text: str, seconds: float) -> None:
    """Both ways of writing one are read."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "s", "m5", "-5", "+5", "5x", "5 m", "1h 30m", "1h30", "30 1h", "five", "1e3"),
        *("1.2.3", ".", "..", "1..5", "5S", "5M", "inf", "nan", "infinity", "0x10", "1_000"),
        *("²", "\u0665", "5µs", "5\n6", "5s\0", "1h-5m", "-1h", "'5'", "5,5"),
    ],
)
def test_anything_else_is_no_duration(text: str) -> None:
    """One line says how to write one."""
    with pytest.raises(UsageError, match="is not a duration: write") as caught:
        parse_duration(text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["5300w", "9" * 400, "36526d", "1" + "0" * 30])
def test_no_duration_is_longer_than_a_hundred_years(text: str) -> None:
    """What cannot be shown as a date, or counted in clock ticks, is refused."""
    with pytest.raises(UsageError, match="longer than a hundred years"):
        parse_duration(text)
    assert parse_duration("36525d") == 36525 * 86400


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_wrong_use(text: str) -> None:
    """Nothing else is raised."""
    try:
        assert parse_duration(text) >= 0
    except UsageError:
        pass


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.9, "0s"),
        (-5, "0s"),
        (59.99, "59s"),
        (60, "1m"),
        (302, "5m 2s"),
        (3600, "1h"),
        (3602, "1h 2s"),
        (86400 * 3 + 4 * 3600 + 59 * 60, "3d 4h"),
        (86400 * 800, "800d"),
    ],
)
def test_a_duration_is_shown_in_two_units_at_most(seconds: float, text: str) -> None:
    """Rounded down, largest first."""
    assert show_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_what_is_shown_can_be_read(seconds: int) -> None:
    """Up to the two units that are shown, nothing is lost."""
    read = parse_duration(show_duration(seconds).replace(" ", ""))
    assert read <= seconds < read * 1.05 + 60


def test_time_since_boot_counts_forward_and_suspended_time_where_the_system_does() -> None:
    """It is the boot clock of the system, which nobody can set."""
    before = clock.boottime()
    source = getattr(time, "CLOCK_BOOTTIME", None) or time.CLOCK_MONOTONIC
    assert before <= time.clock_gettime(source) <= clock.boottime()
