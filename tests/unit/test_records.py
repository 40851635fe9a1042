"""Run records and holds: evidence that is whole or nothing."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.processes import holds, lines, records
from lifeline.processes.holds import Hold
from lifeline.processes.identity import Identity, named
from lifeline.processes.records import Record
from lifeline.processes.state import HOLDS, RUNS, State
from lifeline.processes.table import Process, me, open_table

word = st.binary(max_size=8).filter(lambda found: b"\0" not in found)
number = st.integers(0, 2**40)
processes = st.builds(Process, st.integers(1, 2**22), number)
identities = st.builds(
    Identity,
    st.lists(word, min_size=2, max_size=4).map(tuple),
    st.one_of(st.none(), word),
)
a_record = st.builds(
    Record,
    identities,
    processes,
    boot=word,
    namespace=word,
    session=number,
    own_session=st.booleans(),
    how=word,
    since=st.integers(0, 2**33).map(float),
    argv=st.lists(word, max_size=4).map(tuple),
    job=st.one_of(st.none(), processes),
    mark=word,
    run=word,
)


def parts(record: Record) -> dict[str, object]:
    return {name: getattr(record, name) for name in Record.__slots__}


def example(identity: Identity | None = None, process: Process | None = None) -> Record:
    table = open_table()
    return Record(
        identity or named(b"mailer"),
        process or me(table).process,
        boot=table.boot(),
        namespace=table.namespace(),
        session=1,
        own_session=True,
        how=records.RUN,
        since=1.0,
        argv=(b"sleep", b"60"),
    )


@given(a_record)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    """Whatever bytes the words of the command are."""
    found = records.decode(records.encode(record))
    assert found is not None
    assert parts(found) == parts(record)


@given(a_record, st.data())
def test_half_a_record_is_no_record(record: Record, data: st.DataObject) -> None:
    """Cut anywhere."""
    content = records.encode(record)
    assert records.decode(content[: data.draw(st.integers(0, len(content) - 1))]) is None


FIELDS = [
    (b"boot", b"b"),
    (b"namespace", b"n"),
    (b"process", b"1 2"),
    (b"job", b"0 0"),
    (b"session", b"1 1"),
    (b"since", b"1.000"),
    (b"how", b"run"),
    (b"word", b"name"),
    (b"word", b"x"),
]


@pytest.mark.parametrize(
    "bad",
    [
        *[(name, None) for name, _ in FIELDS],
        (b"process", b"1"),
        (b"process", b"1 2 3"),
        (b"process", b"x y"),
        (b"process", b"9" * 5000 + b" 1"),
        (b"job", b""),
        (b"session", b"1"),
        (b"since", b"soon"),
    ],
)
def test_a_record_that_lacks_something_is_no_record(bad: tuple[bytes, bytes | None]) -> None:
    """A whole file is not enough: every field has to be there and make sense."""
    assert records.decode(lines.encode(FIELDS)) is not None
    name, value = bad
    fields = [(key, content) for key, content in FIELDS if key != name]
    if name == b"word":
        fields.append((b"word", b"name"))  # a name without the name
    if value is not None:
        fields.append((name, value))
    assert records.decode(lines.encode(fields)) is None


def test_a_record_proves_nothing_but_its_exact_process() -> None:
    """Another start time, boot or pid namespace is another process."""
    table, mine = open_table(), me(open_table()).process
    assert example().names_living(table)
    assert not example(process=Process(mine.pid, mine.start + 1)).names_living(table)
    assert not example(process=Process(2**22 + 1, 1)).names_living(table)
    for name in ("boot", "namespace"):
        record = example()
        setattr(record, name, b"another")
        assert not record.names_living(table)


def test_a_record_is_that_of_its_command_only(tmp_path: Path) -> None:
    """One that is found under another command's key is not believed."""
    state = State(os.fsencode(tmp_path / "own"))
    record = example(named(b"a"))
    state.write(RUNS, records.key(named(b"b")), records.encode(record))
    assert records.read(state, named(b"b")) is None
    records.write(state, record)
    assert parts(records.read(state, named(b"a")) or example()) == parts(record)


def test_only_its_own_writer_withdraws_a_record(tmp_path: Path) -> None:
    """Somebody who took over meanwhile keeps his."""
    state = State(os.fsencode(tmp_path / "own"))
    record = example()
    records.write(state, record)
    records.withdraw(state, record.identity, Process(record.process.pid, 1))
    assert records.read(state, record.identity) is not None
    records.withdraw(state, record.identity, record.process)
    assert records.read(state, record.identity) is None


def test_a_live_record_of_this_process_or_above_it_is_no_twin(tmp_path: Path) -> None:
    """Never me, never an ancestor; anybody else who lives is one."""
    state, table = State(os.fsencode(tmp_path / "own")), open_table()
    mine = me(table)
    parent = table.facts(mine.parent)
    assert parent is not None
    for process in (mine.process, parent.process):
        records.write(state, example(process=process))
        assert records.living_twin(state, table, named(b"mailer")) is None


def test_all_records_are_those_that_are_whole(tmp_path: Path) -> None:
    """Broken ones are left out, and files being written too."""
    state = State(os.fsencode(tmp_path / "own"))
    records.write(state, example())
    state.write(RUNS, b"broken", b"lifeline 1\n")
    state.write(RUNS, b"binary", os.urandom(200))
    state.write(RUNS, b".partial.1", records.encode(example(named(b"b"))))
    assert [record.identity for record in records.all_records(state)] == [named(b"mailer")]


# --- holds ------------------------------------------------------------------------------------


@given(
    identities,
    st.integers(0, 2**32).map(float),
    st.one_of(st.none(), st.integers(0, 2**32).map(float)),
    st.binary(max_size=20),
)
def test_a_hold_is_read_as_it_was_written(
    identity: Identity, since: float, until: float | None, reason: bytes
) -> None:
    """Whatever bytes its reason is."""
    hold = Hold(identity, since, until, reason)
    with tempfile.TemporaryDirectory() as directory:
        state = State(os.fsencode(directory))
        holds.write(state, hold)
        found = holds.read(state, identity, now=-1)
    assert found is not None
    assert (found.since, found.until, found.reason) == (since, until, reason)
    assert found.identity == identity


def test_a_hold_ends_at_its_end(tmp_path: Path) -> None:
    """It is in force before that second, and not in it."""
    state = State(os.fsencode(tmp_path / "own"))
    holds.write(state, Hold(named(b"x"), 1.0, 100.0, b""))
    assert holds.read(state, named(b"x"), 99.9) is not None
    assert holds.read(state, named(b"x"), 100.0) is None
    assert holds.all_holds(state, 100.0) == []
    assert len(holds.all_holds(state, 99.9)) == 1
    assert holds.read(state, named(b"y"), 1.0) is None


@pytest.mark.parametrize("time", [b"nan", b"inf", b"-inf", b"1e300", b"x", b""])
def test_a_hold_with_an_impossible_time_is_none(time: bytes, tmp_path: Path) -> None:
    """It could not be shown."""
    state = State(os.fsencode(tmp_path / "own"))
    for name in (b"since", b"until"):
        fields = {b"since": b"1.0", b"until": b"2.0", b"reason": b"", name: time}
        content = lines.encode([*fields.items(), (b"word", b"name"), (b"word", b"x")])
        state.write(HOLDS, records.key(named(b"x")), content)
        assert holds.read(state, named(b"x"), 0.0) is None


def test_a_hold_is_told_in_one_line() -> None:
    """Until when and why, with nothing that a terminal would obey."""
    text = holds.sentence(Hold(named(b"x"), 0.0, 7200.0, b"disk\n\x1b[31m full\xff"), 0.0)
    assert text.startswith("held for another 2h (disk\\n\\x1b[31m full\\xff); not started")
    assert holds.sentence(Hold(named(b"x"), 0.0, None, b""), 0.0).startswith("held; not started")
