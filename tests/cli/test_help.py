"""Help: for every verb, with examples that work, and nothing but text where it is piped."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator

import pytest
import typer.main
from typer import rich_utils

import lifeline as package
from lifeline.cli.app import app
from lifeline.config.texts import OPTIONS
from support.lifelines import LIFELINE
from support.stage import Stage, assert_one_line

VERBS = ["run", "status", "top", "explain", "terminate", "hold", "release", "metrics"]
#: Without what makes typer colour a pipe too, and wide enough for one line each.
PLAIN = [
    *("env", "-u", "FORCE_COLOR", "-u", "PY_COLORS", "-u", "GITHUB_ACTIONS"),
    *("COLUMNS=200", LIFELINE),
]


def help_of(stage: Stage, *words: str) -> list[str]:
    """The lines of a help, without those that are empty."""
    ended = stage.spawn.run(*PLAIN, *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\x1b" not in ended.stdout
    return [line.strip() for line in ended.stdout.splitlines() if line.strip()]


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("verb", ["run", "status"])
def test_help_ends_with_two_examples(stage: Stage, verb: str, flag: str) -> None:
    """As a process of its own: exit code 0, no escape codes in a pipe."""
    lines = help_of(stage, verb, flag)
    assert lines[-3] == "Examples:"
    for example in lines[-2:]:
        assert f"lifeline {verb} " in f"{example} "
        assert "--help" not in example


def every_verb() -> Iterator[tuple[str, ...]]:
    """The words of each verb and of each group of verbs, the command itself first."""

    def below(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, each in getattr(command, "commands", {}).items():
            yield from below(each, (*words, name))

    return below(typer.main.get_command(app), ())


@pytest.mark.parametrize("words", list(every_verb()), ids=" ".join)
def test_the_help_of_every_verb_fits_a_screen(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At most 44 lines of 80 columns; the last are two examples of this very verb."""
    for name in ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 80)
    app([*words, "--help"], prog_name="lifeline", standalone_mode=False)
    lines = [line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines()]
    assert len(lines) <= 44
    assert max(map(len, lines)) <= 80
    text = "\n".join(line.strip() for line in lines)
    examples = text.rpartition("Examples:\n")[2].strip().split("\n\n")
    assert len(examples) == 2
    for example in examples:
        assert " ".join(["lifeline", *words]) in example
        assert len(example.splitlines()) == 1  # it can be copied


@pytest.mark.parametrize("words", list(every_verb()), ids=" ".join)
def test_no_flag_seems_to_take_a_value(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--json true` is refused, so nothing stands between a flag and what it does."""
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 200)
    app([*words, "--help"], prog_name="lifeline", standalone_mode=False)
    shown = capsys.readouterr().out
    assert re.search(r"--help +-h +Show this message", shown)
    assert "bool" not in shown.lower()


def test_the_help_of_run_is_short_and_leads_to_the_whole_one(stage: Stage) -> None:
    """`--help` fits 80 columns and 32 lines; `--help-all` says a whole sentence of every option."""
    short = stage.spawn.run(*PLAIN[:-2], "COLUMNS=80", LIFELINE, "run", "--help").stdout
    assert len(short.rstrip().splitlines()) <= 32
    assert "--help-all" in short and "--backoff" not in short
    wide = stage.spawn.run(*PLAIN[:-2], "COLUMNS=400", LIFELINE, "run", "--help-all").stdout
    told = [" ".join(line.strip("│ ").split()) for line in wide.splitlines()]
    for name, text in OPTIONS.items():
        option = "--" + name.replace("_", "-")
        (line,) = [each for each in told if each.startswith(f"{option} ")]
        assert line.endswith(text)


@pytest.mark.parametrize("verb", ["status", "explain", "terminate", "hold", "release", "history"])
def test_the_usage_says_that_a_command_can_be_meant(stage: Stage, verb: str) -> None:
    """`-- CMD…` in place of a NAME."""
    usage = next(line for line in help_of(stage, verb, "--help") if "Usage:" in line)
    assert usage.endswith("[NAME | -- CMD…]")


@pytest.mark.parametrize(
    ("words", "near"), [(["stauts"], "status"), (["lock", "hodlers"], "holders")]
)
def test_a_misspelt_verb_is_told_the_nearest(stage: Stage, words: list[str], near: str) -> None:
    """One line, exit code 2."""
    ended = stage.spawn.run(LIFELINE, *words)
    assert ended.returncode == 2
    assert_one_line(ended, f"No such command '{words[-1]}'. Did you mean '{near}'?")


def test_a_paragraph_is_broken_by_the_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line of a help ends where the source has a line end but the terminal has room."""
    monkeypatch.setattr(rich_utils, "MAX_WIDTH", 300)
    app(["run", "--help"], prog_name="lifeline", standalone_mode=False)
    assert "126 cannot be executed, 127 not found." in next(
        line for line in capsys.readouterr().out.splitlines() if "Exit codes" in line
    )


@pytest.mark.parametrize("verb", ["status", "explain", "hold", "release"])
def test_the_examples_can_be_run_as_they_are(stage: Stage, verb: str) -> None:
    """Those that only look, or write a hold."""
    for example in help_of(stage, verb, "--help")[-2:]:
        words = shlex.split(example)
        assert words.pop(0) == "lifeline"
        ended = stage.spawn.run(LIFELINE, *words)
        assert ended.returncode in (0, 3), ended.stderr
        assert ended.stderr == ""


def test_the_help_of_the_command_names_every_verb_and_gives_an_example(stage: Stage) -> None:
    """So does no argument at all, with the code of wrong use."""
    lines = help_of(stage, "--help")
    assert lines[-3] == "Examples:"
    for verb in VERBS:
        assert any(line.startswith(f"│ {verb} ") for line in lines)
    bare = stage.spawn.run(*PLAIN)
    assert bare.returncode == 2
    shown = (bare.stdout + bare.stderr).splitlines()
    assert [line.strip() for line in shown if line.strip()] == lines


def test_a_verb_brings_in_no_other(stage: Stage) -> None:
    """Each costs what it needs itself: the others' modules stay unread."""
    code = (
        "import sys; from lifeline.cli.app import main; main(['status'])\n"
        "print(*sorted(name for name in sys.modules if name.startswith('lifeline.')))"
    )
    loaded = stage.spawn.run(sys.executable, "-c", code).stdout.splitlines()[-1].split()
    assert "lifeline.cli.status" in loaded
    assert {"lifeline.scaling", "lifeline.doctor", "lifeline.cli.scale"}.isdisjoint(loaded)


@pytest.mark.parametrize("words", [["run", "--exec", "--help"], ["run", "--help", "--", "x"]])
def test_help_is_help_wherever_it_stands_before_the_dashes(stage: Stage, words: list[str]) -> None:
    """It starts nothing."""
    assert help_of(stage, *words) == help_of(stage, "run", "--help")


def test_help_after_the_dashes_is_the_jobs(stage: Stage) -> None:
    """What follows the dashes is never read."""
    job = stage.shell('echo "$@"')
    assert stage.spawn.run(LIFELINE, "run", "--", job, "--help", "-h").stdout == "--help -h\n"


def test_the_version_is_that_of_the_package(stage: Stage) -> None:
    """As the library has it."""
    assert stage.spawn.run(LIFELINE, "--version").stdout == f"lifeline {package.__version__}\n"
