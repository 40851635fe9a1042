"""The list of examples is whole."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from .conftest import EXAMPLES

TESTS = EXAMPLES.parent / "tests"


def test_every_example_is_listed_with_a_test() -> None:
    """And each test that is named has the example's file or directory in its code."""
    rows = re.findall(
        r"^\| `([\w.]+)/?` \|.*\| `([\w/.]+)` \|$", (EXAMPLES / "README.md").read_text(), re.M
    )
    there = {each.name for each in EXAMPLES.iterdir() if not each.name.startswith(("_", "README"))}
    assert {name for name, _ in rows} == there
    for name, test in rows:
        assert name in texts_in_code(TESTS / test), (name, test)


def texts_in_code(path: Path) -> set[str]:
    """The texts that a program uses; none that only a comment or a docstring has."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    docstrings = {id(each.value) for each in nodes if isinstance(each, ast.Expr)}
    constants = (each for each in nodes if isinstance(each, ast.Constant))
    return {
        each.value
        for each in constants
        if isinstance(each.value, str) and id(each) not in docstrings
    }
