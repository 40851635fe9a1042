"""`lifeline doctor`: each finding, made to be there."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from lifeline import clock
from lifeline.processes.state import State
from support.crontabs import Crontabs
from support.lifelines import AS_NOBODY, LIFELINE, hidden, lifeline, namespace
from support.spawning import Spawner
from support.stage import Stage
from support.waiting import eventually

real = pytest.mark.needs("cron", "root", "unshare")


@pytest.fixture
def tabs(spawn: Spawner, tmp_path: Path) -> Crontabs:
    return Crontabs(spawn, tmp_path)


def findings(stage: Stage, *before: str, **options: Any) -> tuple[int, list[tuple[str, str]]]:
    """The exit code, and level and text of each finding."""
    done = stage.spawn.run(*before, LIFELINE, "doctor", "--json", **options)
    assert done.stderr == "", done.stderr
    found = json.loads(done.stdout)
    for each in found:
        assert each["level"] in ("good", "note", "warning", "bad")
        assert each["level"] in ("good", "note") or each["advice"], each
    return done.returncode, [(each["level"], each["what"]) for each in found]


def level(found: tuple[int, list[tuple[str, str]]], part: str) -> str:
    """The level of the one finding that speaks of `part`; 1 is the exit code if any is bad."""
    code, rows = found
    assert code == any(level == "bad" for level, _ in rows)
    levels = [level for level, what in rows if part in what]
    assert len(levels) == 1, (part, rows)
    return levels[0]


def test_on_a_sound_machine_all_that_is_looked_at_is_told(stage: Stage) -> None:
    """For people: a line each, and nothing is changed."""
    done = lifeline(stage.spawn, "doctor")
    for part in ("state directory", "the clock", "psutil", "pidfd_open(2)", "subreaper"):
        assert part in done.stdout
    assert not (stage.directory / "state").exists()


def test_a_wrong_configuration_is_bad(stage: Stage) -> None:
    """With its line; a sound one is good."""
    path = stage.directory / "lifeline.toml"
    path.write_text('[lifeline.a]\ncommand = "true"\ngarce = 1\n')
    assert level(findings(stage), "lifeline.toml:3: no such key: garce") == "bad"
    path.write_text("[scale.s]\nprob = 1\n")
    assert level(findings(stage), "lifeline.toml:2: [scale.s] unknown key 'prob'") == "bad"
    path.write_text("nonsense")
    assert level(findings(stage), "lifeline.toml:1: ") == "bad"
    path.write_text('[lifeline.a]\ncommand = "true"\n')
    assert level(findings(stage), "lifeline.toml: all sound") == "good"


def test_a_secret_that_everybody_can_read_is_a_warning(stage: Stage) -> None:
    """And is not shown."""
    path = stage.directory / "lifeline.toml"
    path.write_text('[lifeline.a]\ncommand = "true"\nping = "http://127.0.0.1:9/sesame"\n')
    path.chmod(0o644)
    found = findings(stage)
    assert level(found, "lifeline.toml:3: ping is a secret that everybody can read") == "warning"
    assert "sesame" not in str(found)
    path.chmod(0o600)
    assert not any("is a secret" in what for _, what in findings(stage)[1])


def test_a_state_directory_that_will_not_do_is_bad(stage: Stage) -> None:
    """Open to others, relative, a file; a missing one will be made."""
    state = stage.directory / "state"
    assert level(findings(stage), "is made with the first run") == "good"
    state.mkdir(mode=0o700)
    assert level(findings(stage), "is ours alone and can be written") == "good"
    state.chmod(0o755)
    assert level(findings(stage), "is open to others") == "bad"
    state.rmdir()
    state.touch()
    assert level(findings(stage), "is not a directory") == "bad"
    found = findings(stage, env={"LIFELINE_STATE_DIR": "relative"})
    assert level(found, "is relative") == "bad"


@pytest.mark.needs("root", "unshare")
def test_what_is_hidden_is_a_note(stage: Stage) -> None:
    """hidepid=2 for an ordinary user; a pid namespace of its own."""
    found = findings(stage, *hidden("hidepid=2", *AS_NOBODY), env={"LIFELINE_STATE_DIR": "/tmp/x"})
    assert level(found, "hides the processes of other users (hidepid=") == "note"
    assert level(findings(stage, *namespace()), "a pid namespace of its own") == "note"
    assert level(findings(stage, *hidden("hidepid=2")), "but not from this user") == "good"


@real
def test_without_cron_nothing_ticks(stage: Stage, tabs: Crontabs) -> None:
    """Bad if the crontab has lines of lifeline; else it may be meant so."""
    (stage.directory / "lifeline.toml").write_text('[lifeline.a]\ncommand = "sleep 60"\n')
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    inside = tabs.inside(*alone)
    assert level(findings(stage, *inside), "no cron daemon is running") == "warning"
    assert level(findings(stage, *inside), "is not in the crontab") == "note"
    assert tabs.lifeline("cron", "install").returncode == 0
    assert level(findings(stage, *inside), "no cron daemon is running") == "bad"
    (stage.directory / "lifeline.toml").write_text('[lifeline.b]\ncommand = "sleep 60"\n')
    assert level(findings(stage, *inside), "lifeline.toml has changed since") == "warning"


@real
def test_which_crontab_cron_reads_is_shown_by_its_spool(stage: Stage, tabs: Crontabs) -> None:
    """As the daemon itself sees it: from its own mount namespace and from another one."""
    cron = tabs.start_cron()
    eventually(lambda: Path(f"/proc/{cron.pid}/comm").read_text() == "cron\n", within=120)
    tabs.put(b"* * * * * true\n")

    def told(*before: str) -> list[str]:
        return [f"{level}: {what}" for level, what in findings(stage, *before)[1] if "pid " in what]

    assert f"good: pid {cron.pid} has this crontab in its spool" in told(*tabs.inside())
    # There may be others, the machine's or another test's: then one of those may be meant.
    other = Crontabs(stage.spawn, stage.directory)
    other.put(b"* * * * * false\n")
    wrong = re.compile(r"warning: pid \d+ has another crontab of this user in its spool")
    assert any(map(wrong.fullmatch, told(*other.inside("unshare", "--mount"))))
    other.put(b"* * * * * true\n")
    assert f"good: pid {cron.pid} has this crontab in its spool" in told(*other.inside())


@real
def test_an_ordinary_user_cannot_see_which_crontab_cron_reads(stage: Stage, tabs: Crontabs) -> None:
    """And is told what shows it instead."""
    tabs.start_cron()
    env = {"LIFELINE_STATE_DIR": "/tmp/x"}

    def look() -> list[tuple[str, str]]:
        return findings(stage, *tabs.inside(*AS_NOBODY), env=env)[1]

    eventually(lambda: any("cannot be seen as this user" in what for _, what in look()), within=120)


@real
@pytest.mark.parametrize(
    ("history", "schedule", "told"),
    [
        ([], "", "warning: a tick was due .* ago, but none is in the history"),
        ([7200], "", "warning: a tick was due .* ago, but the last was 2h .*ago"),
        ([7200, 20], "", "good: the last tick was .* ago"),
        ([300], 'jitter = "1h"', "good: the last tick was .* ago"),
        ([7200], 'cron = "@reboot"', "good: the last tick was 2h .*ago"),
    ],
    ids=["none", "missing", "fresh", "jitter", "never due"],
)
def test_a_tick_that_has_not_come_is_a_warning(
    stage: Stage, tabs: Crontabs, state_dir: Path, history: list[int], schedule: str, told: str
) -> None:
    """Whatever else looks sound: nothing has happened when cron was to come."""
    text = f'[lifeline."{stage.name}"]\ncommand = "sleep 60"\n{schedule}\n'
    (stage.directory / "lifeline.toml").write_text(text)
    assert tabs.lifeline("cron", "install").returncode == 0
    found = findings(stage, *tabs.inside())
    assert level(found, f"{stage.name}: no tick has come yet") == "note"
    os.utime(state_dir / "crontab.lock", (0, 0))  # as if it had been installed long ago
    # What was to come before the boot is nothing that cron has missed: 90 s late, after a minute.
    eventually(lambda: clock.boottime() > 160, within=200)
    now = time.time()
    State(os.fsencode(state_dir)).prepare()
    with (state_dir / "events").open("w") as file:
        for ago in history:
            file.write(f'{{"time": {now - ago}, "event": "start", "name": "{stage.name}"}}\n')
    found = [f"{level}: {what}" for level, what in findings(stage, *tabs.inside())[1]]
    own = [each.replace(f"{stage.name}: ", "") for each in found if f" {stage.name}: " in each]
    (shown,) = [each for each in own if "its program is found" not in each]
    assert re.fullmatch(told, shown)


@real
@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["* * * * * lifeline run -- x"], True),
        (["PATH={bin}:/usr/bin", "* * * * * lifeline run -- x"], False),
        (["* * * * * PATH={bin} lifeline run -- x"], False),
        (["@hourly cd / && lifeline run -- x"], True),
        (["* * * * * {bin}/lifeline run -- x"], False),
        (["* * * * * /gone/lifeline run -- x"], True),
        (["# * * * * * lifeline run -- x", "* * * * * echo lifeline"], False),
    ],
)
def test_a_line_whose_lifeline_cron_does_not_find_is_bad(
    stage: Stage, tabs: Crontabs, lines: list[str], wrong: bool
) -> None:
    """The usual trouble: it works in the shell, and cron has another PATH."""
    tabs.put("\n".join([*lines, ""]).format(bin=Path(LIFELINE).parent).encode())
    _, rows = findings(stage, *tabs.inside())
    told = [what for level, what in rows if level == "bad" and "cron does not find" in what]
    assert len(told) == wrong
    assert all(f"crontab line {len(lines)}: " in what for what in told)


def test_a_program_that_cron_would_not_find_is_bad(stage: Stage) -> None:
    """Found in the shell's PATH it is put on the line's; elsewhere it is nowhere."""
    (stage.directory / "lifeline.toml").write_text('[lifeline.a]\ncommand = "no-such-program"\n')
    assert level(findings(stage), "a: there is no program no-such-program") == "bad"
    stage.shell("exit 0", "no-such-program")
    environment = {"PATH": f"{stage.directory}:{os.environ['PATH']}"}
    assert level(findings(stage, env=environment), "a: its program is found") == "good"


def test_each_store_is_asked_once(stage: Stage) -> None:
    """The preflight of what lifelines name; what cannot be reached or read is bad."""
    locks = {"a": "file:", "b": "file:", "c": "redis://127.0.0.1:1/0", "d": "nonsense://x"}
    text = "".join(
        f'[lifeline.{name}]\ncommand = "true"\nlock = "{url}"\n' for name, url in locks.items()
    )
    probe, rules = '{ kind = "command", run = ["x"] }', "[{ at_least = 0, dynos = 1 }]"
    text += f"[scale.s]\nprobe = {probe}\nrules = {rules}\n"
    text += 'target = { kind = "kubernetes" }\nlock = "file:"\n'
    (stage.directory / "lifeline.toml").write_text(text)
    _, rows = findings(stage)
    (redis,) = [what for level, what in rows if level == "bad" and "redis://127.0.0.1:1" in what]
    assert redis.count("redis://127.0.0.1:1") == 1  # errors of stores name it themselves
    assert redis.endswith(" (c)")
    assert any(level == "bad" and "no store is called 'nonsense'" in what for level, what in rows)
    files = [what for _, what in rows if what.startswith("file:")]
    assert files
    assert len(files) == len(set(files))
    assert all(what.endswith(" (a, b, scaler s)") for what in files)
