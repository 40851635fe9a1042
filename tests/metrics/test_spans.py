"""Runs of the history as OpenTelemetry spans."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.status import StatusCode

from lifeline.spans import export_spans, finished_runs
from support.lifelines import run, unique_sleep
from support.spawning import Spawner


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def test_a_span_for_each_run_that_has_ended(spawn: Spawner, exporter: InMemorySpanExporter) -> None:
    """Its name, its length, its exit code and whether that is an error."""
    before = time.time_ns()
    for code in (0, 7):
        ended = spawn.run(*run("--name", f"ends {code}", "--", "sh", "-c", f"exit {code}"))
        assert ended.returncode == code
    assert export_spans(exporter) == SpanExportResult.SUCCESS
    good, bad = exporter.get_finished_spans()
    assert (good.name, bad.name) == ("ends 0", "ends 7")
    assert (good.status.status_code, bad.status.status_code) == (StatusCode.OK, StatusCode.ERROR)
    assert bad.attributes and bad.attributes["process.exit.code"] == 7
    assert good.start_time and good.end_time and bad.start_time
    assert before - 10**9 < good.start_time <= good.end_time <= bad.start_time
    assert json.loads(bad.to_json())["resource"]["attributes"]["service.name"] == "lifeline"


def test_exported_twice_it_is_the_same_span(spawn: Spawner, exporter: InMemorySpanExporter) -> None:
    """Its ids are those of the run; `since` leaves out what was exported before."""
    spawn.run(*run("--", "true", unique_sleep()[1]))
    export_spans(exporter)
    export_spans(exporter)
    first, second = exporter.get_finished_spans()
    assert first.context == second.context
    assert first.context.is_valid
    assert first.end_time
    export_spans(exporter, since=first.end_time / 1e9 + 0.001)
    assert len(exporter.get_finished_spans()) == 2


def test_without_state_there_are_no_spans(exporter: InMemorySpanExporter, state_dir: Path) -> None:
    """And nothing is made."""
    assert export_spans(exporter) == SpanExportResult.SUCCESS
    assert exporter.get_finished_spans() == ()
    assert not state_dir.exists()


def test_a_run_without_a_start_or_an_end_is_left_out() -> None:
    """The history forgets; what goes on has no end yet."""
    events = [
        {"time": 1.0, "event": "end", "name": "a", "run": "1", "code": 0},
        {"time": 2.0, "event": "start", "name": "a", "run": "2"},
        {"time": 3.0, "event": "restart", "name": "a", "run": "3", "restarts": 4, "job": 9},
        {"time": 2.5, "event": "end", "name": "a", "run": "3", "code": 137, "reason": "memory"},
    ]
    (found,) = finished_runs(events)
    assert (found.id, found.start, found.end, found.code) == ("3", 3.0, 3.0, 137)
    assert (found.restarts, found.reason, found.pids) == (4, "memory", {"job": 9})


def test_without_the_sdk(spawn: Spawner) -> None:
    """The error names the extra."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from lifeline.spans import export_spans\n"
        "try: export_spans(None)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    ended = spawn.run(sys.executable, "-c", code)
    assert ended.stdout == (
        "LifelineError spans need opentelemetry-sdk; pip install lifeline-run[otel]\n"
    )
