"""Finished runs of the history as OpenTelemetry spans: `pip install lifeline-run[otel]`.

A span's and a trace's ids are made from the run's own id: exported twice, it is the same span.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import LifelineError
from .history import Event, read
from .processes.state import State

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One run that has ended; `start` and `end` are wall seconds, `reason` as in the history."""

    id: str
    title: str
    start: float
    end: float
    code: int
    restarts: int = 0
    reason: str = ""
    pids: dict[str, int] = field(default_factory=dict)


def finished_runs(events: Iterable[Event]) -> list[Run]:
    """The runs among `events` of which both ends are there, by their ends."""
    starts: dict[str, Event] = {}
    found = []
    for event in events:
        run = event.get("run")
        if not isinstance(run, str) or not run:
            continue
        if event["event"] in ("start", "restart"):
            starts[run] = event
        elif event["event"] == "end" and run in starts:
            found.append(_run(run, starts.pop(run), event))
    return found


def export_spans(
    exporter: SpanExporter, since: float = 0.0, resource: Resource | None = None
) -> SpanExportResult:
    """Give `exporter` a span for each run on file that ended after `since` (wall seconds).

    Raises LifelineError if opentelemetry-sdk is missing, StateUnusable.
    """
    try:
        from opentelemetry.sdk.resources import Resource
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
        told = "spans need opentelemetry-sdk; pip install lifeline-run[otel]"
        raise LifelineError(told) from None
    state = State()
    runs = finished_runs(read(state)) if state.check() else []
    made = resource or Resource.create({"service.name": "lifeline"})
    return exporter.export([_span(run, made) for run in runs if run.end > since])


def _run(run: str, start: Event, end: Event) -> Run:
    began = float(start["time"])
    return Run(
        run,
        str(end.get("name") or end.get("command") or "?"),
        began,
        max(float(end["time"]), began),  # the clock may have been set back
        int(end.get("code", 0)),
        int(start.get("restarts", 0)),
        str(end.get("reason", "")),
        {key: start[key] for key in ("pid", "job") if isinstance(start.get(key), int)},
    )


def _span(run: Run, resource: Resource) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
    from opentelemetry.trace.status import Status, StatusCode

    digest = hashlib.sha256(run.id.encode()).digest()
    trace_id = int.from_bytes(digest[:16], "big") or 1
    span_id = int.from_bytes(digest[16:24], "big") or 1
    attributes: dict[str, str | int] = {
        "lifeline.name": run.title,
        "lifeline.run": run.id,
        "lifeline.restarts": run.restarts,
        "process.exit.code": run.code,
    }
    if run.reason:
        attributes["lifeline.reason"] = run.reason
    if "job" in run.pids:
        attributes["process.pid"] = run.pids["job"]
    failed = Status(StatusCode.ERROR, run.reason or f"exit code {run.code}")
    return ReadableSpan(
        name=run.title,
        context=SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(1)),
        resource=resource,
        attributes=attributes,
        kind=SpanKind.INTERNAL,
        status=failed if run.code else Status(StatusCode.OK),
        start_time=int(run.start * _NANO),
        end_time=int(run.end * _NANO),
    )
