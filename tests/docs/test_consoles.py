"""What the pages show on a console is typed into a shell, and prints what they show.

The tutorial has a test of its own, because cron is part of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from support.lifelines import namespace
from support.needs import require
from support.spawning import Spawner
from support.waiting import eventually

from .pages import DOCS, ROOT, block, blocks
from .shells import VENV, Shell, exchanges, is_shown

#: Commands that are not typed here, on which page, and what plays them or why nothing can.
ELSEWHERE = {
    ("bench.md", "python -m bench"): "minutes of measuring; the page says what came of it",
    ("bench.md", "make bench"): "the same",
    ("evidence.md", "python"): "minutes of measuring; the page is written by running them",
    ("howto/from-lockrun.md", "lifeline run"): "leases/test_dynamodb.py",
    ("identity.md", ""): "unit/test_identity.py",
    ("index.md", "pip install"): "the wheel is built and installed by `invoke package`",
    ("metrics.md", "pip install"): "the same",
    ("metrics.md", "lifeline metrics --port"): "cli/test_metrics.py, on a port that is free",
    ("model.md", ""): "the model is checked by `invoke model`, in minutes",
    ("supervisor.md", "journalctl"): "supervisor/test_events.py, with a syslog of its own",
    ("tutorial.md", ""): "docs/test_tutorial.py",
}
#: Exit codes that are not 0 alone: what doctor finds is a matter of the machine.
CODES = {"lifeline doctor": (0, 1)}
#: What goes on until it is told to end, and how many lines it has to say before that.
ENDLESS = {"lifeline scale run": 1, "lifeline scale record": 2}


class Stage(NamedTuple):
    """What a page takes for granted: files, and commands that were typed before."""

    files: Mapping[str, str] = MappingProxyType({})
    before: tuple[str, ...] = ()


COUNT = "#!/bin/sh\necho 25\n"
WORKERS = '#!/bin/sh\nif [ "$1" = set ]; then echo "$2" >fleet; else cat fleet; fi\n'
WORKER = "#!/bin/sh\nsleep 3600\n"
TABLE = block("scaling.md", "toml").replace("[scale.mailers]\n", '[scale.mailers]\nevery = "1s"\n')
SCALER = {
    "lifeline.toml": TABLE,
    "new.toml": TABLE.replace("dynos = 5", "dynos = 7"),
    "count-due-jobs": COUNT,
    "workers": WORKERS,
    "fleet": "3\n",
}
STAGES = {
    "exclusive.md": Stage(before=("lifeline watch ticker >heard &",)),
    "howto/cron.md": Stage(
        {"worker.py": WORKER}, ("lifeline run -- /srv/app/worker.py --queue mail &",)
    ),
    "howto/heroku.md": Stage({"manage.py": ""}),
    "howto/kubernetes.md": Stage({"lifeline.toml": '[lifeline.worker]\ncommand = "./worker"\n'}),
    "metrics.md": Stage({"node_exporter/.keep": ""}),
    "scaling.md": Stage(SCALER),
    "signals.md": Stage(before=("lifeline watch mailer >heard &",)),
    "supervisor.md": Stage(
        {"worker.py": WORKER},
        ("! lifeline run --name mailer --max-memory 1 -- sleep 3600",),
    ),
    "top.md": Stage(),
}


def commands() -> Iterator[tuple[str, str]]:
    """Each page, with each command that it shows on a console."""
    for each in blocks("console"):
        for command, _ in exchanges(each):
            yield each.page, command


def is_elsewhere(page: str, command: str) -> bool:
    return any(page == at and command.startswith(start) for at, start in ELSEWHERE)


def test_every_command_is_typed_or_said_to_be_played_elsewhere() -> None:
    """Each page has a stage, or is left out with a reason; no reason is for nothing."""
    shown = list(commands())
    here = {page for page, command in shown if not is_elsewhere(page, command)}
    assert here == STAGES.keys()
    for page, start in ELSEWHERE:
        assert any(at == page and command.startswith(start) for at, command in shown), page
    for reason in ELSEWHERE.values():
        if found := re.match(r"\w+/test_\w+\.py", reason):
            assert (ROOT / "tests" / found[0]).exists()


@pytest.fixture
def shell(request: pytest.FixtureRequest, spawn: Spawner, tmp_path: Path) -> Shell:
    """Where nobody else's processes are seen, with the page's stage set."""
    stage: Stage = STAGES[request.param]
    app = tmp_path / "app"
    app.mkdir()
    for name, text in stage.files.items():
        (app / name).parent.mkdir(exist_ok=True)
        (app / name).write_text(text.replace("/srv/app", str(app)))
        (app / name).chmod(0o755)
    store = f"file:{tmp_path}/locks"
    env = {
        "PATH": f"{VENV}/bin{os.pathsep}{os.environ['PATH']}",
        "DATABASE_URL": store,
        **({"LIFELINE_LOCK": store} if "watch" in "".join(stage.before) else {}),
    }
    found = Shell(spawn, namespace("bash", "--norc"), app, env)
    for command in stage.before:
        assert found.type(here(command, app)).code == 0
        if "run" in command and command.endswith("&"):
            eventually(lambda: found.type("lifeline status").code == 0, every=0.3)
    return found


def here(command: str, app: Path) -> str:
    """A command with the places of the page at those of the test."""
    return command.replace("/srv/app", str(app)).replace("/var/lib", str(app))


@pytest.mark.needs("unshare")
@pytest.mark.parametrize("shell", STAGES, indirect=True)
def test_what_a_console_shows_is_what_happens(shell: Shell, request: pytest.FixtureRequest) -> None:
    """Every command of the page, in its order: its exit code, and what it prints if that is shown.

    A signal that nobody hears yet is sent again: who is to hear it was started a moment ago.
    """
    page = request.node.callspec.params["shell"]
    for each in blocks("console", page=DOCS / page):
        for shown_command, shown in exchanges(each):
            if is_elsewhere(page, shown_command):
                continue
            command = here(shown_command, shell.app)
            if "| jq" in command:
                require("jq")
            endless = [lines for start, lines in ENDLESS.items() if command.startswith(start)]
            if endless:
                play_endless(shell, command, *endless)
                continue
            said = shell.type(command)
            if command.startswith("lifeline signal"):
                eventually(lambda c=command: shell.type(c).code == 0, every=0.3)
                said = shell.type(command)
            assert said.code in CODES.get(shown_command, (0,)), (command, said)
            if shown:
                assert is_shown(said.lines, shown, shell.app), (command, said, shown)


def play_endless(shell: Shell, command: str, lines: int) -> None:
    """It says so many lines, and ends when it is told to."""
    into = command.partition(">")[2] or "said"
    redirected = command if ">" in command else f"{command} >said 2>&1"
    shell.type(f"rm -f {into}; {redirected} &")
    eventually(lambda: shell.type(f"test $(wc -l <{into}) -ge {lines}").code == 0, every=0.3)
    ended = shell.type("kill $!; wait $!")
    assert ended.code in (0, 143), (command, ended, shell.type(f"cat {into}"))
