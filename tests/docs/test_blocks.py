"""Every code block of the documentation is run, or read by what it is written for."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from crontab import CronSlices

from lifeline.config import checking, place, reading
from lifeline.scaling import config as scale_config
from support.servers import postgres
from support.spawning import Spawner

from .pages import ROOT, Block, block, blocks, would_run

#: Words of these languages have a test below.
CHECKED = {
    *("", "console", "cron", "dockerfile", "ini", "json", "procfile", "python", "sh", "sql"),
    *("text", "toml", "yaml"),  # text is output
}
SECRETS = {
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "PING_URL": "https://monitor.example/uuid",
    "HEROKU_API_KEY": "of nobody",
}
# What a fragment of a program stands in.
PRELUDES = {
    "exclusive.md:python:2": "import signal, sys",
    "exclusive.md:python:3": "",
    "probes.md:python:1": (
        "import time\nclass before_task_publish: connect = staticmethod(lambda receiver: receiver)"
    ),
    "scaling.md:python:1": (
        "from types import SimpleNamespace\n"
        "fleet = SimpleNamespace(read=lambda: 1, write=lambda n: None)"
    ),
}
# Programs that go on, need a framework or somebody to talk to: another test plays each of them.
ELSEWHERE = {
    "README.md:python:1": "docs/test_readme.py",
    "README.md:python:2": "docs/test_readme.py",
    "howto/django.md:python:1": "docs/test_howto.py",
    "howto/django.md:python:2": "docs/test_howto.py",
    "howto/invoke.md:python:1": "docs/test_howto.py",
    "signals.md:python:1": "signals/test_contract.py",
    "signals.md:python:2": "signals/test_contract.py",
    "signals.md:python:3": "signals/test_contract.py",
    "targets.md:python:1": "scaling/targets/test_heroku.py",
    "tutorial.md:python:1": "docs/test_tutorial.py",
}


def of(*languages: str) -> list[pytest.param]:  # type: ignore[valid-type]
    found = [pytest.param(each, id=each.id) for each in blocks(*languages)]
    assert found, languages  # or a test would pass by finding nothing
    return found


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    locks = dict.fromkeys(("DATABASE_URL", "LOCK_URL"), f"file:{tmp_path}/locks")
    for name, value in {**SECRETS, **locks}.items():
        monkeypatch.setenv(name, value)


def test_every_block_is_looked_at() -> None:
    """There is a test for each language, and none is misspelt."""
    assert {each.language for each in blocks()} <= CHECKED


@pytest.mark.parametrize("each", of("python"))
def test_a_program_runs(each: Block, spawn: Spawner, tmp_path: Path) -> None:
    """It ends with exit code 0, or it is played by the test that is named for it."""
    compile(each.body, each.id, "exec")
    if each.id in ELSEWHERE:
        assert (ROOT / "tests" / ELSEWHERE[each.id]).exists()
        return
    program = tmp_path / "program.py"
    program.write_text(f"{PRELUDES.get(each.id, '')}\n{each.body}")
    ended = spawn.run(sys.executable, program)
    assert ended.returncode == 0, ended.stderr


def test_what_is_told_of_blocks_is_told_of_some() -> None:
    """Each prelude and each exception is for a block that is there."""
    assert PRELUDES.keys() | ELSEWHERE.keys() <= {each.id for each in blocks("python")}


@pytest.mark.parametrize("each", of("toml"))
def test_a_configuration_is_one(
    each: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lifeline config check` and the scaler's reader find nothing wrong with it."""
    for number, text in enumerate(whole_files(each.body)):
        path = tmp_path / str(number) / "lifeline.toml"
        path.parent.mkdir()
        path.write_text(text)
        (path.parent / "app.env").touch()  # of docs/config.md
        monkeypatch.setattr(place, "_chosen", str(path))
        wrong = checking.problems(reading.needed())
        assert [line for line in wrong if "cwd: there is no" not in line] == []
        if "[scale." in text:
            for plan in scale_config.read(str(path)).values():
                plan.probes()
                plan.target()


def whole_files(body: str) -> list[str]:
    """What a block says, as files: each of the targets that stand alone in one of its own."""
    if "target = {" in body and "[scale." not in body:
        head = '[scale.it]\nprobe = { kind = "command", run = ["true"] }\nmin = 0\nmax = 1\n'
        rules = "rules = [{ at_least = 0, workers = 0 }]\n"
        outside = 'kind = "kubernetes", namespace = "it", url = "https://127.0.0.1", token = "-",'
        lines = body.replace('kind = "kubernetes",', outside).splitlines()
        return [f"{head}{rules}{line}\n" for line in filter(None, lines)]
    if "probe = {" in body and "target = {" not in body:
        rest = 'target = { kind = "command", get = ["true"], set = ["true"] }\n'
        return [f"{body}{rest}rules = [{{ at_least = 0, workers = 0 }}]\n"]
    return [body]


@pytest.mark.parametrize("each", of("cron"))
def test_a_crontab_is_one(each: Block) -> None:
    """Each line is a variable, or five fields and a command that the shell understands."""
    for line in filter(None, each.body.splitlines()):
        if re.match(r"\w+=", line):
            continue
        words = line.split(None, 5)
        assert CronSlices.is_valid(" ".join(words[:5])), line
        assert "%" not in words[5].replace("\\%", ""), "cron ends the command there"
        understood_by_the_shell(words[5])


@pytest.mark.parametrize("each", of("console", "sh"))
def test_a_shell_understands_it(each: Block) -> None:
    """What follows a prompt, which `test_consoles` types, or all of a script."""
    if each.language == "sh":
        understood_by_the_shell(each.body)
        return
    commands = [line[2:] for line in each.body.splitlines() if line.startswith("$ ")]
    assert commands, "a console shows what is typed"
    for command in commands:
        understood_by_the_shell(command)


def understood_by_the_shell(text: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=text.replace("…", ""), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), text


@pytest.mark.parametrize("each", of("yaml"))
def test_yaml_is_yaml(each: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """It parses, and a container's command is one that lifeline understands."""
    monkeypatch.setenv("LIFELINE_LOCK", "file:")
    for document in yaml.safe_load_all(each.body):
        for container in (
            document.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
        ):
            words = [*container["command"], *container["args"]]
            assert words[:2] == ["lifeline", "run"]
            would_run(words[2:])


@pytest.mark.parametrize("each", of("dockerfile"))
def test_a_dockerfile_starts_lifeline(each: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENTRYPOINT and CMD together are a call that lifeline understands."""
    for name, value in re.findall(r"^ENV (\w+)=(.*)$", each.body, re.MULTILINE):
        monkeypatch.setenv(name, value)
    said = dict(re.findall(r"^(ENTRYPOINT|CMD) (\[.*\])$", each.body, re.MULTILINE))
    words = [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])]
    assert words[:2] == ["lifeline", "run"]
    assert would_run(words[2:]).command == (b"python", b"worker.py")


@pytest.mark.parametrize("each", of("procfile"))
def test_a_procfile_is_one(each: Block, tmp_path: Path) -> None:
    """lifeline reads it as a configuration, too."""
    path = tmp_path / "Procfile"
    path.write_text(each.body)
    assert len(reading.read(str(path)).entries) == len(each.body.splitlines())
    for line in each.body.splitlines():
        words = shlex.split(line.partition(": ")[2])
        if words[:2] == ["lifeline", "run"]:
            would_run(words[2:])


@pytest.mark.parametrize("each", of("ini"))
def test_a_section_is_one(each: Block) -> None:
    """supervisord's files have the form of configparser."""
    parser = configparser.RawConfigParser()
    parser.read_string(each.body)
    assert parser.sections()


@pytest.mark.needs("postgres")
def test_the_guarded_write_is_sql() -> None:
    """PostgreSQL takes both statements, and the update is the one that the concepts show."""
    create, update = (part.strip() for part in block("leases.md", "sql").split(";", 1))
    server = postgres.server()
    database = server.fresh_database()
    server.execute(create, database)
    statement = update.partition(";")[0]
    server.execute(f"PREPARE late (text, bigint, text) AS {statement}", database)
    assert block("concepts/leases-and-fences.md", "sql").strip().rstrip(";") == statement


def test_a_block_without_a_language_is_a_list_of_commands_or_a_picture() -> None:
    """Commands in it are looked at by `test_readme`, so they have to begin with `lifeline`."""
    for each in blocks(""):
        assert "def " not in each.body and "[lifeline." not in each.body, each.id
