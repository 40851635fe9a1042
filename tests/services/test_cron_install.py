"""An installed block, with a real cron: it ticks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.crontabs import Crontabs
from support.lifelines import Work
from support.spawning import Spawner, alive
from support.stage import Stage
from support.waiting import eventually

SPEED = 15  # a tick every 4 s


@pytest.mark.timeout(200)
@pytest.mark.needs("cron", "faketime", "root", "unshare")
def test_an_installed_block_starts_what_it_names_and_keeps_it_running(
    spawn: Spawner, tmp_path: Path
) -> None:
    """From `cron install` to a job that runs; a second tick leaves it; doctor sees it all sound."""
    work = Work(tmp_path / "work")
    stage = Stage(tmp_path, spawn)
    tabs = Crontabs(spawn, tmp_path)
    (tmp_path / "lifeline.toml").write_text(
        f"[lifeline.{stage.name}]\ncommand = {json.dumps(work.argv)}\n"
    )
    tabs.put(b'MAILTO=""\n')
    done = tabs.lifeline("cron", "install")
    assert done.returncode == 0, done.stderr
    cron = tabs.start_cron(SPEED)
    work.wait_for("start", within=100)
    told = tabs.lifeline("doctor", "--json")
    levels = {each["what"]: each["level"] for each in json.loads(told.stdout)}
    assert told.returncode == 0, told.stdout
    assert levels["the crontab has the lines of the configuration"] == "good"
    assert levels[f"{stage.name}: its program is found from cron"] == "good"
    assert "not running" not in tabs.lifeline("status", stage.name).stdout

    ticks = tmp_path / "state" / "ticks"
    eventually(ticks.exists, within=100)  # the second one stood down, and says so
    assert work.working() == work.said("start")
    work.check(starts=1)
    assert alive(cron.pid)
