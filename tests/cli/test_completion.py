"""Shell completion: typer's own, with the names that there are."""

from __future__ import annotations

import shlex

import pytest

from support.lifelines import LIFELINE, lifeline, run
from support.stage import Stage

VERBS = ["run", "status", "explain", "terminate", "hold", "release", "history"]


def completed(stage: Stage, *words: str) -> list[str]:
    """What bash is offered for the last of `words`."""
    typed = ["lifeline", *words]
    env = {
        "_LIFELINE_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(typed) if words[-1] else shlex.join(typed[:-1]) + " ",
        "COMP_CWORD": str(len(typed) - 1),
    }
    ended = stage.spawn.run(LIFELINE, env=env)
    assert ended.stderr == ""
    return sorted(ended.stdout.split())


@pytest.mark.parametrize("verb", VERBS)
def test_names_from_the_configuration_records_and_holds(stage: Stage, verb: str) -> None:
    """Those that begin so; a command without a name is none."""
    prefix = stage.name
    (stage.directory / "lifeline.toml").write_text(
        f'[lifeline."{prefix}-file"]\ncommand = "true"\n[lifeline.other]\ncommand = "true"\n'
    )
    stage.start("--name", f"{prefix}-runs", "--", stage.sleeper())
    stage.spawn(*run("--", stage.sleeper(f"{prefix}-unnamed")))
    lifeline(stage.spawn, "hold", f"{prefix}-held")
    expected = [f"{prefix}-file", f"{prefix}-held", f"{prefix}-runs"]
    assert completed(stage, verb, prefix) == expected
    assert "other" in completed(stage, verb, "")


def test_verbs_and_options(stage: Stage) -> None:
    """As typer completes them."""
    assert completed(stage, "term") == ["terminate"]
    assert "--reason" in completed(stage, "hold", "--re")


@pytest.mark.parametrize("broken", ["configuration", "state"])
def test_what_is_broken_completes_to_nothing(stage: Stage, broken: str) -> None:
    """And says nothing: a shell is in the middle of a line."""
    if broken == "configuration":
        (stage.directory / "lifeline.toml").write_text("[lifeline\n")
        assert completed(stage, "status", "a") == []
    else:
        lifeline(stage.spawn, "hold", stage.name)
        (stage.directory / "state").chmod(0o755)
        assert completed(stage, "status", stage.name) == []


def test_the_script_for_a_shell(stage: Stage) -> None:
    """`--show-completion` prints one that bash understands and that names this program."""
    # typer asks its parent which shell it is; without `exit` bash would be no parent, but gone.
    shown = stage.spawn.run("bash", "-c", f"{LIFELINE} --show-completion; exit $?")
    assert shown.returncode == 0, shown.stderr
    assert "_LIFELINE_COMPLETE" in shown.stdout
    checked = stage.spawn.run("bash", "-n", "-c", shown.stdout)
    assert (checked.returncode, checked.stderr) == (0, "")
