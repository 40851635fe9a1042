"""`lifeline export`: what others are told is what the file says."""

from __future__ import annotations

import configparser
import datetime
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lifeline.config.nexttick import next_tick
from lifeline.exports.calendar import calendars
from support.lifelines import LIFELINE, Work, lifeline
from support.stage import Stage, assert_one_line
from support.waiting import eventually


def write(stage: Stage, *lines: str, name: str = "mailer") -> Path:
    path = stage.directory / "lifeline.toml"
    path.write_text("\n".join([f'[lifeline."{name}"]', *lines, ""]))
    return path


def export(stage: Stage, what: str, *words: str) -> str:
    """What is written, if it is."""
    done = lifeline(stage.spawn, "export", what, *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    text: str = done.stdout
    return text


# --- systemd ----------------------------------------------------------------------------------


def service(text: str) -> dict[str, list[str]]:
    """The settings of a unit's [Service], each with all its values."""
    found: dict[str, list[str]] = {}
    section = text[text.index("[Service]") :].partition("[Install]")[0]
    for line in section.splitlines()[1:]:
        if line:
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_a_unit_says_what_the_lifeline_says(stage: Stage) -> None:
    """Each option by the setting that is the same, the others named as lost."""
    stage.shell("exit 0", "job")
    path = write(
        stage,
        'command = ["./job", "a b", "100%", "$HOME", "\\"q\\""]',
        'grace = "30s"\ntimeout = "1h"\nmax_memory = "1GB"\nlog = "a.log"\nquiet = true',
        'restart = "on-failure"\nbackoff = "2s..1m"\nheartbeat = "b"\nheartbeat_timeout = "1m"',
        'env = { A = "x y", B = "50%" }\nenv_file = "app.env"',
    )
    (stage.directory / "app.env").write_text("SECRET=sesame\n")
    text = export(stage, "systemd", "mailer")
    assert text.startswith(f"# mailer, from {path}\n")
    assert "# lost: no equivalent of heartbeat, heartbeat-timeout, quiet\n" in text
    assert "sesame" not in text
    found = service(text)
    assert found["ExecStart"] == [f'{stage.directory}/job "a b" 100%% $$HOME "\\"q\\""']
    assert found["WorkingDirectory"] == [str(stage.directory)]
    assert found["EnvironmentFile"] == [f"{stage.directory}/app.env"]
    assert found["Environment"][1:] == ['"A=x y"', "B=50%%"]
    assert found["Environment"][0].startswith(f"PATH={Path(LIFELINE).parent}:")
    assert (found["Restart"], found["RestartSec"]) == (["on-failure"], ["2s"])
    assert found["RestartMaxDelaySec"] == ["60s"]
    assert (found["TimeoutStopSec"], found["RuntimeMaxSec"]) == (["30s"], ["3600s"])
    assert found["MemoryMax"] == ["1000000000"]
    assert found["StandardOutput"] == [f"append:{stage.directory}/a.log"]


def test_what_a_tick_restarts_a_unit_restarts(stage: Stage) -> None:
    """Without `restart` it is the next tick, a minute later at most."""
    write(stage, 'command = "true"')
    text = export(stage, "systemd", "mailer")
    assert service(text)["Restart"] == ["always"]
    assert "[Install]" in text
    done = lifeline(stage.spawn, "export", "systemd", "--timer", "mailer")
    assert done.returncode == 2
    assert_one_line(done, "mailer has no hours of its own")


@pytest.mark.parametrize(
    ("line", "restart"),
    [
        ("", "no"),
        ('restart = "on-failure"', "on-failure"),
        ('lock = "file:"\nrestart = "on-failure"', "no"),  # the runner inside does that
    ],
)
def test_what_has_a_schedule_is_started_by_its_timer_alone(
    stage: Stage, line: str, restart: str
) -> None:
    """Not by enabling it and not at boot: the unit has no [Install], and a timer has it instead."""
    write(stage, 'command = "true"\ncron = "0 3 * * 1"\njitter = "30s"', line)
    text = export(stage, "systemd", "mailer")
    assert service(text)["Restart"] == [restart]
    assert "[Install]" not in text
    assert "enable --now mailer.timer\n" in text
    assert "(0 3 * * 1): lifeline export systemd --timer mailer >mailer.timer\n" in text
    assert "enable --now mailer.service" not in text
    lines = export(stage, "systemd", "--timer", "mailer").splitlines()
    assert lines[lines.index("[Timer]") + 1 :][:2] == [
        "OnCalendar=Mon *-*-* 3:0:00",
        "RandomizedDelaySec=30s",
    ]
    assert lines[-2:] == ["[Install]", "WantedBy=timers.target"]


def test_what_runs_at_boot_needs_no_timer(stage: Stage) -> None:
    """Nor is it started by enabling it."""
    write(stage, 'command = "true"\ncron = "@reboot"')
    text = export(stage, "systemd", "mailer")
    assert "[Install]" in text
    assert "enable mailer.service\n" in text
    assert service(text)["Restart"] == ["no"]


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize(
    "fields",
    [
        *("*/5 * * * *", "7-59/13 8-18 * * 1-5", "0 */6 * * *", "30 4 1,15 * *", "@daily"),
        *("0 9 * 2 7", "0 0 13 * 5", "0 0 */2 * 5", "0 0 1-31 * 5", "0 0 29 2 *", "@monthly"),
    ],
)
def test_a_timer_comes_when_cron_does(stage: Stage, fields: str) -> None:
    """As systemd itself reckons, over the next ten times."""
    now = datetime.datetime.now(datetime.timezone.utc).timestamp()
    expected = [int(now)]
    for _ in range(10):
        expected.append(int(found) if (found := next_tick(fields, expected[-1])) else 0)
    shown: set[int] = set()
    for each in calendars(fields):
        words = ["systemd-analyze", "calendar", "--iterations=10", f"--base-time=@{now:.0f}", each]
        done = stage.spawn.run(*words, env={"TZ": "UTC"})
        assert done.returncode == 0, done.stderr
        for when in re.findall(r"(?:elapse|#\d+): \w+ (\S+ \S+) UTC", done.stdout):
            moment = datetime.datetime.fromisoformat(f"{when}+00:00")
            shown.add(int(moment.timestamp()))
    assert sorted(shown)[:10] == expected[1:]


def test_env_wins_over_env_file_there_too(stage: Stage) -> None:
    """systemd would have it the other way round, so env(1) sets what both have."""
    write(
        stage,
        'command = "/bin/true"\nenv = { A = "of $env", B = "b" }\nenv_file = "app.env"',
    )
    (stage.directory / "app.env").write_text("A=of file\nC=c\n")
    found = service(export(stage, "systemd", "mailer"))
    assert found["ExecStart"] == ['/usr/bin/env "A=of $$env" /bin/true']
    assert found["Environment"][1:] == ["B=b"]


@pytest.mark.parametrize(("what", "reader"), [("systemd", "systemd"), ("kubernetes", "kubectl")])
def test_lines_that_only_lifeline_reads_are_told_of(stage: Stage, what: str, reader: str) -> None:
    """An include and an export in an env_file: elsewhere they would go without a word."""
    write(stage, 'command = "true"\nenv_file = "app.env"')
    (stage.directory / "app.env").write_text("A=1\nexport B=2\n. other.env\n")
    (stage.directory / "other.env").write_text("C=3\n")
    file = stage.directory / "app.env"
    told = f"{reader} reads no include and no export in an env_file: {file}:2, {file}:3\n"
    assert told in export(stage, what, "mailer")


@pytest.mark.parametrize("what", ["systemd", "supervisord", "kubernetes"])
def test_what_only_this_environment_says_is_told_of(stage: Stage, what: str) -> None:
    """The lock of LIFELINE_LOCK would be missing there."""
    write(stage, 'command = "true"')
    done = lifeline(stage.spawn, "export", what, "mailer", env={"LIFELINE_LOCK": "redis://:x@h"})
    assert done.returncode == 0
    assert done.stderr.startswith(f"lifeline: LIFELINE_LOCK is set here and will not be for {what}")
    assert ":x@" not in done.stderr


def test_with_a_lock_lifeline_runs_inside(stage: Stage) -> None:
    """Nobody else can keep a lease; the secret stays where it is."""
    path = write(stage, 'command = "true"\nlock = "redis://:sesame@h/0"\nquiet = true')
    for what in ("systemd", "supervisord"):
        text = export(stage, what, "mailer")
        command = next(line for line in text.splitlines() if "run mailer --config" in line)
        assert command.endswith(f"{LIFELINE} run mailer --config {path}")
        assert "no equivalent" not in text
        assert "kept: the lease" in text
        assert "sesame" not in text


@pytest.mark.parametrize(
    ("line", "mode", "as_group", "seconds"),
    [
        ("", "control-group", "true", "10"),
        ('signal_to = "main"', "mixed", "false", "10"),
        ('lock = "redis://h/0"', "mixed", "false", "15"),  # a runner passes it on, and reports
    ],
)
def test_who_is_told_to_end(
    stage: Stage, line: str, mode: str, as_group: str, seconds: str
) -> None:
    """TERM to the main process alone or to all, and KILL to all after the grace."""
    write(stage, 'command = "true"', line)
    unit = export(stage, "systemd", "mailer")
    assert service(unit)["KillMode"] == [mode]
    assert service(unit)["TimeoutStopSec"] == [f"{seconds}s"]
    section = program(export(stage, "supervisord", "mailer"))
    assert (section["stopasgroup"], section["killasgroup"]) == (as_group, "true")
    assert section["stopwaitsecs"] == seconds
    assert "signal-to" not in unit


# --- supervisord ------------------------------------------------------------------------------


def program(text: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;",))
    parser.read_string(text)
    return dict(parser["program:mailer"])


def test_a_section_says_what_the_lifeline_says(stage: Stage) -> None:
    """Words, environment, grace, log."""
    stage.shell("exit 0", "job")
    write(
        stage,
        'command = ["./job", "a b", "100%"]\ngrace = 30\nlog = "a.log"\nlog_keep = 3',
        'env = { A = "x, y" }\ntimeout = "1h"',
    )
    text = export(stage, "supervisord", "mailer")
    found = program(text)
    assert shlex.split(found["command"]) == [f"{stage.directory}/job", "a b", "100%%"]
    assert found["environment"].endswith(',A="x, y"')
    assert (found["stopwaitsecs"], found["stdout_logfile_backups"]) == ("30", "3")
    assert (found["autorestart"], found["killasgroup"]) == ("true", "true")
    assert "; lost: no equivalent of timeout\n" in text


@pytest.mark.needs("supervisord")
def test_supervisord_itself_runs_the_section(stage: Stage, tmp_path: Path) -> None:
    """The real one starts the job with its words and its environment, and again if it is killed."""
    body = "say(' '.join([*sys.argv[1:], os.environ['A']]))\nwork()\n"
    work = Work(tmp_path / "work", body)
    words = [*work.argv, "a b", "100%"]
    write(stage, f'command = {words!r}\nenv = {{ A = "x, 50% y" }}'.replace("'", '"'))
    section = export(stage, "supervisord", "mailer")
    config = tmp_path / "supervisord.conf"
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
        f"pidfile={tmp_path}/pid\nchildlogdir={tmp_path}\n{section}"
    )
    stage.spawn(sys.executable, "-m", "supervisor.supervisord", "-c", str(config))
    (first,) = work.wait_for("start")
    assert f"{first} a b 100% x, 50% y" in work.lines()
    stage.spawn.run("kill", "-9", str(first))
    work.wait_for("start", times=2)
    eventually(lambda: len(work.working()) == 1)
    assert work.said("overlap") == []


# --- kubernetes -------------------------------------------------------------------------------


def manifest(stage: Stage, *words: str) -> Any:
    return yaml.safe_load(export(stage, "kubernetes", *words))


def test_a_lifeline_becomes_a_deployment(stage: Stage) -> None:
    """Words to the letter, replicas by slots, never two in a roll-out."""
    words = ["./job", "a: b", "- c", "#d", "$(HOME)", "caf\u00e9 \u2028", "yes", "1"]
    write(
        stage,
        "command = [" + ", ".join(f'"{word}"' for word in words) + "]",
        'grace = "30s"\nmax_memory = "64MiB"\nenv = { A = "no" }\nenv_file = "app.env"',
        'lock = "file:"\nslots = 3',
    )
    (stage.directory / "app.env").write_text("SECRET=sesame\n")
    found = manifest(stage, "--image", "registry.example/app:1", "mailer")
    assert (found["apiVersion"], found["kind"]) == ("apps/v1", "Deployment")
    spec = found["spec"]
    assert (spec["replicas"], spec["strategy"]) == (3, {"type": "Recreate"})
    labels = {"app.kubernetes.io/name": "mailer"}
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == labels
    pod = spec["template"]["spec"]
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Always", 30)
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/app:1"
    assert container["command"] == [word.replace("$(", "$$(") for word in words]
    assert container["env"] == [{"name": "A", "value": "no"}]
    assert container["envFrom"] == [{"secretRef": {"name": "mailer"}}]
    assert container["resources"] == {"limits": {"memory": str(64 * 2**20)}}


def test_a_lifeline_with_a_schedule_becomes_a_cron_job(stage: Stage) -> None:
    """One at a time, for as long as it may take; named as objects can be."""
    write(stage, 'command = "true"\ncron = "0 3 * * *"\ntimeout = "1h"', name="Nightly Report_1")
    text = export(stage, "kubernetes", "Nightly Report_1")
    found = yaml.safe_load(text)
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
    assert found["metadata"]["name"] == "nightly-report-1"
    assert found["spec"]["schedule"] == "0 3 * * *"
    assert found["spec"]["concurrencyPolicy"] == "Forbid"
    job = found["spec"]["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 3600)
    assert job["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("restart", "kind", "policy"),
    [
        ("never", "CronJob", "Never"),
        ("on-failure", "CronJob", "OnFailure"),
        ("always", "Deployment", "Always"),  # then cron only looks after it more seldom
    ],
)
def test_a_schedule_is_kept_whatever_is_started_again(
    stage: Stage, restart: str, kind: str, policy: str
) -> None:
    """And what is said of it fits what it has become."""
    write(stage, f'command = "true"\nevery = "5m"\nrestart = "{restart}"')
    text = export(stage, "kubernetes", "mailer")
    found = yaml.safe_load(text)
    assert found["kind"] == kind
    spec = found["spec"]
    if kind == "CronJob":
        assert spec["schedule"] == "*/5 * * * *"
        spec = spec["jobTemplate"]["spec"]
        assert (spec["backoffLimit"] > 0) == (policy == "OnFailure")  # of itself it gives up
    assert spec["template"]["spec"]["restartPolicy"] == policy
    assert ("suspend: true is the hold" in text) == (kind == "CronJob")
    assert ("--replicas=0" in text) == ("replicas: 1" in text) == (kind == "Deployment")


@pytest.mark.parametrize("what", ["systemd", "supervisord", "kubernetes"])
def test_each_says_what_is_gained_and_lost(stage: Stage, what: str) -> None:
    """In comments, so that the file can be used as it is."""
    write(stage, 'command = "true"')
    text = export(stage, what, "mailer")
    comments = [line for line in text.splitlines() if line[:1] in "#;"]
    assert any("gained: " in line for line in comments)
    assert any("lost: " in line for line in comments)


@pytest.mark.parametrize(
    ("what", "line", "message"),
    [
        ("systemd", 'command = ["a", "b\\nc"]', "a word with a line end"),
        ("supervisord", 'command = ["a", "b\\nc"]', "a word with a line end"),
        ("supervisord", 'command = ["a", "b ;c"]', "for a comment"),
        ("supervisord", 'command = "a"\nenv = { A = "\\"" }', "cannot hold a double quote"),
        ("supervisord", 'command = "a"\ncron = "0 3 * * *"', "supervisord has no schedules"),
        ("supervisord", 'command = "a"\nevery = "5m"', "supervisord has no schedules"),
        ("kubernetes", 'command = "a"\ncron = "@reboot"', "a CronJob has no @reboot"),
        ("kubernetes", 'command = ""', "first word is missing"),
        ("systemd", 'command = "a"\ngrace = "soon"', "not a duration"),
    ],
)
def test_what_cannot_be_written_there_is_told(
    stage: Stage, what: str, line: str, message: str
) -> None:
    """One line, exit code 2, and no half of a file."""
    write(stage, line)
    done = lifeline(stage.spawn, "export", what, "mailer")
    assert done.returncode == 2
    assert_one_line(done, message)
