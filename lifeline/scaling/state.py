"""What outlives a scaler's process: its memory, and what an operator has paused.

Two files, so that a pause never meets a tick that is being written.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
from typing import Any

from ..errors import StateUnusable
from ..processes.state import SCALING, State
from .decision import Pause
from .memory import Memory, from_json, to_json
from .pipeline import NOT_PAUSED

_MEMORY, _PAUSE = b".memory", b".pause"


class ScalerState:
    """The files of one scaler in the state directory; nothing is made before the first write."""

    def __init__(self, name: str, state: State | None = None) -> None:
        self.name = name
        self._state = State() if state is None else state
        # A name may hold what no file name may.
        self._file = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def memory(self) -> Memory:
        """What was remembered; nothing if there is none or it cannot be understood."""
        return from_json(self._read(_MEMORY))

    def remember(self, memory: Memory, *, of_fleet: bool = False) -> None:
        """Keep it; `of_fleet` if it has a lease. Raises StateUnusable if it cannot be written."""
        self._write(_MEMORY, {"name": self.name, "of_fleet": of_fleet, **to_json(memory)})

    def pause(self, now: float) -> Pause:
        """What is paused at `now` (wall seconds).

        Somebody wanted something to stay as it is: if it cannot be told what, that is all.
        """
        if not self._has(_PAUSE):
            return NOT_PAUSED
        data = self._read(_PAUSE) or {}
        return Pause(_until(data.get("up"), now), _until(data.get("down"), now))

    def set_pause(self, pause: Pause) -> None:
        """Put it in place of any other; it survives a power cut."""
        data = {side: _shown(value) for side, value in (("up", pause.up), ("down", pause.down))}
        self._write(_PAUSE, {"name": self.name, **data}, durable=True)

    def is_known(self) -> bool:
        """True if a scaler of this name has run here."""
        return self._read(_MEMORY) is not None

    def is_of_fleet(self) -> bool:
        """True if one has run here that had a lease: another machine's may take its place."""
        return (self._read(_MEMORY) or {}).get("of_fleet") is True

    def claim(self) -> int | None:
        """A descriptor that is the right to be the scaler of this name; None if another has it.

        It is given back when it is closed or the process ends, however it ends (flock(2)).
        """
        self._state.prepare()
        path = self._state.path(SCALING, self._file.encode() + b".lock")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            told = f"cannot be written ({error.strerror})"
            raise StateUnusable(self._state.directory, told) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return fd

    def _has(self, kind: bytes) -> bool:
        name = self._file.encode() + kind
        return self._state.check() and self._state.read(SCALING, name) is not None

    def _read(self, kind: bytes) -> dict[str, Any] | None:
        if not self._state.check():
            return None
        content = self._state.read(SCALING, self._file.encode() + kind)
        try:
            data = json.loads(content) if content else None
        except ValueError:
            return None
        return data if isinstance(data, dict) else None

    def _write(self, kind: bytes, data: dict[str, Any], *, durable: bool = False) -> None:
        content = json.dumps(data, allow_nan=False).encode() + b"\n"
        self._state.write(SCALING, self._file.encode() + kind, content, durable=durable)


def _until(value: object, now: float) -> float:
    """Wall seconds until which it is paused: 0 if it is not, infinity for "until resumed"."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return math.inf  # "forever", or nothing that can be understood
    return float(value) if value > now else 0.0


def _shown(value: float) -> str | float:
    return "forever" if math.isinf(value) else value
