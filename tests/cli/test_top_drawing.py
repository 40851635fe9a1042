"""What `lifeline top` draws and how keys change it: from data to text, without any terminal."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lifeline.config.nexttick import next_tick
from lifeline.processes.holds import Hold
from lifeline.processes.identity import named
from lifeline.top import model
from lifeline.top.draw import draw
from lifeline.top.keys import Keys
from lifeline.top.model import Model
from lifeline.top.rows import ELSEWHERE, HELD, OFF, RUNNING, STANDBY, STOPPED, Row, View

NOW = 1_800_000_000.0
STATES = [RUNNING, STANDBY, STOPPED, HELD, OFF, ELSEWHERE]


def row(title: str, state: str = RUNNING, **more: object) -> Row:
    identity = None if state == ELSEWHERE else named(title.encode())
    return Row(title, state, identity, **more)  # type: ignore[arg-type]


def view(*rows: Row, fleet: str | None = None, notes: tuple[str, ...] = ()) -> View:
    return View(rows, NOW, "web1", fleet, notes)


def drawn(seen: View, state: Model | None = None, width: int = 80, height: int = 24) -> list[str]:
    return draw(seen, state or Model(), width, height).plain.split("\n")


MANY = view(*(row(f"job-{number:02}") for number in range(50)))

texts = st.text(st.characters(exclude_categories=["Cs"]))
rows = st.builds(
    row,
    texts,
    st.sampled_from(STATES),
    pid=st.none() | st.integers(1, 2**22),
    since=st.none() | st.floats(0, 2e9),
    memory=st.none() | st.integers(0, 2**45),
    restarts=st.none() | st.integers(0, 10**9),
    host=texts,
    slot=st.sampled_from(["", "0 of 2", "999 of 1000"]),
    next_tick=st.none() | st.floats(NOW, NOW + 1e9),
    hold=st.none() | st.just(Hold(named(b"x"), NOW, None, b"")),
)


@given(
    seen=st.builds(view, st.just(row("x")), rows, rows, fleet=st.none() | texts),
    width=st.integers(1, 200),
    height=st.integers(1, 40),
    state=st.builds(
        Model,
        mode=st.sampled_from([model.LIST, model.HELP, model.CONFIRM]),
        asked=rows,
        message=texts,
    ),
)
def test_nothing_is_larger_than_the_terminal(
    seen: View, width: int, height: int, state: Model
) -> None:
    """Whatever the data, the state and the size, down to one column and one line."""
    lines = drawn(seen, state, width, height)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= max(width, 2)  # no half of a wide letter can be drawn
    assert all(map(str.isprintable, lines))  # a terminal obeys none of it


def test_twenty_columns_show_name_and_state() -> None:
    """What is cut off shows that it is."""
    seen = view(row("mailer"), row("a-very-long-name", STANDBY))
    lines = [line.rstrip() for line in drawn(seen, width=20)]
    assert lines[1:4] == ["  LIFELI…  STATE", "> mailer   running", "  a-very…  stands by"]


@pytest.mark.parametrize("size", [(20, 12), (80, 10)])
def test_the_way_out_and_every_key_are_in_sight(size: tuple[int, int]) -> None:
    """In a small terminal too: `q` and `?` in the list, and all keys in the help."""
    width, height = size
    assert drawn(MANY, None, width, height)[-1].startswith("q quit  ? help")
    keys = [line[:1] for line in drawn(MANY, Model(mode=model.HELP), width, height)[1:7]]
    assert keys == ["q", "j", "k", "h", "r", "t"]
    assert not any("…" in line for line in drawn(MANY, Model(mode=model.HELP), width, height)[1:7])


def test_the_chosen_one_is_in_sight() -> None:
    """The list moves with it, from the first to the last."""
    state = Model()
    for _ in range(49):
        state.press("down", MANY)
        assert sum(line.startswith("> ") for line in drawn(MANY, state, height=10)) == 1
    assert any(line.startswith("> job-49") for line in drawn(MANY, state, height=10))


def test_the_choice_stays_with_its_lifeline() -> None:
    """Rows come and go above it; if it goes itself, its neighbour takes its place."""
    state = Model()
    state.press("j", view(row("a"), row("b"), row("c")))
    assert state.row(view(row("0"), row("a"), row("b"), row("c"))) == row("b")
    assert state.row(view(row("a"), row("c"))) == row("c")
    assert state.row(view()) is None


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("h", (model.HOLD, row("a"))),
        ("r", (model.RELEASE, row("a"))),
        ("jh", (model.HOLD, row("b"))),
        ("t", None),
        ("ty", (model.TERMINATE, row("a"))),
        ("th", (model.TERMINATE_AND_HOLD, row("a"))),
        ("tn", None),
        ("tq", None),
        ("q", model.QUIT),
        ("?q", model.QUIT),
        ("?h", None),
        ("x", None),
    ],
)
def test_what_keys_ask_for(keys: str, expected: object) -> None:
    """The last key's wish; terminating takes two."""
    state, seen = Model(), view(row("a"), row("b"))
    *before, last = [state.press(key, seen) for key in keys]
    assert last == expected
    assert all(wish is None for wish in before)


def test_the_one_that_was_asked_about_is_meant() -> None:
    """Though another row has its place by the time of the answer."""
    state = Model()
    state.press("t", view(row("a"), row("b")))
    assert state.press("y", view(row("0"), row("b"))) == (model.TERMINATE, row("a"))


@pytest.mark.parametrize("state", [HELD, OFF, ELSEWHERE])
def test_what_does_not_run_here_is_not_terminated(state: str) -> None:
    """No question; a sentence says why."""
    pressed, seen = Model(), view(row("a", state, host="web2"))
    assert pressed.press("t", seen) is None
    assert pressed.mode == model.LIST
    assert pressed.message.startswith("a ")


@pytest.mark.parametrize(
    ("pieces", "keys"),
    [
        ([b"jk"], ["j", "k"]),
        ([b"\x1b[A\x1bOB"], ["up", "down"]),
        ([b"\x1b", b"[", b"Ax"], ["up", "x"]),
        ([b"\x1b[1;5Aj"], ["j"]),
        ([b"\x1b[200~j"], ["j"]),
        ([b"\x1bq"], ["q"]),
        ([b"\xffq"], ["\xff", "q"]),
    ],
)
def test_keys_are_read(pieces: list[bytes], keys: list[str]) -> None:
    """Also in pieces; a sequence that means nothing presses no key."""
    reader = Keys()
    assert [key for piece in pieces for key in reader.feed(piece)] == keys
    assert not reader.pending


def test_escape_is_a_key_once_nothing_follows() -> None:
    """Until then it is the beginning of a sequence."""
    reader = Keys()
    assert (reader.feed(b"\x1b"), reader.pending) == ([], True)
    assert (reader.flush(), reader.pending) == (["escape"], False)


@pytest.mark.parametrize(
    ("fields", "after", "expected"),
    [
        ("* * * * *", "2027-03-01 10:00:00", "2027-03-01 10:01"),
        ("*/5 * * * *", "2027-03-01 10:03:59", "2027-03-01 10:05"),
        ("*/5 * * * *", "2027-03-01 23:57:00", "2027-03-02 00:00"),
        ("30 4 * * *", "2027-12-31 04:30:00", "2028-01-01 04:30"),
        ("0 0 29 2 *", "2027-03-01 00:00:00", "2028-02-29 00:00"),
        ("0 9 * * 1-5", "2027-03-05 09:00:00", "2027-03-08 09:00"),  # after Friday comes Monday
        ("0 9 * * 7", "2027-03-05 09:00:00", "2027-03-07 09:00"),
        ("0 0 13 * 5", "2027-03-06 00:00:00", "2027-03-12 00:00"),  # a 13th or a Friday
        ("0 0 */2 * 5", "2027-03-06 00:00:00", "2027-03-19 00:00"),  # both: a star is in one
        ("@hourly", "2027-03-01 10:03:00", "2027-03-01 11:00"),
        ("0 0 30 2 *", "2027-03-01 10:03:00", None),
        ("@reboot", "2027-03-01 10:03:00", None),
    ],
)
def test_when_cron_comes_next(fields: str, after: str, expected: str | None) -> None:
    """As crontab(5) has it, in local time, strictly later."""
    found = next_tick(fields, datetime.datetime.fromisoformat(after).timestamp())
    wanted = datetime.datetime.fromisoformat(expected).timestamp() if expected else None
    assert found == wanted
