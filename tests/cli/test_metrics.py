"""`lifeline metrics`: what Prometheus reads, on stdout, in a file, over HTTP."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lifeline.scaling.memory import Memory
from lifeline.scaling.state import ScalerState
from support.lifelines import LIFELINE, lifeline, run, tick
from support.servers import free_port
from support.stage import Stage, assert_one_line
from support.waiting import eventually

Samples = dict[tuple[str, str], float]
KEYS = ("lifeline", "scaler", "source")


def parsed(text: str) -> Samples:
    """Value by sample name and what it is about; the text is read as Prometheus reads it."""
    return {
        (
            sample.name,
            next(sample.labels[key] for key in KEYS if key in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def metrics(stage: Stage, *words: str) -> Samples:
    ended = lifeline(stage.spawn, "metrics", *words)
    assert (ended.returncode, ended.stderr) == (0, "")
    return parsed(ended.stdout)


def of(samples: Samples, title: str, names: Iterable[str]) -> list[float]:
    return [samples[f"lifeline_{name}", title] for name in names]


def test_what_runs_and_what_has_happened(stage: Stage) -> None:
    """A run, two ticks that stand down, its end by hand, and one that fails."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    for _ in range(2):
        assert tick(stage.spawn, *run("--name", stage.name, "--", "true")[2:]).returncode == 0
    during = metrics(stage)
    names = ["running", "standby", "starts_total", "stand_downs_total", "ends_total"]
    assert of(during, stage.name, names) == [1, 0, 1, 2, 0]
    assert during["lifeline_memory_bytes", stage.name] > 1e6
    assert during["lifeline_start_time_seconds", stage.name] > 1.6e9
    assert ("lifeline_last_exit_code", stage.name) not in during
    lifeline(stage.spawn, "terminate", stage.name)
    stage.code("--name", stage.name, "--", stage.shell("exit 7", "fails"))
    after = metrics(stage)
    names = ["running", "starts_total", "ends_total", "failures_total", "terminations_total"]
    assert of(after, stage.name, names) == [0, 2, 2, 2, 1]
    assert after["lifeline_last_exit_code", stage.name] == 7
    assert after["lifeline_last_end_time_seconds", stage.name] > 1.6e9


def test_restarts_and_holds(stage: Stage) -> None:
    """A runner that has started its job again; a hold and a tick that meets it."""
    script = stage.shell(f'test -e "{stage.directory}/again" || {{ touch "$0.x"; exit 3; }}')
    words = ("--restart", "on-failure", "--backoff", "50ms..50ms", "--name", stage.name)
    process = stage.spawn(*run(*words, "--", script))
    eventually(
        lambda: metrics(stage).get(("lifeline_restarts_total", stage.name), 0) >= 2, within=120
    )
    (stage.directory / "again").touch()
    assert process.wait(120) == 0
    lifeline(stage.spawn, "hold", stage.name)
    stage.code("--name", stage.name, "--", script)
    found = metrics(stage)
    assert of(found, stage.name, ["held", "held_ticks_total", "starts_total"]) == [1, 1, 1]


def test_a_scaler_and_what_it_remembers(stage: Stage, state_dir: Path) -> None:
    """Desired is what it could not write yet; actual is what it has seen; nothing is changed."""
    memory = Memory(at=1.7e9, actual=3, history=((1.7e9, 9),), intent=5)
    ScalerState("mailers").remember(memory)
    before = {path: path.read_bytes() for path in (state_dir / "scaling").iterdir()}
    found = metrics(stage)
    names = ["workers_desired", "workers_recommended", "workers_actual"]
    assert of(found, "mailers", names) == [5, 9, 3]
    assert found["lifeline_scaler_last_tick_time_seconds", "mailers"] == 1.7e9
    assert {path: path.read_bytes() for path in (state_dir / "scaling").iterdir()} == before


def test_leases(stage: Stage, tmp_path: Path) -> None:
    """Age and fence of each that is held; the fence grows with its next holder."""
    url = f"file:{tmp_path}/leases"
    fences = []
    for _ in range(2):
        stage.started.unlink(missing_ok=True)
        stage.start("--lock", url, "--name", stage.name, "--", stage.sleeper())
        found = metrics(stage, "--lock", url)
        fences.append(found["lifeline_lease_fence", stage.name])
        assert 0 <= found["lifeline_lease_age_seconds", stage.name] < 3600
        lifeline(stage.spawn, "terminate", stage.name)
    assert fences[0] < fences[1]
    assert ("lifeline_lease_fence", stage.name) not in metrics(stage, "--lock", url)


def test_a_store_that_does_not_answer(stage: Stage) -> None:
    """Everything else is printed; a sample and the exit code say what is missing."""
    stage.start("--name", stage.name, "--", stage.sleeper())
    url = f"redis://127.0.0.1:{free_port()}/0"
    ended = lifeline(stage.spawn, "metrics", "--lock", url)
    assert ended.returncode == 75
    assert ended.stderr.count("\n") == 1
    found = parsed(ended.stdout)
    assert found["lifeline_source_up", "lock"] == 0
    assert found["lifeline_source_up", "processes"] == 1
    assert found["lifeline_running", stage.name] == 1


def test_a_file_for_node_exporter(stage: Stage) -> None:
    """Whole or not at all: a reader that looks all the time never sees half of it."""
    path = stage.directory / "lifeline.prom"
    stage.start("--name", stage.name, "--", stage.sleeper())
    for _ in range(5):
        process = stage.spawn(LIFELINE, "metrics", "--textfile", str(path))
        while process.poll() is None:
            if path.exists():
                text = path.read_text()
                assert text.endswith("\n")
                assert parsed(text)["lifeline_running", stage.name] == 1
        assert process.returncode == 0
    assert [each.name for each in stage.directory.glob("lifeline.prom*")] == ["lifeline.prom"]


def test_over_http(stage: Stage) -> None:
    """Each request looks anew; TERM ends it with 128+15."""
    process = stage.spawn(LIFELINE, "metrics", "--port", "0")
    assert process.stderr
    url = process.stderr.readline().strip()

    def scrape() -> Samples:
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            return parsed(answer.read().decode())

    assert ("lifeline_running", stage.name) not in scrape()
    stage.start("--name", stage.name, "--", stage.sleeper())
    assert scrape()["lifeline_running", stage.name] == 1
    assert url.startswith("http://127.0.0.1:")
    process.terminate()
    assert process.wait(120) == 128 + signal.SIGTERM


def test_a_very_long_command(stage: Stage) -> None:
    """Its label is cut, and still tells it from another that begins so."""
    for end in "ab":
        stage.code("--", stage.shell("exit 0"), "x" * 3000 + end)
    labels = [label for name, label in metrics(stage) if name == "lifeline_starts_total"]
    assert len(set(labels)) == 2
    assert max(map(len, labels)) < 200


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--port", "70000"], 2, "--port"),
        (["--port", "0", "--textfile", "x"], 2, "not both"),
        (["--textfile", ""], 2, "--textfile cannot be empty"),
        (["--lock", ""], 2, "--lock cannot be empty"),
        (["--port", "0", "--address", "192.0.2.1"], 75, "cannot listen"),
        (["--textfile", "/nonexistent/x.prom"], 75, "/nonexistent/x.prom"),
        (["--lock", "nonsense://x"], 2, "no store"),
    ],
)
def test_bad_input_is_one_line(stage: Stage, words: list[str], code: int, told: str) -> None:
    """The documented exit code, and what to change."""
    ended = lifeline(stage.spawn, "metrics", *words)
    assert ended.returncode == code
    assert_one_line(ended, told)


def test_a_port_that_is_taken(stage: Stage) -> None:
    """One line that names it, exit code 75."""
    first = stage.spawn(LIFELINE, "metrics", "--port", "0")
    assert first.stderr
    port = first.stderr.readline().strip().rpartition(":")[2].partition("/")[0]
    ended = lifeline(stage.spawn, "metrics", "--port", port)
    assert ended.returncode == 75
    assert_one_line(ended, f"port {port}")


def test_a_state_directory_that_cannot_be_trusted(stage: Stage, state_dir: Path) -> None:
    """Its part is missing and said so; exit code 75."""
    state_dir.mkdir()
    state_dir.chmod(0o755)
    ended: subprocess.CompletedProcess[str] = lifeline(stage.spawn, "metrics")
    assert ended.returncode == 75
    found = parsed(ended.stdout)
    assert found["lifeline_source_up", "history"] == 0
    assert ended.stderr.count(os.linesep) == 1
