"""`lifeline scale`: the verbs as they are typed, with commands for probe and target."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

import pytest

from lifeline import Lock
from support.lifelines import LIFELINE, lifeline, namespace, python
from support.scripts import shell
from support.servers import dynamodb, files, free_port
from support.spawning import Spawner
from support.stage import assert_one_line
from support.waiting import eventually


class Yard:
    """A directory with a configuration, a queue that is a file and a fleet that is one."""

    def __init__(self, directory: Path, spawn: Spawner) -> None:
        self.directory = directory
        self.spawn = spawn
        self.queue, self.fleet = directory / "queue", directory / "fleet"
        self.say(25, 1)
        set_ = shell(directory, f'echo "$1" >{self.fleet}.new; mv {self.fleet}.new {self.fleet}')
        self.head = (
            f'probe = {{ kind = "command", run = ["cat", "{self.queue}"] }}\n'
            f'target = {{ kind = "command", get = ["cat", "{self.fleet}"], '
            f"set = {json.dumps(set_)} }}\n"
            "rules = [{ at_least = 0, dynos = 1 }, { at_least = 20, dynos = 10 }]\n"
        )
        self.write("[scale.mailers]\n" + self.head)

    def write(self, text: str) -> None:
        (self.directory / "lifeline.toml").write_text(text)

    def say(self, ready: object, workers: object) -> None:
        for path, value in ((self.queue, ready), (self.fleet, workers)):
            new = path.with_suffix(".new")
            new.write_text(f"{value}\n")
            new.rename(path)

    def scale(self, *words: str) -> CompletedProcess[str]:
        return lifeline(self.spawn, "scale", *words)

    @property
    def workers(self) -> int:
        return int(self.fleet.read_text())


@pytest.fixture
def yard(tmp_path: Path, spawn: Spawner) -> Yard:
    return Yard(tmp_path, spawn)


APPLY = "apply = true\n"


def test_once_says_what_it_would_do_until_it_may(yard: Yard) -> None:
    """Dry run first; with apply = true it is done."""
    told = yard.scale("once")
    assert (told.returncode, told.stderr) == (0, "")
    assert "mailers: would be 1 -> 10 (rules: 25 ready: at least 20 gives 10); dry run" in (
        told.stdout
    )
    assert yard.workers == 1
    yard.write("[scale.mailers]\n" + APPLY + yard.head)
    told = yard.scale("once")
    assert "mailers: 1 -> 10 (rules: 25 ready: at least 20 gives 10)\n" in told.stdout
    assert yard.workers == 10
    assert "10, as it is" in yard.scale("once").stdout


def test_once_remembers_what_it_saw(yard: Yard) -> None:
    """The window of the way down reaches back to the runs before."""
    yard.write("[scale.mailers]\n" + APPLY + yard.head)
    yard.scale("once")
    yard.queue.write_text("0\n")
    assert "10, as it is (stabilisation: the most of the last 5m" in yard.scale("once").stdout
    assert yard.workers == 10


@pytest.mark.parametrize(
    ("queue", "fleet", "told"),
    [
        ("none", "4", "failed: the command gave no number"),
        ("", "4", "failed: the command gave no number"),
        ("0", "many", "not known how many run; nothing is written"),
    ],
)
def test_once_fails_if_something_cannot_be_told(
    yard: Yard, queue: str, fleet: str, told: str
) -> None:
    """Exit code 75, so that cron says so; nothing is written."""
    yard.write("[scale.mailers]\n" + APPLY + "down_window = 0\n" + yard.head)
    yard.say(queue, fleet)
    ended = yard.scale("once")
    assert ended.returncode == 75
    assert told in ended.stdout
    assert yard.fleet.read_text() == f"{fleet}\n"


def test_explain_shows_every_stage_and_changes_nothing(yard: Yard, state_dir: Path) -> None:
    """A row for each; JSON with the same."""
    yard.write("[scale.mailers]\n" + APPLY + yard.head)
    lines = yard.scale("explain").stdout.splitlines()
    assert lines[0] == "mailers: 1 -> 10 (rules: 25 ready: at least 20 gives 10)"
    stages = [line.split("  ")[0] for line in lines[2:]]
    assert stages == [
        *("probe", "rules", "hysteresis", "stabilisation", "busy floor", "rate limit", "cooldown"),
        *("min and max", "zero gate", "failures", "pause", "apply"),
    ]
    (data,) = json.loads(yard.scale("explain", "--json").stdout)
    assert [each["stage"] for each in data["stages"]] == stages
    assert (data["name"], data["desired"], data["actual"]) == ("mailers", 10, 1)
    assert yard.workers == 1
    assert not state_dir.exists()


def test_run_scales_up_and_down_until_it_is_told_to_end(yard: Yard) -> None:
    """TERM is its end, exit code 0; a line for each change."""
    fast = 'every = "20ms"\ndown_window = 0\n'
    yard.write("[scale.mailers]\n" + APPLY + fast + yard.head)
    process = yard.spawn(LIFELINE, "scale", "run")
    eventually(lambda: yard.workers == 10, within=120)
    yard.say(3, 10)
    eventually(lambda: yard.workers == 1, within=120)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "mailers: 1 -> 10 (" in out
    assert "mailers: 10 -> 1 (" in out


def test_run_is_a_lifeline(yard: Yard) -> None:
    """Started again while it runs, it leaves at once: exit code 0, not a word."""
    yard.write("[scale.mailers]\n" + APPLY + yard.head)
    yard.spawn(LIFELINE, "scale", "run")
    eventually(lambda: yard.workers == 10, within=120)
    again = yard.scale("run")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    running = json.loads(lifeline(yard.spawn, "status", "--json").stdout)["running"]
    words = ["scale", "run", f"{yard.directory}/lifeline.toml"]
    assert words in [each["command"][-3:] for each in running]


def test_nobody_else_scales_the_same_fleet_meanwhile(yard: Yard) -> None:
    """Another verb or other options: one line, exit code 75. Another directory is no twin."""
    yard.write("[scale.mailers]\n" + APPLY + yard.head + "[scale.others]\n" + yard.head)
    yard.spawn(LIFELINE, "scale", "run", "--only", "mailers")
    eventually(lambda: yard.workers == 10, within=120)
    for words in (("once",), ("run", "--json", "--only", "mailers")):
        ended = yard.scale(*words)
        assert ended.returncode == 75
        assert_one_line(ended, "mailers is scaled by another process of this user already")
    assert yard.scale("once", "--only", "others").returncode == 0
    (yard.directory / "elsewhere").mkdir()
    (yard.directory / "elsewhere" / "lifeline.toml").write_text("[scale.third]\n" + yard.head)
    ended = lifeline(yard.spawn, "scale", "once", cwd=yard.directory / "elsewhere")
    assert "third: 10, as it is" in ended.stdout


def test_what_run_prints_as_json_is_a_trace_that_gives_the_same_decisions(yard: Yard) -> None:
    """Recorded, then simulated with the policy that recorded it."""
    fast = 'every = "20ms"\ndown_window = 0\n'
    yard.write("[scale.mailers]\n" + APPLY + fast + yard.head)
    trace = yard.directory / "trace.jsonl"
    with trace.open("w") as file:
        process = yard.spawn(LIFELINE, "scale", "run", "--json", stdout=file)
        for ready, workers in ((25, 10), (0, 1), (21, 10)):
            yard.queue.with_suffix(".new").write_text(f"{ready}\n")
            yard.queue.with_suffix(".new").rename(yard.queue)
            eventually(lambda: yard.workers == workers, within=120)  # noqa: B023  (run at once)
        process.terminate()
        process.wait(120)
    count = len(trace.read_text().splitlines())
    told = yard.scale("simulate", str(trace), "--json")
    (result,) = json.loads(told.stdout)["policies"]
    assert result["as_recorded"] == [count, count]


def test_record_prints_samples(yard: Yard) -> None:
    """As many as asked for; nothing is decided or written."""
    told = yard.scale("record", "--count", "2", "--every", "10ms")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [(line["ready"], line["actual"], "desired" in line) for line in lines] == [
        (25, 1, False),
        (25, 1, False),
    ]
    assert lines[0]["t"] < lines[1]["t"]


def test_simulate_compares_policies_and_draws_them(yard: Yard) -> None:
    """A row for each, a picture, and the word that arrivals are reconstructed."""
    more = "rules = [{ per_worker = 2 }]\nmax = 9\n"
    head = yard.head.partition("rules")[0]
    yard.write(f"[scale.mailers]\n{yard.head}[scale.other]\n{head}{more}")
    told = yard.scale("simulate", "sample:bursts", "--job", "18s", "--plot", "out.svg")
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["POLICY", "mailers", "other"]
    assert lines[3].startswith("Arrivals are reconstructed")
    assert ElementTree.parse(yard.directory / "out.svg").getroot().tag.endswith("svg")
    one = yard.scale("simulate", "sample:bursts", "--policy", "lifeline.toml:other", "--json")
    (data,) = json.loads(one.stdout)["policies"]
    assert data["policy"] == "lifeline.toml:other"
    assert data["done"] > 1000


def test_a_trace_comes_from_a_pipe_and_its_name_is_anything(yard: Yard) -> None:
    """What is no text is one line; a picture of a file with a bell in its name is an SVG."""
    trace = yard.directory / "a\a<b"
    trace.write_text("".join(f'{{"t": {t}, "ready": 2, "actual": 1}}\n' for t in range(9)))
    told = yard.scale("simulate", trace.name, "--plot", "out.svg")
    assert (told.returncode, told.stderr) == (0, "")
    assert ElementTree.parse(yard.directory / "out.svg").getroot().tag.endswith("svg")
    (yard.directory / "latin").write_bytes(b'{"t": 1, "error": "\xe9"}\n')
    for name, code in ((trace.name, 0), ("latin", 2)):
        with (yard.directory / name).open() as pipe:
            process = yard.spawn(LIFELINE, "scale", "simulate", "-", stdin=pipe)
            _, err = process.communicate(timeout=120)
        assert process.returncode == code
        assert err == ("" if not code else "lifeline: standard input: this is not UTF-8\n")


def test_once_says_that_a_target_is_left_alone(yard: Yard) -> None:
    """Exit code 75 each time until it answers again, and explain says it, too."""
    yard.write("[scale.mailers]\n" + APPLY + 'every = "1h"\n' + yard.head)
    yard.say(5, 1)
    assert yard.scale("once").returncode == 0
    yard.say(5, "many")
    assert yard.scale("once").returncode == 75
    told = yard.scale("once")
    assert told.returncode == 75
    assert "mailers: 1, as it is (" in told.stdout
    assert "; left alone for another " in told.stdout and ": 1 as last seen\n" in told.stdout
    assert ": 1 as last seen" in yard.scale("explain").stdout


def test_pause_and_resume_hold_one_direction_or_both(yard: Yard) -> None:
    """Until a time or for good; explain says so."""
    yard.write("[scale.mailers]\n" + APPLY + yard.head)
    told = yard.scale("pause", "mailers", "--up", "--for", "1h")
    assert told.stdout.startswith("paused up until 20")
    assert "1, as it is (pause: up is paused until 20" in yard.scale("once").stdout
    assert yard.scale("resume", "mailers", "--down").stdout == "was not paused: mailers\n"
    assert yard.scale("resume", "mailers").stdout == "resumed: mailers\n"
    assert "1 -> 10" in yard.scale("once").stdout
    told = yard.scale("pause", "mailers")
    assert told.stdout == "paused up and down until it is resumed: mailers\n"
    yard.say(25, 4)
    assert "4, as it is (pause: up is paused)" in yard.scale("once").stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("run", "missing.toml"), 75, "cannot be read"),
        (("once", "--only", "mailer"), 2, "no scaler 'mailer'; did you mean 'mailers'?"),
        (("pause", "mailer"), 2, "no scaler 'mailer'; did you mean 'mailers'?"),
        (("pause", "other", "missing.toml"), 2, "no scaler 'other' has run here"),
        (("pause", "mailers", "--until", "noon"), 2, "'noon' is not a time"),
        (("pause", "mailers", "--for", "0s"), 2, "is none"),
        (("pause", "mailers", "--for", "1h", "--until", "06:30"), 2, "not both"),
        (("simulate", "missing.jsonl"), 2, "missing.jsonl: cannot be read"),
        (("simulate", "sample:burst"), 2, "did you mean 'bursts'?"),
        (("simulate", "lifeline.toml"), 2, "lifeline.toml:1: no line of a trace"),
        (("simulate", "sample:bursts", "--policy", "x"), 2, "lifeline.toml has no [scale.x]"),
        (("simulate", "sample:bursts", "--job", "0s"), 2, "--job has to be more than nothing"),
        (("simulate", "sample:bursts", "--plot", "missing/x.svg"), 75, "cannot be written"),
        (("record", "--count", "0"), 2, "--count"),
        (("record", "--every", "0"), 2, "--every 0 is less than 10ms"),
        (("simulate", "deep"), 2, "deep:1: no line of a trace"),
        (("simulate", "latin"), 2, "latin: this is not UTF-8"),
        (("runn",), 2, "runn"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    yard: Yard, words: tuple[str, ...], code: int, told: str
) -> None:
    """With the documented exit code, and never a traceback."""
    (yard.directory / "deep").write_text("[" * 100_000)
    (yard.directory / "latin").write_bytes(b'{"t": 1, "error": "\xe9"}\n')
    ended = yard.scale(*words)
    assert ended.returncode == code
    assert_one_line(ended, told)


@pytest.mark.parametrize("verb", ["run", "once", "explain", "record", "simulate"])
def test_a_wrong_configuration_is_one_line_with_its_place(yard: Yard, verb: str) -> None:
    """For every verb that reads it."""
    yard.write("[scale.mailers]\nmni = 1\n" + yard.head)
    ended = yard.scale(verb, *(["sample:bursts"] if verb == "simulate" else []))
    assert ended.returncode == 2
    assert_one_line(ended, "lifeline.toml:2: [scale.mailers] unknown key 'mni'", "'min'")


@pytest.mark.parametrize(
    "verb", ["run", "once", "explain", "pause", "resume", "record", "simulate"]
)
def test_the_help_of_every_verb_ends_with_two_examples(yard: Yard, verb: str) -> None:
    """As that of the other verbs."""
    lines = [line.strip() for line in yard.scale(verb, "--help").stdout.splitlines()]
    lines = [line for line in lines if line]
    assert lines[-3] == "Examples:"
    assert all(f"lifeline scale {verb}" in line for line in lines[-2:])


@pytest.mark.needs("unshare")
def test_one_machine_of_a_fleet_scales_and_another_takes_over(
    yard: Yard, spawn: Spawner, tmp_path: Path
) -> None:
    """With a lock the second scaler stands by and `once` passes, until the first one ends."""
    lock = f'lock = "{files.fresh()}"\nevery = "50ms"\n'
    yard.write("[scale.mailers]\n" + APPLY + lock + yard.head)
    config = str(tmp_path / "lifeline.toml")
    elsewhere = {"LIFELINE_STATE_DIR": str(tmp_path / "other")}
    first = spawn(LIFELINE, "scale", "run", config)
    eventually(lambda: yard.workers == 10, within=120)
    told = spawn.run(LIFELINE, "scale", "once", config, env=elsewhere)
    assert (told.returncode, told.stdout) == (0, "")
    assert "another machine scales it" in told.stderr
    second = spawn(*namespace(LIFELINE, "scale", "run", config), env=elsewhere)
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 0
    yard.say(25, 3)
    eventually(lambda: yard.workers == 10, within=120)
    assert second.poll() is None


def test_one_that_stands_by_keeps_no_other_from_scaling(yard: Yard) -> None:
    """Each scaler of a configuration waits for its own lease; TERM ends both kinds."""
    url = files.fresh()
    taken = Lock("scaler mailers", url)
    assert taken.acquire()
    lock = f'lock = "{url}"\n'
    yard.write("[scale.mailers]\n" + lock + yard.head + "[scale.others]\n" + APPLY + yard.head)
    process = yard.spawn(LIFELINE, "scale", "run")
    eventually(lambda: yard.workers == 10, within=120)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    taken.release()
    assert (process.returncode, err) == (0, "")
    assert "others: 1 -> 10 (" in out and "mailers" not in out


def test_what_is_wrong_is_told_before_it_stands_by(yard: Yard) -> None:
    """Not in the night in which the other machine dies."""
    url = files.fresh()
    taken = Lock("scaler mailers", url)
    assert taken.acquire()
    yard.write(f'[scale.mailers]\nlock = "{url}"\n' + yard.head.replace("run =", "rum ="))
    ended = yard.scale("run")
    taken.release()
    assert ended.returncode == 2
    assert_one_line(ended, "lifeline.toml:3: [scale.mailers] command needs run")


def test_once_takes_over_from_a_machine_that_died(yard: Yard) -> None:
    """On a store without a clock, where only who has watched the lease for long enough may."""
    url = dynamodb.fresh()
    yard.write(f'[scale.mailers]\nlock = "{url}"\n' + APPLY + yard.head)
    dies = "import os, sys; from lifeline import Lock; Lock(*sys.argv[1:], ttl=3).acquire()"
    died = yard.spawn.run(*python(f"{dies}; os.kill(os.getpid(), 9)", "scaler mailers", url))
    assert died.returncode == -signal.SIGKILL
    told = yard.scale("once")
    assert (told.returncode, told.stdout) == (0, "")
    assert "another machine scales it" in told.stderr
    eventually(lambda: "1 -> 10" in yard.scale("once").stdout, within=90)


def test_a_pause_says_that_other_machines_are_not_paused(yard: Yard) -> None:
    """Where there is a lock: also from elsewhere, once a scaler has run here."""
    yard.write(f'[scale.mailers]\nlock = "{files.fresh()}"\n' + yard.head)
    first = yard.scale("pause", "mailers")
    assert (first.returncode, first.stderr.count("\n")) == (0, 1)
    assert "mailers has a lock: if another machine scales it, pause it there, too" in first.stderr
    yard.scale("once")
    elsewhere = yard.directory / "elsewhere"
    elsewhere.mkdir()
    again = lifeline(yard.spawn, "scale", "resume", "mailers", cwd=elsewhere)
    assert (again.returncode, again.stdout) == (0, "resumed: mailers\n")
    assert "where it was paused on another machine, it still is" in again.stderr


def test_once_goes_on_to_the_next_where_a_store_is_away(yard: Yard) -> None:
    """One line for the one, with its name; exit code 75; the other is scaled."""
    lock = f'lock = "redis://127.0.0.1:{free_port()}"\n'
    yard.write("[scale.mailers]\n" + lock + yard.head + "[scale.others]\n" + APPLY + yard.head)
    ended = yard.scale("once")
    assert ended.returncode == 75
    assert ended.stderr.startswith("lifeline: mailers: redis://127.0.0.1:")
    assert ended.stderr.count("\n") == 1
    assert "others: 1 -> 10 (" in ended.stdout and yard.workers == 10


def test_once_changes_nothing_if_any_table_is_wrong(yard: Yard) -> None:
    """No half of a configuration is applied before the other is refused."""
    wrong = yard.head.replace("run =", "rum =")
    yard.write("[scale.mailers]\n" + APPLY + yard.head + "[scale.others]\n" + wrong)
    ended = yard.scale("once")
    assert ended.returncode == 2
    assert_one_line(ended, "lifeline.toml:7: [scale.others] command needs run")
    assert yard.workers == 1
