"""`lifeline config`: where each value comes from, and what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.lifelines import lifeline
from support.stage import Stage, assert_one_line

TEXT = """\
[lifeline.mailer]
command = "./mailer --queue 'a b'"
grace = "30s"
lock = "postgresql://app:sesame@db.example/app"
ping = "https://hc.example/0123-secret-path"
max-memory = "1GB"
env = { TOKEN = "open-sesame" }
env_file = "app.env"
ttl = "60s"
"""


def prepare(stage: Stage) -> Path:
    stage.script("#!/bin/sh\n", "mailer")
    (stage.directory / "app.env").write_text("OTHER=hidden-word\n")
    path = stage.directory / "lifeline.toml"
    path.write_text(TEXT)
    return path


def test_show_tells_where_each_value_comes_from(stage: Stage) -> None:
    """Environment before file before default, with file and line."""
    path = prepare(stage)
    ended = lifeline(
        stage.spawn, "config", "show", "--json", "mailer", env={"LIFELINE_GRACE": "5s"}
    )
    assert ended.returncode == 0, ended.stderr
    rows = {each["key"]: (each["value"], each["origin"]) for each in json.loads(ended.stdout)}
    assert rows["command"] == ("./mailer --queue 'a b'", f"{path}:2")
    assert rows["cwd"] == (str(stage.directory), "default")
    assert rows["grace"] == ("5s", "environment (LIFELINE_GRACE)")
    assert rows["max_memory"] == ("1GB", f"{path}:6")
    assert rows["restart"] == ("never", "default")
    assert rows["name"] == ("mailer", f"{path}:1")
    assert rows["env.TOKEN"] == ("(set)", f"{path}:7")
    assert rows["env.OTHER"] == ("(set)", f"{path}:8")


def test_show_shows_no_secret(stage: Stage) -> None:
    """Of a store and a monitor only the place, of a variable only the name."""
    prepare(stage)
    ended = lifeline(stage.spawn, "config", "show", "mailer")
    assert "postgresql://app@db.example/app" in ended.stdout
    assert "https://hc.example/…" in ended.stdout
    for secret in ("sesame", "secret-path", "hidden-word"):
        assert secret not in ended.stdout


def test_check_tells_all_mistakes(stage: Stage) -> None:
    """A line each, exit code 2; nothing but a count if there is none."""
    path = prepare(stage)
    ended = lifeline(stage.spawn, "config", "check")
    assert (ended.returncode, ended.stdout) == (0, f"{path}: 1 lifeline, all sound\n")
    path.write_text(TEXT + 'garce = 1\n[lifeline.b]\ncommand = ""\n[lifeline.c]\nevery = "1s"\n')
    ended = lifeline(stage.spawn, "config", "check")
    assert (ended.returncode, ended.stdout) == (2, "")
    lines = ended.stderr.splitlines()
    assert f"lifeline: {path}:10: no such key: garce; did you mean grace?" in lines
    assert f"lifeline: {path}:12: the command's first word is missing or empty" in lines
    assert any(line.startswith(f"lifeline: {path}:14: every") for line in lines)
    assert "sesame" not in ended.stderr


def test_check_tells_all_mistakes_of_one_table(stage: Stage) -> None:
    """Each option by itself, in the words of the file, and what is wrong with all only once."""
    path = stage.directory / "lifeline.toml"
    path.write_text(
        '[lifeline.a]\ncommand = "true"\ntimeout = true\nquiet = "yes"\ngrace = "soon"\n'
        'zzz = 1\nevery = "7m"\n[lifeline.b]\ncommand = "true"\nname = "a"\n'
    )
    ended = lifeline(stage.spawn, "config", "check", env={"LIFELINE_GRACE": "abc"})
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    for told in (
        "lifeline.toml:3: timeout is a text or a number, not true",
        "lifeline.toml:4: quiet is true or false, not 'yes'",
        "lifeline.toml:5: grace: 'soon' is not a duration",
        "lifeline.toml:6: no such key: zzz",
        "lifeline.toml:7: every = '7m' is no part of",
        "lifeline.toml:10: there are two lifelines called 'a'",
        "environment (LIFELINE_GRACE): grace: 'abc' is not a duration",
    ):
        assert sum(told in line for line in lines) == 1, (told, lines)


def test_check_reads_scalers_too(stage: Stage) -> None:
    """Each table of them; what is sound is counted."""
    path = stage.directory / "lifeline.toml"
    probe, target = 'probe = { kind = "command", run = ["x"] }', 'target = { kind = "pool" }'
    path.write_text(f'[scale.x]\nprob = {{ kind = "command" }}\n{target}\n[scale.y]\n{probe}\n')
    ended = lifeline(stage.spawn, "config", "check")
    assert ended.returncode == 2
    assert f"{path}:2: [scale.x] unknown key 'prob'; did you mean 'probe'?" in ended.stderr
    assert f"{path}:4: [scale.y] target is missing" in ended.stderr
    target = 'target = { kind = "kubernetes" }'
    rules = "rules = [{ at_least = 0, dynos = 1 }]"
    path.write_text(f'[lifeline.a]\ncommand = "true"\n[scale.y]\n{probe}\n{target}\n{rules}\n')
    ended = lifeline(stage.spawn, "config", "check")
    assert ended.stdout == f"{path}: 1 lifeline, 1 scaler, all sound\n", ended.stderr


def test_check_says_what_no_shell_will_replace(stage: Stage) -> None:
    """A variable or a star, in a command or an env_file; it may be meant so, and is no mistake."""
    path = stage.directory / "lifeline.toml"
    path.write_text(
        '[lifeline.a]\ncommand = "echo $HOME *.py"\nenv_file = "e"\n'
        "[lifeline.b]\ncommand = \"echo '$HOME *' \\\\$x\"\n"
        "[lifeline.c]\ncommand = \"sh -c 'echo $HOME'\"\n"
        '[lifeline.d]\ncommand = ["echo", "$HOME"]\n'
    )
    (stage.directory / "e").write_text("A=$HOME/x\nB='$HOME'\nC=\\$HOME\nD=5$\n")
    ended = lifeline(stage.spawn, "config", "check")
    assert (ended.returncode, ended.stdout) == (0, f"{path}: 4 lifelines, all sound\n")
    assert ended.stderr.splitlines() == [
        f"lifeline: {path}:2: no shell runs the command: $HOME *.py is taken as it stands",
        f"lifeline: {stage.directory}/e:1: $NAME in an env_file is taken as it stands",
    ]


def test_show_shows_nothing_that_run_would_refuse(stage: Stage) -> None:
    """It says what is wrong instead, with exit code 2."""
    path = stage.directory / "lifeline.toml"
    path.write_text('[lifeline.a]\ncommand = "true"\ngrace = "abc"\n')
    ended = lifeline(stage.spawn, "config", "show", "a")
    assert ended.returncode == 2
    assert_one_line(ended, f"{path}:3: grace: 'abc' is not a duration")


def test_show_spells_defaults_as_one_would_write_them(stage: Stage) -> None:
    """No bytes, no bare seconds, nothing of Python's."""
    prepare(stage)
    ended = lifeline(stage.spawn, "config", "show", "--json", "mailer")
    rows = {each["key"]: each["value"] for each in json.loads(ended.stdout)}
    assert (rows["settle"], rows["wait"], rows["backoff"]) == ("10s", "0s", "1s..1m")
    assert (rows["log_size"], rows["forward_signals"]) == ("10MB", "-")
    assert (rows["exit_code_if_running"], rows["timeout"]) == ("0", "-")


def test_without_a_configuration_one_line_says_so(stage: Stage) -> None:
    """Exit code 2."""
    for words in (["config", "check"], ["config", "show", "x"], ["export", "systemd", "x"]):
        ended = lifeline(stage.spawn, *words)
        assert ended.returncode == 2
        assert_one_line(ended, "there is no lifeline.toml, no [tool.lifeline]")


@pytest.mark.parametrize(
    "verb",
    [
        *("config show", "config check", "config schema", "doctor"),
        *("cron show", "cron install", "cron remove"),
        *("export systemd", "export kubernetes", "export supervisord"),
    ],
)
def test_the_help_of_each_verb_ends_with_two_examples(stage: Stage, verb: str) -> None:
    """Of that verb."""
    ended = lifeline(stage.spawn, *verb.split(), "--help", env={"COLUMNS": "200"})
    lines = [line.strip() for line in ended.stdout.splitlines() if line.strip()]
    assert (ended.returncode, lines[-3]) == (0, "Examples:")
    assert all(f"lifeline {verb}" in line for line in lines[-2:])
