"""The list of examples is whole."""

from __future__ import annotations

import re

from .conftest import EXAMPLES

TESTS = EXAMPLES.parent / "tests"


def test_every_example_is_listed_with_a_test() -> None:
    """And each test that is named is there, and speaks of what it tests."""
    rows = re.findall(
        r"^\| `([\w.]+)/?` \|.*\| `([\w/.]+)` \|$", (EXAMPLES / "README.md").read_text(), re.M
    )
    there = {each.name for each in EXAMPLES.iterdir() if not each.name.startswith(("_", "README"))}
    assert {name for name, _ in rows} == there
    for name, test in rows:
        words = (TESTS / test).read_text()
        assert name.partition(".")[0] in words, (name, test)
