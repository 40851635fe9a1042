"""Reading back what happened."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from . import events
from .processes.identity import Identity
from .processes.state import State

Event = dict[str, Any]


def read(state: State, wanted: Identity | None = None) -> list[Event]:
    """Every event on file, oldest first; with `wanted`, only those of that lifeline."""
    names = events.title(wanted).items() if wanted else ()
    found = _events(events.paths(state))
    return _in_order(
        event for event in found if all(event.get(key) == value for key, value in names)
    )


class Ends:
    """The newest end of each lifeline that is on file."""

    def __init__(self, found: Iterable[Event] = ()) -> None:
        self._newest: dict[object, Event] = {}
        for event in _in_order(found):
            if event["event"] == "end":
                titled = _title_of(event)
                self._newest[titled] = self._newest[titled, event.get("pid")] = event

    def code(self, identity: Identity, pid: int | None = None, since: float = 0.0) -> int | None:
        """The exit code of the newest run that has ended; None if none is known.

        Of those that the runner `pid`, alive since `since` (wall seconds), has seen end, if there
        are any: where slots let a command run several times, others' ends are not its own.
        """
        titled = _title_of(events.title(identity))
        own = self._newest.get((titled, pid))
        if own is None or float(own["time"]) < since:
            own = self._newest.get(titled)
        code = own.get("code") if own else None
        return code if isinstance(code, int) else None


def ends(state: State) -> Ends:
    """The ends on file."""
    return Ends(_events(events.lasting_paths(state)))


def _title_of(event: Event) -> tuple[object, object]:
    return event.get("name"), event.get("command")


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


def _in_order(found: Iterable[Event]) -> list[Event]:
    return sorted(found, key=lambda event: float(event["time"]))


def _events(paths: Iterable[bytes]) -> Iterator[Event]:
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            continue
        yield from parse(content)


_BEGINNING = b'{"time": '
