"""The line of each key of a TOML file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.errors import CannotTell, UsageError
from lifeline.toml import Document, load

TEXT = '''\
# a comment with [brackets] and = signs
top = 1

[lifeline.mailer] # table
command = """
[not.a.table]
key = "no key"
"""
env = { A = "x # no comment", "B c" = '}' }
"quoted key" = 'a]b'
site."dotted".key = [1, [2, 3], "]"] # ]
list = [
  # a comment
  { at_least = 0, workers = 1 },
  "text", # , ]
  { at_least = 9,   workers = [
     5 ] },
]
when = 1979-05-27T07:32:00Z

[[probe]]
kind = "a"
[probe.options]
x = 1
[[probe]]
kind = "b"
'''
M = ("lifeline", "mailer")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (M, 4),
        ((*M, "command"), 5),
        ((*M, "env"), 9),
        ((*M, "env", "B c"), 9),
        ((*M, "quoted key"), 10),
        ((*M, "site", "dotted", "key"), 11),
        ((*M, "list"), 12),
        ((*M, "list", 0), 14),
        ((*M, "list", 0, "workers"), 14),
        ((*M, "list", 1), 15),
        ((*M, "list", 2, "workers", 0), 17),
        ((*M, "when"), 19),
        (("probe",), 21),
        (("probe", 0, "kind"), 22),
        (("probe", 0, "options", "x"), 24),
        (("probe", 1), 25),
        (("probe", 1, "kind"), 26),
        ((*M, "missing"), 4),
        (("missing",), 1),
    ],
)
def test_every_kind_of_key_has_the_line_on_which_it_stands(
    path: tuple[str | int, ...], line: int
) -> None:
    """What has none has that of the nearest thing above it."""
    assert Document("x", TEXT).line(path) == line
    assert Document("x", TEXT.replace("\n", "\r\n")).line(path) == line


VALUES = ['"a"', "'#'", "1", "[1, 2]", '["]", """\n"""]', "{ a = 1 }", "true", '"""\n\n"""', "[\n]"]
KEYS = st.text("abc", min_size=1, max_size=3)


@given(st.dictionaries(KEYS, st.tuples(st.sampled_from(VALUES), st.integers(0, 2)), max_size=6))
def test_lines_are_right_whatever_stands_before(pairs: dict[str, tuple[str, int]]) -> None:
    """Values of several lines, comments and blank lines are counted."""
    text, expected = "", {}
    for key, (value, blank) in pairs.items():
        text += "\n" * blank + ("# c = [\n" if blank == 1 else "")
        expected[key] = text.count("\n") + 1
        text += f"{key} = {value}\n"
    document = Document("x", text)
    assert {key: document.line((key,)) for key in pairs} == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = ", "x:2: "),
        ("a = 1\na = 2\n", "x:2: "),
        ("[a]\n[b]\n[a]\n", "x:3: "),
        ("a = '\n", "x:1: "),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, message: str) -> None:
    """As compilers write it."""
    with pytest.raises(UsageError) as caught:
        Document("x", text)
    assert str(caught.value).startswith(message)
    assert "(at line" not in str(caught.value)


def test_a_file_that_cannot_be_read_as_text_is_told(tmp_path: Path) -> None:
    """Missing, a directory, a FIFO that would be waited for, not UTF-8, too large."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "latin").write_bytes(b"a = 1\nb = '\xe9'\n")
    (tmp_path / "large").write_bytes(b"#" * 1_000_001)
    for name, error, message in (
        ("missing", CannotTell, "cannot be read (No such file"),
        (".", CannotTell, "cannot be read (Is a directory)"),
        ("fifo", CannotTell, "is no regular file"),
        ("latin", UsageError, "latin:2: it is not UTF-8"),
        ("large", UsageError, "more than 1000000 bytes"),
    ):
        with pytest.raises(error) as caught:
            load(str(tmp_path / name))
        assert message in str(caught.value)
