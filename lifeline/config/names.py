"""What other verbs need to know of a name."""

from __future__ import annotations

import os

from .. import history
from ..errors import CannotTell, LifelineError
from ..finding import find_twins
from ..processes import records
from ..processes.identity import Identity, named
from ..processes.state import State
from . import reading, values


def called(name: str) -> str:
    """The name that the lifeline of the file has among processes: its own unless it says so.

    `name` itself if no file here has it: names also come from `--name`. Raises LifelineError if
    there is a file that cannot be read, for it could say otherwise.
    """
    config = reading.here()
    return config.entry(name).called if config and name in config.entries else name


def option(name: str, key: str) -> str | None:
    """The text that the file has for an option of a lifeline, None without."""
    config = reading.here()
    if config is None or name not in config.entries:
        return None
    found = values.file_options(config.entry(name)).get(key)
    return found if isinstance(found, str) else None


def unheard_of(name: str) -> str | None:
    """A sentence if no lifeline of that name is in the file, runs or has left a trace, else None.

    It may yet come to be, for names come from `--name`, too; more often it is a slip. Nothing is
    said where no file has names.
    """
    config = reading.here()
    if config is None:
        return None
    entries = config.entries.values()
    if any(name in (entry.name, entry.called) for entry in entries):
        return None
    try:
        if _is_on_record(named(os.fsencode(name))) or find_twins(name=name):
            return None
    except CannotTell:
        return None
    from difflib import get_close_matches  # only for a mistake

    near = get_close_matches(name, [entry.name for entry in entries], 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"no lifeline called {name!r} is in {config.path}, running or on record{hint}"


def _is_on_record(identity: Identity) -> bool:
    """True if it has run. A hold proves nothing: it may be on the same slip."""
    state = State()
    if not state.check():
        return False
    if any(record.identity.same_command(identity) for record in records.all_records(state)):
        return True
    return any(event["event"] not in ("hold", "release") for event in history.read(state, identity))


def complete(beginning: str) -> list[str]:
    """The names of the file that begin so: for the shell, so nothing is ever raised."""
    try:
        config = reading.here()
    except LifelineError:
        return []
    return [name for name in config.entries if name.startswith(beginning)] if config else []
