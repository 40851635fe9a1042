"""docs/pitfalls.md tells the truth about which tests there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "pitfalls.md"
ROWS = [line for line in PAGE.read_text().splitlines() if line.startswith("| P")]


def defined() -> set[str]:
    """The names of all tests in the suite."""
    texts = (path.read_text() for path in TESTS.rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"^def (test_\w+)\(", text, re.M)}


def test_the_table_has_every_pitfall_once() -> None:
    """P1 to P24, in order."""
    assert [row.split("|")[1].strip() for row in ROWS] == [f"P{n}" for n in range(1, 25)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_row_names_tests_that_exist(row: str) -> None:
    """Each pitfall has a test, and the page calls it by its name."""
    named = re.findall(r"`(test_\w+)`", row)
    assert named
    assert set(named) <= defined()


def test_every_test_of_a_pitfall_is_named() -> None:
    """A test called after a pitfall stands in that pitfall's row."""
    for row in ROWS:
        number = row.split("|")[1].strip().lower()
        tests = {name for name in defined() if name.startswith(f"test_{number}_")}
        assert tests <= set(re.findall(r"`(test_\w+)`", row)), number


def test_names_outside_the_table_exist_too() -> None:
    """What the rest of the page names is there as well."""
    assert set(re.findall(r"`(test_\w+)`", PAGE.read_text())) <= defined()
