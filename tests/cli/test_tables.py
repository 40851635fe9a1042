"""Tables on a terminal: whatever its width, nothing that was to be shown is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lifeline.cli import tables
from support.lifelines import LIFELINE
from support.screen import ScreenTerminal
from support.spawning import Spawner
from support.stage import Stage

cells = st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=60)


@given(
    table=st.integers(1, 9).flatmap(
        lambda count: st.lists(st.tuples(*[cells] * count), min_size=1, max_size=5)
    ),
    width=st.integers(1, 200),
)
def test_columns_fit_or_there_are_none(table: list[tuple[str, ...]], width: int) -> None:
    """And no word that is read in one piece is parted."""
    found = tables.widths(table, width)
    if found is None:
        return
    assert sum(found) + tables.GAP * (len(found) - 1) <= width
    for column, size in zip(zip(*table, strict=True), found, strict=True):
        assert all(cell_len(word) <= size or size >= 16 for text in column for word in text.split())


def test_the_widest_column_gives_way() -> None:
    """A command is folded before a pid is."""
    table = [("PID", "COMMAND"), ("12345", "sleep 60 " * 5)]
    assert tables.widths(table, 80) == [5, 45]
    assert tables.widths(table, 30) == [5, 23]
    assert tables.widths(table, 13) is None


@pytest.fixture
def terminals(spawn: Spawner) -> Iterator[list[ScreenTerminal]]:
    opened: list[ScreenTerminal] = []
    yield opened
    for each in opened:
        each.hang_up()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["status", "NAME"], ["LIFELINE", "PID", "LAST EXIT"]),
        (["history", "NAME"], ["TIME", "EVENT", "WHAT"]),
        (["explain", "NAME"], ["STANDING", "WHY", "COMMAND LINE"]),
        (["config", "show", "NAME"], ["KEY", "VALUE", "FROM"]),
    ],
    ids=lambda words: words[0],
)
def test_twenty_columns_lose_nothing(
    stage: Stage, terminals: list[ScreenTerminal], words: list[str], shown: list[str]
) -> None:
    """One field is on a line then, and the terminal parts what is longer."""
    text = f'[lifeline.{stage.name}]\ncommand = "{stage.sleeper()}"\n'
    (stage.directory / "lifeline.toml").write_text(text)
    running = stage.start(stage.name)
    words = [word.replace("NAME", stage.name) for word in words]
    # The end of a session takes away what its terminal has not shown yet.
    script = '"$@"; echo over; sleep 3600'
    terminal = ScreenTerminal(
        stage.spawn, "sh", "-c", script, "sh", LIFELINE, *words, columns=20, lines=400, COLUMNS=""
    )
    terminals.append(terminal)
    terminal.wait_for("over")
    whole = "".join(terminal.lines())
    assert "…" not in whole or words[0] == "explain"  # which cuts command lines at any width
    assert stage.name in whole
    assert all(terminal.line(title) for title in shown)
    assert str(running.pid) in whole or words[0] == "config"
