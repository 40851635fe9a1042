"""What README and docs show is true: programs run, command lines are understood."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from lifeline.cli.app import app
from lifeline.config import place
from support.spawning import Spawner
from support.waiting import eventually

from .pages import PAGES, ROOT, blocks, name_of, would_run

BIN = Path(sys.executable).parent
MONITOR = "https://monitor.example/uuid"
VERBS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def ask(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself, and what it printed."""
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def program(page: Path, name: str) -> str:
    """The python block that begins with the file's name."""
    found = [each.body for each in blocks("python", page=page)]
    (body,) = [each for each in found if each.startswith(f"# {name}\n")]
    return body


def command_lines() -> Iterator[tuple[str, str]]:
    """Every `lifeline …` in a block that is no python, without cron's fields and comments."""
    for block in blocks():
        if block.language in ("python", "toml", "json", "dockerfile", "yaml"):
            continue
        for line in block.body.splitlines():
            found = re.search(rf"(?:^|\s|/)(lifeline (?:{'|'.join(VERBS)})\b.*)", line)
            if found:
                yield block.page, re.split(r"\s{2,}", found.group(1))[0]


def mentions() -> Iterator[tuple[str, str]]:
    """Every `lifeline …` in a line of text."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for words in re.findall(r"`(lifeline [a-z][^`]*)`", text):
            yield name_of(page), " ".join(words.replace("\\|", "|").split())


@pytest.mark.parametrize(("page", "words"), sorted(set(mentions())))
def test_what_a_page_mentions_exists(page: str, words: str) -> None:
    """Each verb and each option of `lifeline …` in a text is there."""
    _, *rest = words.partition(" -- ")[0].removesuffix(" --").split()
    command: Any = typer.main.get_command(app)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    assert command.name != "lifeline" or rest[0] in ("NAME", "VERB"), "no such verb"
    known = {"--config", "--help", *(name for option in command.params for name in option.opts)}
    assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize(("page", "line"), sorted(set(command_lines())))
def test_a_command_line_in_the_docs_is_understood(
    page: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each `lifeline …` that a page shows names a verb and options that exist."""
    for name in re.findall(r"env:(\w+)", line):
        monkeypatch.setenv(name, "file:" if "_URL" in name and "PING" not in name else MONITOR)
    monkeypatch.setattr(place, "_chosen", None)  # put back as it was
    words = shlex.split(line.replace("…", ""), comments=True)
    _, verb, *rest = words[: words.index("|")] if "|" in words else words
    if verb == "run":
        if "--" not in rest:  # the name of a lifeline comes first, where its file is may follow
            rest = place.take_option([*rest[not rest[0].startswith("-") :], "--", "true"])
        would_run(["file:" if word == "URL" else word for word in rest])
        return
    head = rest[: rest.index("--")] if "--" in rest else rest
    command = VERBS[verb]
    while head and head[0] in getattr(command, "commands", {}):
        command = command.commands[head.pop(0)]
    known = {"--config", *(name for option in command.params for name in option.opts)}
    assert {word.partition("=")[0] for word in head if word[1:] and word[0] == "-"} <= known


def test_the_readme_shows_command_lines() -> None:
    """The search above finds the README's lines: it cannot pass by finding nothing."""
    shown = [line for page, line in command_lines() if page == "README.md"]
    assert "lifeline run -- /srv/app/worker.py --queue mail" in shown
    assert len(shown) >= 5


def test_the_script_of_the_readme_keeps_itself_single(tmp_path: Path, spawn: Spawner) -> None:
    """The README's worker.py goes on; started again, it leaves at once with exit code 0."""
    (tmp_path / "worker.py").write_text(program(ROOT / "README.md", "worker.py"))
    first = spawn(sys.executable, "worker.py", cwd=tmp_path)
    status = [BIN / "lifeline", "status", "--", sys.executable, str(tmp_path / "worker.py")]
    eventually(lambda: "record" in ask(*status, cwd=tmp_path).stdout)
    assert ask(sys.executable, "worker.py", cwd=tmp_path).returncode == 0
    assert first.poll() is None


def test_the_tasks_of_the_readme_work(tmp_path: Path, spawn: Spawner) -> None:
    """The README's tasks.py has the three tasks of old, and status; terminate ends it all."""
    (tmp_path / "tasks.py").write_text(program(ROOT / "README.md", "tasks.py"))
    invoke = str(BIN / "invoke")
    first = spawn(invoke, "mailer.lifeline", cwd=tmp_path)

    def task(name: str) -> subprocess.CompletedProcess[str]:
        return ask(invoke, f"mailer.{name}", cwd=tmp_path)

    eventually(lambda: task("status").returncode == 0, every=0.5)
    assert task("lifeline").returncode == 0
    assert "already running" in task("run").stderr
    assert f"ended pid {first.pid}" in task("terminate").stdout
    assert first.wait(120) == -signal.SIGTERM
    assert task("status").returncode == 3


def test_both_commands_of_the_readme_exist() -> None:
    """`make demo` and `make test` lead to tasks that invoke has."""
    shown = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert shown == ["demo", "test"]
    tasks = ask(BIN / "invoke", "--list", cwd=ROOT).stdout
    for target in shown:
        would = ask("make", "--dry-run", target, cwd=ROOT)
        assert would.returncode == 0, would.stderr
        assert would.stdout.splitlines()[-1].endswith(f"/invoke {target}")
        assert re.search(rf"^  {target}\b", tasks, re.MULTILINE)


@pytest.mark.timeout(300)
def test_the_demo_runs(spawn: Spawner) -> None:
    """`make demo`: each step comes, nothing stays behind, and it says how long it took."""
    shown = spawn.run(sys.executable, ROOT / "examples" / "demo.py", timeout=240)
    assert (shown.returncode, shown.stderr) == (0, "")
    for part in (
        "exit codes [0, 0]",
        "exit codes [0, 0, 0, 0, 0, 0, 0, 0, 0]",
        "still the same one",
    ):
        assert part in shown.stdout
    assert re.search(r"^not running\n\nDone in \d+ s\.$", shown.stdout, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_leads_somewhere(page: Path) -> None:
    """Each relative link of a page names a file that is there."""
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
