"""The form of the small files: whole or nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lifeline.processes import lines

key = st.binary(min_size=1, max_size=6).filter(lambda found: not set(found) & set(b" \n"))
value = st.one_of(st.binary(max_size=12), st.text("\\n \n", max_size=8).map(str.encode))
fields = st.lists(st.tuples(key, value), max_size=5)


@given(fields)
@example([(b"a", b"\\n"), (b"a", b"\n"), (b"a", b"\\\\n"), (b"a", b"\\\n"), (b"a", b"")])
@example([(b"word", b"end"), (b"end", b"")])
def test_what_was_written_is_read(given_fields: list[tuple[bytes, bytes]]) -> None:
    """Any bytes come back, in order, also where a key comes more than once."""
    found = lines.decode(lines.encode(given_fields))
    expected: dict[bytes, list[bytes]] = {}
    for name, content in given_fields:
        expected.setdefault(name, []).append(content)
    assert found == expected


@given(fields, st.data())
def test_a_file_cut_short_is_no_file(
    given_fields: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    """A full disk or a power cut leaves nothing that could be believed."""
    whole = lines.encode(given_fields)
    assert lines.decode(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@given(st.binary(max_size=60))
@example(b"lifeline 1\nend\n")
@example(b"lifeline 1\n\nend\n")
def test_any_bytes_can_be_asked(content: bytes) -> None:
    """Decoding never raises."""
    lines.decode(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"end\n",
        b"lifeline 2\na b\nend\n",
        b"lifeline 1\na b\nend",
        b"lifeline 1\na b\nend\n\n",
        b"lifeline 1\na b\n",
        b"\0" * 4096,
    ],
)
def test_what_is_not_whole_and_of_this_version_is_nothing(content: bytes) -> None:
    """Half a file, another version, and the zeros of a crashed file system."""
    assert lines.decode(content) is None


def test_a_file_can_be_read_by_a_person() -> None:
    """One line for each value."""
    assert lines.encode([(b"word", b"a\nb"), (b"since", b"1.5")]).split(b"\n") == [
        b"lifeline 1",
        b"word a\\nb",
        b"since 1.5",
        b"end",
        b"",
    ]
