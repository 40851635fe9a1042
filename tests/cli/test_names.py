"""Names that nobody has heard of: `lifeline hold` and `terminate` say so, and do what was said."""

from __future__ import annotations

import pytest

from support.lifelines import lifeline, tick
from support.stage import Stage, assert_one_line


@pytest.fixture(autouse=True)
def _file(stage: Stage) -> None:
    text = f'[lifeline.mailer]\ncommand = "true"\nname = "{stage.name}-mailer"\n'
    (stage.directory / "lifeline.toml").write_text(text)


@pytest.mark.parametrize("verb", ["hold", "terminate"])
def test_a_slip_is_told_of(stage: Stage, verb: str) -> None:
    """With the nearest name there is; also the second time. The exit code stays 0."""
    for _ in range(2):
        ended = lifeline(stage.spawn, verb, "mialer")
        assert ended.returncode == 0
        file = stage.directory / "lifeline.toml"
        told = (
            f"no lifeline called 'mialer' is in {file}, running or on record; did you mean mailer?"
        )
        assert ended.stderr == f"lifeline: {told}\n"
        assert ended.stdout != ""


@pytest.mark.parametrize("verb", ["hold", "terminate"])
def test_a_name_that_is_known_is_no_slip(stage: Stage, verb: str) -> None:
    """In the file by either of its names, or from `--name` alone: running, or run before."""
    lifeline(stage.spawn, "release", stage.name)
    for name in ("mailer", f"{stage.name}-mailer"):
        assert lifeline(stage.spawn, verb, name).stderr == ""
    assert tick(stage.spawn, "--name", f"{stage.name}-once", "--", "true").returncode == 0
    assert lifeline(stage.spawn, verb, f"{stage.name}-once").stderr == ""
    stage.start("--name", stage.name, "--", stage.sleeper())
    assert lifeline(stage.spawn, verb, stage.name).stderr == ""


@pytest.mark.parametrize("verb", ["hold", "terminate"])
def test_where_no_file_has_names_any_may_be_meant(stage: Stage, verb: str) -> None:
    """As may be any command, wherever it is: it need not have run yet."""
    assert lifeline(stage.spawn, verb, "--", "true", stage.name).stderr == ""
    (stage.directory / "lifeline.toml").unlink()
    assert lifeline(stage.spawn, verb, stage.name).stderr == ""


def test_what_is_doubted_is_done(stage: Stage) -> None:
    """The name may be that of a `--name` that is yet to come."""
    assert "no lifeline called" in lifeline(stage.spawn, "hold", stage.name).stderr
    assert_one_line(tick(stage.spawn, "--name", stage.name, "--", "true"), "held; not started")
