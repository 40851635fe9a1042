"""The options of `lifeline run`, and names."""

from __future__ import annotations

import os
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeline.errors import UsageError
from lifeline.options import RunOptions, check_name, parse_run


def parsed(text: str) -> RunOptions:
    return parse_run(shlex.split(text))


def test_only_the_command_is_needed() -> None:
    """What is not said is: skip, exit code 0, end leftovers."""
    options = parsed("-- sleep 60")
    assert options.command == (b"sleep", b"60")
    assert (options.name, options.exec, options.settle) == (None, False, None)
    assert (options.on_running, options.exit_code_if_running) == ("skip", 0)
    assert options.leftovers == "end"


def test_every_option_is_read() -> None:
    """Values come as a word of their own."""
    options = parsed(
        "--name mailer --exec --on-running wait --exit-code-if-running 75 --settle 1m "
        "--leftovers count -- ./job.py --name x -- y"
    )
    assert options.name == b"mailer"
    assert options.exec
    assert (options.on_running, options.exit_code_if_running) == ("wait", 75)
    assert (options.settle, options.leftovers) == (60.0, "count")
    assert options.command == (b"./job.py", b"--name", b"x", b"--", b"y")


def test_a_value_can_be_attached() -> None:
    """`--name=x` is `--name x`; only the first equals sign parts them. The last one counts."""
    assert parsed("--name=a=b -- x").name == b"a=b"
    assert parsed("--name a --name=b -- x").name == b"b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no command: write it after two dashes"),
        ("--", "no command: write it after two dashes"),
        ("--exec", "no command"),
        ("-- ''", "first word is empty"),
        ("sleep 60", "unexpected 'sleep': write two dashes before the command"),
        ("--exec sleep -- 60", "unexpected 'sleep'"),
        ("--name", "--name needs a value"),
        ("--name -- x", "--name needs a value"),
        ("--exec=1 -- x", "--exec takes no value"),
        ("--exce -- x", "no such option: --exce, did you mean --exec?"),
        ("--on-runing wait -- x", "did you mean --on-running?"),
        ("-x -- x", "no such option: -x (see lifeline run --help-all)"),
        ("--zzzzzz=1 -- x", "no such option: --zzzzzz (see"),
        ("--on-running kill -- x", "--on-running takes skip, wait, replace, not 'kill'"),
        ("--leftovers '' -- x", "--leftovers takes end, count, not ''"),
        ("--settle soon -- x", "'soon' is not a duration"),
        ("--settle= -- x", "'' is not a duration"),
        ("--settle=-1 -- x", "'-1' is not a duration"),
        ("--exit-code-if-running 256 -- x", "a number from 0 to 255, not '256'"),
        ("--exit-code-if-running -1 -- x", "a number from 0 to 255, not '-1'"),
        ("--exit-code-if-running 1.5 -- x", "a number from 0 to 255"),
        ("--exit-code-if-running '' -- x", "a number from 0 to 255"),
        ("--exit-code-if-running ² -- x", "a number from 0 to 255"),
        ("--exit-code-if-running 0x4b -- x", "a number from 0 to 255"),
    ],
)
def test_wrong_use_says_what_is_wrong(text: str, message: str) -> None:
    """One line names the mistake and what to write instead."""
    with pytest.raises(UsageError) as caught:
        parsed(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_can_be_of_any_length() -> None:
    """Python itself refuses to read numbers of more than 4300 digits."""
    with pytest.raises(UsageError, match="0 to 255"):
        parse_run(["--exit-code-if-running", "9" * 5000, "--", "x"])


@pytest.mark.parametrize("name", ["mailer", "a b", "ünïcödé", "a.b:c@1", "..", "300" * 100, "日本"])
def test_a_name_can_be_anything_that_prints(name: str) -> None:
    """Blanks, dots and any script are fine."""
    assert check_name(name) == name
    assert parse_run(["--name", name, "--", "x"]).name == os.fsencode(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "cannot be empty"),
        ("a/b", "no slash"),
        ("/", "no slash"),
        ("-a", "does not begin with a dash"),
        ("--name", "does not begin with a dash"),
        ("a\nb", "printable characters only: 'a\\nb'"),
        ("\x1b[31mred", "printable characters only"),
        ("a\0b", "printable characters only"),
        ("\udcff", "printable characters only: '\\udcff'"),
        ("x\u202ey", "printable characters only"),
        ("x" * 301, "at most 300 characters, this one 301"),
    ],
)
def test_what_cannot_be_a_name(name: str, message: str) -> None:
    """A name is shown on one line, and is never taken for a path or an option."""
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=6))
def test_any_words_are_options_or_wrong_use(words: list[str]) -> None:
    """Nothing but UsageError is raised, and a command is kept as it was written."""
    try:
        options = parse_run(words)
    except UsageError:
        return
    assert list(options.command) == [os.fsencode(word) for word in words[words.index("--") + 1 :]]
