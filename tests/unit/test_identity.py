"""When two argument lists are the same command. The corpus beside this file has the examples."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lifeline.errors import CannotTell
from lifeline.processes import places, records
from lifeline.processes.identity import Identity, identify, named, runner_command
from lifeline.processes.places import MyPlace, normal, prefix, read_shebang
from unit.corpus import COMPATIBLE, DIFFERENT, RUNNERS, SAME, Command, Village, parse

Words = tuple[bytes, ...]


def what(text: str) -> Identity:
    """The identity of a line of the corpus."""
    line = parse(text)
    return identify(line.argv, Village(line.directory))


# --- the corpus -------------------------------------------------------------------------------

LINES = [(command, line) for command in SAME for line in command.lines]


@pytest.mark.parametrize(("command", "line"), LINES, ids=[line for _, line in LINES])
def test_a_line_is_the_command_that_the_corpus_says(command: Command, line: str) -> None:
    """Every spelling of a command has the same words."""
    found = what(line)
    assert found.words == parse(command.words).argv
    assert found.runner == ("lifeline run -" in line or "-m lifeline run -" in line)
    if command.environment:
        assert found.environment == os.fsencode(command.environment)


def test_each_command_of_the_corpus_is_told_from_every_other() -> None:
    """No line of one command is the same command as a line of another."""
    for number, command in enumerate(SAME):
        for other in SAME[:number]:
            if command.words != other.words:
                assert not what(command.lines[0]).same_command(what(other.lines[0]))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_near_misses_are_different_commands(one: str, other: str) -> None:
    """What only looks like the command is another one, asked from either side."""
    assert not what(one).same_command(what(other))
    assert not what(other).same_command(what(one))


@pytest.mark.parametrize(("one", "other"), COMPATIBLE)
def test_a_module_is_the_same_where_only_one_environment_shows(one: str, other: str) -> None:
    """An environment that does not show could be any."""
    assert what(one).same_command(what(other))
    assert what(other).same_command(what(one))


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("command", SAME, ids=[command.words for command in SAME])
def test_a_runner_is_the_command_that_it_runs(command: Command, runner: str) -> None:
    """`lifeline run -- CMD` has the words of CMD, however either is spelled."""
    for line in command.lines:
        head, tail = line.split("; ") if line.startswith("cd ") else ("", line)
        found = what((head + "; " if head else "") + runner.format(tail))
        assert found.runner
        assert found.same_command(what(line)), line


# --- whatever the words are -------------------------------------------------------------------

INTERESTING = [
    *("python", "-m", "-c", "-W", "-X", "-u", "--", "-", "", "+", "sh", "bash", "-o", "-euo"),
    *("node", "-r", "--env-file", "java", "-jar", "-cp", "-D", "ruby", "perl", "-I", "php", "-d"),
    *("inv", "invoke", "mail.run", "-r", "-c", "run", "lifeline", "--name", "nice", "ionice"),
    *("-n", "env", "A=1", "nohup", "job.py", "./job.py", "/srv/app/plain.sh", "/", "//", "..", "."),
    *("-Dx", "--search-root", "=", "-S", "/usr/bin/", "python3.", "--run", "-p", "-f", "--hide"),
]
word = st.binary(max_size=8).filter(lambda found: b"\0" not in found)
any_word = st.one_of(st.sampled_from([os.fsencode(text) for text in INTERESTING]), word)
argument_list = st.lists(any_word, max_size=9).map(tuple)


@given(argument_list)
@example((b"lifeline", b"run", b"--name", b"--", b"--"))
def test_any_argument_list_has_an_identity(argv: Words) -> None:
    """Nothing that a process can show raises, and everything has a kind."""
    found = identify(argv, Village())
    assert found.words and isinstance(found.name, (bytes, type(None)))
    assert identify(argv, Village()) == found
    assert hash(identify(argv, Village())) == hash(found)
    assert found.same_command(found)


@given(argument_list)
def test_the_real_place_answers_for_any_argument_list_too(argv: Words) -> None:
    """The same with the real file system behind it."""
    found = identify(argv, MyPlace())
    assert found == identify(argv, MyPlace())


@given(argument_list)
def test_a_runner_of_anything_is_that_command(argv: Words) -> None:
    """A runner has the words of what it runs, whatever that is, and is told from it."""
    plain = identify(argv, Village())
    runner = identify((b"lifeline", b"run", b"--", *argv), Village())
    assert runner.words == plain.words
    assert runner.runner
    assert runner.same_command(plain) and plain.same_command(runner)


@given(argument_list, st.sampled_from([b"nice", b"nohup", b"env", b"ionice"]))
def test_stepping_over_a_wrapper_twice_is_as_once(argv: Words, wrapper: bytes) -> None:
    """`nice nice CMD` is `nice CMD`."""
    once = identify((wrapper, *argv), Village())
    if argv and not argv[0].startswith(b"-") and b"=" not in argv[0]:
        assert identify((wrapper, wrapper, *argv), Village()) == once


# A program that is no interpreter, no wrapper and none of ours.
generic = st.lists(word, max_size=6).map(lambda words: (b"/opt/worker", *words))


@given(generic, generic)
def test_a_program_is_the_same_if_and_only_if_its_words_are(one: Words, other: Words) -> None:
    """Nothing is joined, dropped, sorted or trimmed."""
    assert identify(one, Village()).same_command(identify(other, Village())) == (one == other)


@given(generic, st.data())
def test_the_smallest_change_of_the_words_makes_another_command(
    argv: Words, data: st.DataObject
) -> None:
    """An empty word more, two words joined by a blank, or two words swapped."""
    at = data.draw(st.integers(1, len(argv)))
    changed = [(*argv[:at], b"", *argv[at:])]
    if at + 1 < len(argv):
        first, second = argv[at : at + 2]
        changed.append((*argv[:at], first + b" " + second, *argv[at + 2 :]))
        if first != second:
            changed.append((*argv[:at], second, first, *argv[at + 2 :]))
    for other in changed:
        assert not identify(argv, Village()).same_command(identify(other, Village()))


@given(generic)
def test_the_words_of_a_command_run_again_are_that_command(argv: Words) -> None:
    """The words of an identity, taken as a command line, give the same identity."""
    found = identify(argv, Village())
    assert identify(found.words[1:], Village(b"/elsewhere")) == found


script_options = st.lists(
    st.sampled_from([(b"-u",), (b"-W", b"ignore"), (b"-X", b"dev"), (b"-Iu",), (b"-Wdefault",)])
).map(lambda found: tuple(w for words in found for w in words))


@given(script_options, st.lists(word, max_size=4).map(tuple))
def test_options_of_python_do_not_count_and_arguments_do(options: Words, arguments: Words) -> None:
    """Whatever stands between the interpreter and its script is skipped, what follows is kept."""
    found = identify((b"python3", *options, b"job.py", *arguments), Village())
    assert found.words == (b"run", b"/srv/app/job.py", *arguments)


# --- keys -------------------------------------------------------------------------------------

identities = st.one_of(
    st.builds(identify, argument_list, st.just(Village())),
    st.builds(
        lambda words, environment: Identity((b"module", *words), environment),
        st.lists(word, min_size=1, max_size=3),
        st.one_of(st.none(), word),
    ),
    st.builds(named, word),
)


@given(identities, identities)
def test_keys_are_the_same_if_and_only_if_the_commands_are(one: Identity, other: Identity) -> None:
    """The file of a command is its alone; a runner and its command share it."""
    same = (one.words, one.environment or b"") == (other.words, other.environment or b"")
    assert (records.key(one) == records.key(other)) == same


@given(identities)
def test_a_key_is_a_file_name_that_a_person_can_read(identity: Identity) -> None:
    """Plain letters, no slash, no leading dot, and short."""
    key = records.key(identity)
    assert len(key) <= 73
    assert key.replace(b"-", b"").replace(b"_", b"").isalnum()


@pytest.mark.parametrize(
    ("one", "other"),
    [((b"ab", b"c"), (b"a", b"bc")), ((b"a", b""), (b"a",)), ((b"1:a",), (b"1", b"a"))],
)
def test_a_key_hashes_where_a_word_ends(one: Words, other: Words) -> None:
    """No two lists give one text to hash."""
    assert records.key(Identity((b"run", *one))) != records.key(Identity((b"run", *other)))


# --- the arguments of a runner ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("run -- a b", (None, (b"a", b"b"))),
        ("run --name x -- a", (b"x", (b"a",))),
        ("run --name=x -- a", (b"x", (b"a",))),
        ("run --name x --name=y -- a", (b"y", (b"a",))),
        ("run -- a --name x", (None, (b"a", b"--name", b"x"))),
        ("run -- a -- b", (None, (b"a", b"--", b"b"))),
        ("run --name -- a", (None, (b"a",))),
        ("run a", (b"a", ())),
        ("run a --grace 5s", (b"a", ())),
        ("run a --name b --grace 5s", (b"b", ())),
        ("run a -- b", (None, (b"b",))),
        ("run --grace 5s", None),
        ("run", None),
        ("status -- a", None),
        ("", None),
    ],
)
def test_the_name_and_the_command_of_a_runner(
    arguments: str, found: tuple[bytes | None, Words] | None
) -> None:
    """Options count only before the two dashes."""
    assert runner_command(tuple(map(os.fsencode, shlex.split(arguments)))) == found


# --- the real place ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first_line", "words"),
    [
        (b"#!/bin/sh", (b"/bin/sh",)),
        (b"#! /bin/sh", (b"/bin/sh",)),
        (b"#!/bin/sh -", (b"/bin/sh", b"-")),
        (b"#!/bin/sh -e  ", (b"/bin/sh", b"-e")),
        (b"#!\t/bin/sh\t-e", (b"/bin/sh", b"-e")),
        (b"#!/bin/bash -e -u", (b"/bin/bash", b"-e -u")),  # the kernel passes one word
        (b"#!/usr/bin/env bash", (b"bash",)),
        (b"#!/usr/bin/env -S python3 -u", (b"python3", b"-u")),
        (b"#!/usr/bin/env -Spython3 -u", (b"python3", b"-u")),
        (b"#!/usr/bin/env -S A=1 B=2 awk -f", (b"awk", b"-f")),
        (b"#!/usr/bin/awk -f", (b"/usr/bin/awk", b"-f")),
        (b"#!", (b"",)),
        (b"#", ()),
        (b"\x7fELF", ()),
        (b"", ()),
        (b"print()", ()),
    ],
)
def test_the_words_of_a_first_line(first_line: bytes, words: Words, tmp_path: Path) -> None:
    """What stands in front of a script once the kernel and env have read its first line."""
    script = tmp_path / "script"
    script.write_bytes(first_line + b"\n#! /not/this\n")
    assert read_shebang(os.fsencode(script)) == words


def test_asking_for_a_first_line_opens_nothing_but_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a device, or a FIFO that somebody waits at, would do something."""
    opened: list[bytes] = []
    open_it = os.open

    def watched(path: bytes, flags: int) -> int:
        opened.append(path)
        return open_it(path, flags)

    monkeypatch.setattr(os, "open", watched)
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, tmp_path / "none", Path("/dev/null"), Path("a\0b")):
        assert read_shebang(os.fsencode(path)) == ()
    assert opened == []
    assert read_shebang(os.fsencode(__file__)) == ()
    assert opened == [os.fsencode(__file__)]


@pytest.mark.parametrize(
    ("path", "shortest"),
    [
        (b"/srv/./a//b/../c", b"/srv/a/c"),
        (b"//srv/a", b"/srv/a"),
        (b"///srv/a/", b"/srv/a"),
        (b"/", b"/"),
    ],
)
def test_a_path_has_one_spelling(path: bytes, shortest: bytes) -> None:
    """Doubled slashes and dots do not make another command."""
    assert normal(path) == shortest


def test_bin_and_usr_bin_are_one_where_they_are_linked() -> None:
    """Programs, scripts and modules: PATH may find either. They are two where there is no link."""
    for line in ("{}/sh -c x", "{}/anything", "python3 {}/anything", "{}/python3 -m x", "sh {}/x"):
        one, other = (
            identify(parse(line.format(directory)).argv, MyPlace())
            for directory in ("/bin", "/usr/bin")
        )
        assert (one == other) == os.path.islink("/bin")


@pytest.mark.parametrize(
    ("interpreter", "environment"),
    [
        (b"/srv/venv/bin/python", b"/srv/venv"),
        (b"/usr/bin/python3", b"/usr"),
        (b"python", None),
        (b"/home/u/.pyenv/shims/python", None),
        (b"/opt/Python.app/Contents/MacOS/Python", None),
    ],
)
def test_the_environment_that_an_interpreter_shows(
    interpreter: bytes, environment: bytes | None
) -> None:
    """The prefix of its path, unless the path stands for any environment."""
    assert prefix(interpreter) == environment


def test_a_relative_path_means_nothing_where_the_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it cannot be told; words that only might be paths do not matter."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(CannotTell, match="directory is gone"):
        places.meant(None, (b"./job.py",))
    with pytest.raises(CannotTell, match="directory is gone"):
        places.meant(None, (b"python", b"job.py"))
    assert places.meant(None, (b"/bin/sleep", b"60")).words[2:] == (b"60",)
    assert places.meant(None, (b"/opt/x.sh", b"a/b")).words == (b"run", b"/opt/x.sh", b"a/b")


def test_a_program_is_found_through_path_as_exec_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first executable file of that name; what is not there keeps its name."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "tool").mkdir()
    (tmp_path / "b" / "tool").write_text("not executable")
    (tmp_path / "c" / "tool").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in "abc"))
    assert MyPlace().search(b"tool") == os.fsencode(tmp_path / "c" / "tool")
    assert MyPlace().search(b"nothing") == b"nothing"
    assert MyPlace().search(b"") == b""
