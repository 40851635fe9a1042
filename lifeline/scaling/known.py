"""The scalers that have run on this host, and what they remember: for whoever looks."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..processes.state import SCALING, State
from .memory import Memory, from_json

_SUFFIX = b".memory"


@dataclass(frozen=True, slots=True)
class Known:
    """One scaler. `memory.at` says when it last looked (wall seconds)."""

    name: str
    memory: Memory

    @property
    def desired(self) -> int | None:
        """What it has asked its target for, or could not ask it for yet."""
        return self.memory.actual if self.memory.intent is None else self.memory.intent

    @property
    def recommended(self) -> int | None:
        """What its rules say, before windows, steps and limits."""
        return self.memory.history[-1][1] if self.memory.history else None


def known_scalers(state: State) -> list[Known]:
    """Each scaler whose memory is here and can be read, by name. Raises StateUnusable."""
    found = []
    for file in state.names(SCALING):
        if not file.endswith(_SUFFIX):
            continue
        try:
            data = json.loads(state.read(SCALING, file) or b"null")
        except ValueError:
            continue
        if isinstance(data, dict) and isinstance(data.get("name"), str):
            found.append(Known(data["name"], from_json(data)))
    return sorted(found, key=lambda known: known.name)
