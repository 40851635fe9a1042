"""Reading back what happened."""

import json
from collections.abc import Iterator
from typing import Any

from . import events
from .processes.identity import Identity
from .processes.state import State

Event = dict[str, Any]


def read(state: State, wanted: Identity | None = None) -> list[Event]:
    """Every event on file, oldest first; with `wanted`, only those of that lifeline."""
    names = events.title(wanted).items() if wanted else ()
    found = [
        event for event in _events(state) if all(event.get(key) == value for key, value in names)
    ]
    return sorted(found, key=lambda event: float(event["time"]))


def last_end(found: list[Event]) -> Event | None:
    """The newest end among `found`."""
    return next((event for event in reversed(found) if event["event"] == "end"), None)


def parse(content: bytes) -> Iterator[Event]:
    """The events in a file's content, in their order; what cannot be understood is left out."""
    # Not by lines alone: one that a full disk has cut short has no end, and the next follows
    # at once. In a string these bytes cannot be, quotes have a backslash there.
    for text in content.split(_BEGINNING)[1:]:
        try:
            event = json.loads(_BEGINNING + text.partition(b"\n")[0])
        except ValueError:
            continue
        if isinstance(event["time"], (int, float)) and "event" in event:
            yield event


def _events(state: State) -> Iterator[Event]:
    for path in events.paths(state):
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            continue
        yield from parse(content)


_BEGINNING = b'{"time": '
