"""How often things have happened, counted on while the history forgets.

The history keeps the last two megabytes; a counter that was counted from it would fall when an
older file goes, which Prometheus takes for a restart. So each look adds what is new in the files to
totals in the state directory, together with how far it has read. A file is known by its first line,
which holds the microsecond of its first event: the number of an inode is used again.

What comes and goes between two looks is not counted: that takes two megabytes of events.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .. import history
from ..errors import StateUnusable
from ..events import LOST, STAND_DOWN, paths
from ..history import Event
from ..processes.state import METRICS, State

COUNTED = {
    "start": "starts",
    "restart": "restarts",
    STAND_DOWN: "stand_downs",
    "held": "held_ticks",
    "end": "ends",
    "terminate": "terminations",
    LOST: "losses",
}
_FILE, _VERSION = b"totals", 1
_MOST = 1000  # lifelines; commands with a date in them would fill the disk
_HEAD = 120  # bytes of a first line


class Total:
    """One lifeline's counts; `last` is the wall time of its newest event."""

    def __init__(self, data: dict[str, Any] | None = None) -> None:
        data = data or {}
        self.counts = {name: int(data.get(name, 0)) for name in COUNTED.values()}
        self.failures = int(data.get("failures", 0))
        self.last = float(data.get("last", 0.0))
        self.code: int | None = data.get("code")
        self.ended: float | None = data.get("ended")

    def add(self, event: Event) -> None:
        """Count one event."""
        kind = COUNTED.get(event["event"])
        self.last = max(self.last, float(event["time"]))
        if kind:
            self.counts[kind] += 1
        if kind == "ends" and isinstance(event.get("code"), int):
            self.code, self.ended = event["code"], float(event["time"])
            self.failures += event["code"] != 0

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        own = {"failures": self.failures, "last": self.last, "code": self.code, "ended": self.ended}
        return {**self.counts, **own}


def count(state: State) -> dict[str, Total]:
    """The totals of each lifeline by its name or command, with everything up to now in them.

    Raises StateUnusable if they cannot be kept: counts of this moment alone could fall later.
    """
    if not state.check():
        return {}
    with _turn(state):
        known = _read(state)
        totals = {name: Total(data) for name, data in known["totals"].items()}
        marks: dict[str, list[Any]] = known["marks"]
        for older, newer in _streams(state):
            key = os.fsdecode(os.path.basename(newer))
            for event in _news(older, newer, marks, key):
                title = str(event.get("name") or event.get("command") or "?")
                totals.setdefault(title, Total()).add(event)
        newest = sorted(totals.items(), key=lambda each: -each[1].last)[:_MOST]
        data = {name: total.data() for name, total in newest}
        content = json.dumps({"version": _VERSION, "marks": marks, "totals": data})
        state.write(METRICS, _FILE, content.encode() + b"\n")
        return dict(sorted(newest))


def _streams(state: State) -> Iterator[tuple[bytes, bytes]]:
    """The history's files, an older and a newer one each."""
    every = paths(state)
    yield from ((path + b".1", path) for path in every if path + b".1" in every)


def _news(older: bytes, newer: bytes, marks: dict[str, list[Any]], key: str) -> list[Event]:
    """The events since the mark, which is moved on."""
    head, offset = marks.get(key, ["", 0])
    # The newer one first: should it be put aside in between, its events are seen twice over, in
    # two places, instead of never; they are told apart by the heads.
    contents = [_whole_lines(newer)]
    contents.insert(0, _whole_lines(older))
    if _head(contents[0]) == _head(contents[1]):
        contents[0] = b""
    heads = [_head(content) for content in contents]
    if head and head == heads[1]:
        contents = [b"", contents[1][offset:]]
        moved = offset + len(contents[1])
    else:
        if head and head == heads[0]:
            contents[0] = contents[0][offset:]
        moved = len(contents[1])
    if heads[1]:
        marks[key] = [heads[1], moved]
    elif heads[0]:
        size = offset if head == heads[0] else 0
        marks[key] = [heads[0], size + len(contents[0])]
    return [event for content in contents for event in history.parse(content)]


def _whole_lines(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StateUnusable(os.path.dirname(path), f"cannot be read ({error.strerror})") from None
    return content[: content.rfind(b"\n") + 1]


def _head(content: bytes) -> str:
    return content.partition(b"\n")[0][:_HEAD].decode("ascii", "replace")


def _read(state: State) -> dict[str, Any]:
    empty: dict[str, Any] = {"totals": {}, "marks": {}}
    try:
        known = json.loads(state.read(METRICS, _FILE) or b"{}")
    except ValueError:
        return empty
    is_ours = isinstance(known, dict) and known.get("version") == _VERSION
    return known if is_ours else empty


@contextmanager
def _turn(state: State) -> Iterator[None]:
    """One at a time: two that read the same news would both count them."""
    state.prepare()
    path = state.path(METRICS, b"lock")
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        told = f"cannot be written ({error.strerror})"
        raise StateUnusable(state.directory, told) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
