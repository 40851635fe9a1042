"""examples/django_command: a management command of a real Django that keeps itself single."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from support.lifelines import LIFELINE, line
from support.spawning import Spawner
from support.waiting import eventually


def test_a_management_command_runs_once(
    programs: Path,
    with_lifeline: dict[str, str],
    deploy: Callable[..., Path],
    spawn: Spawner,
) -> None:
    """Started again from elsewhere it leaves at once with 0; terminate ends it by its command."""
    here = deploy("django_command")
    python = str(programs / "python")
    first = spawn(python, "manage.py", "send_mail", cwd=here, env=with_lifeline)
    assert line(first) == "sending"
    again = spawn.run(python, here / "manage.py", "send_mail", cwd="/", env=with_lifeline)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    other = spawn.run(python, here / "manage.py", "check", cwd="/", env=with_lifeline)
    assert other.returncode == 0  # another command is another lifeline

    command = ["--", python, here / "manage.py", "send_mail"]
    shown = json.loads(spawn.run(LIFELINE, "status", "--json", *command).stdout)
    assert [each["pid"] for each in shown["running"]] == [first.pid]
    assert spawn.run(LIFELINE, "terminate", *command).returncode == 0
    eventually(lambda: first.poll() is not None)
