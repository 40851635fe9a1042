"""Counters go on where the history forgets."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeline import events
from lifeline.errors import StateUnusable
from lifeline.metrics import totals
from lifeline.metrics.totals import count
from lifeline.processes.identity import named
from lifeline.processes.state import State
from support.waiting import eventually

MAILER = named(b"mailer")


@pytest.fixture
def state(state_dir: Path) -> State:
    return State()


def add(state: State, kind: str, times: int = 1, **facts: int | str) -> None:
    for _ in range(times):
        assert events.append(state, kind, MAILER, **facts)


def counts(state: State) -> dict[str, int]:
    return count(state)["mailer"].counts


def test_each_kind_is_counted_once(state: State) -> None:
    """However often somebody looks."""
    add(state, "start", 2)
    add(state, events.STAND_DOWN, 3)
    add(state, "end", code=0)
    for _ in range(3):
        found = counts(state)
    assert (found["starts"], found["stand_downs"], found["ends"]) == (2, 3, 1)


def test_nothing_is_made_where_there_is_no_state(state: State) -> None:
    """Looking leaves no trace."""
    assert count(state) == {}
    assert not Path(str(state.directory, "ascii")).exists()


@settings(max_examples=30)
@given(steps=st.lists(st.integers(0, 12), max_size=40))
def test_counters_only_grow(steps: list[int]) -> None:
    """Files fill up and are put away between looks; every event is counted, and only once."""
    with pytest.MonkeyPatch.context() as patch, _directory() as directory:
        patch.setattr(events, "_LIMIT", 1500)  # about 13 events, twice
        state, wanted = State(directory), 0
        for step in steps:
            add(state, "start", step)
            add(state, events.STAND_DOWN, step)
            wanted += step
            found = count(state).get("mailer")
            assert (found.counts["starts"] if found else 0) == wanted
            assert (found.counts["stand_downs"] if found else 0) == wanted


def test_what_was_lost_between_two_looks_is_less_but_never_falls(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many events at once that the older file is gone before anybody has seen it."""
    monkeypatch.setattr(events, "_LIMIT", 1500)
    add(state, "start", 5)
    assert counts(state)["starts"] == 5
    add(state, "start", 100)
    seen = counts(state)["starts"]
    assert 5 < seen < 105
    add(state, "start", 1)
    assert counts(state)["starts"] == seen + 1


def test_a_history_that_was_removed_takes_no_count_with_it(state: State) -> None:
    """What happens afterwards is added."""
    add(state, "start", 7)
    assert counts(state)["starts"] == 7
    for path in events.paths(state):
        Path(path.decode()).unlink(missing_ok=True)
    assert counts(state)["starts"] == 7
    add(state, "start", 2)
    assert counts(state)["starts"] == 9


def test_a_line_that_is_not_whole_yet_is_counted_once_it_is(state: State) -> None:
    """A disk that was full has cut it; the next event follows at once."""
    add(state, "start")
    path = Path(state.directory.decode()) / "events"
    with open(path, "ab") as file:
        file.write(b'{"time": 1.5, "event": "sta')
    assert counts(state)["starts"] == 1
    add(state, "start")
    assert counts(state)["starts"] == 2


def test_two_that_look_at_once_take_turns(state: State) -> None:
    """A slow one would put older totals and an older mark in place of newer ones."""
    add(state, "start", 3)
    count(state)
    with open(Path(state.directory.decode()) / "metrics" / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=count, args=(state,))
        thread.start()
        mine = f":{os.fstat(lock.fileno()).st_ino} "
        # proc(5): who waits for a lock is below its holder, with an arrow.
        eventually(
            lambda: any(
                "-> FLOCK" in line and mine in line
                for line in Path("/proc/locks").read_text().splitlines()
            )
        )
    thread.join()
    assert counts(state)["starts"] == 3


def test_a_file_that_is_put_away_in_the_midst_of_a_look(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is met twice, under both of its names, and counted once."""
    add(state, "start", 5)
    read = totals._whole_lines

    def and_put_away(path: bytes) -> bytes:
        content = read(path)
        if path.endswith(b"/events") and content:
            os.rename(path, path + b".1")
        return content

    monkeypatch.setattr(totals, "_whole_lines", and_put_away)
    assert counts(state)["starts"] == 5
    monkeypatch.undo()
    add(state, "start", 2)
    assert counts(state)["starts"] == 7


def test_the_last_end_is_known_although_the_history_has_forgotten(state: State) -> None:
    """Its code and its time; failures are counted apart."""
    add(state, "end", code=0)
    add(state, "end", code=137)
    count(state)
    for path in events.paths(state):
        Path(path.decode()).unlink(missing_ok=True)
    total = count(state)["mailer"]
    assert (total.code, total.failures) == (137, 1)
    assert total.ended and total.ended > 1_600_000_000


def test_totals_have_a_limit(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have not been heard of for the longest time go first."""
    monkeypatch.setattr(totals, "_MOST", 3)
    for number in range(5):
        events.append(state, "start", named(b"job %d" % number))
    assert list(count(state)) == ["job 2", "job 3", "job 4"]
    kept = json.loads((Path(state.directory.decode()) / "metrics" / "totals").read_text())
    assert set(kept["totals"]) == {"job 2", "job 3", "job 4"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 99}'])
def test_totals_that_cannot_be_understood_begin_anew(state: State, content: bytes) -> None:
    """With what the history still has: a reset, as after a restart."""
    add(state, "start", 3)
    count(state)
    (Path(state.directory.decode()) / "metrics" / "totals").write_bytes(content)
    assert counts(state)["starts"] == 3


def test_where_totals_cannot_be_kept_nothing_is_claimed(state: State) -> None:
    """An error, and no number that could fall later."""
    add(state, "start")
    (Path(state.directory.decode()) / "metrics").rmdir()
    (Path(state.directory.decode()) / "metrics").write_text("in the way")
    with pytest.raises(StateUnusable):
        count(state)


@contextmanager
def _directory() -> Iterator[bytes]:
    """A state directory for one example."""
    with TemporaryDirectory() as above:
        yield f"{above}/state".encode()
