"""How many tasks Celery's workers run, from the heartbeats that they publish every 2 s."""

from __future__ import annotations

import base64
import json
from fnmatch import fnmatchcase

from .keys import Keys


class Heartbeats:
    """Listens for `seconds` to workers whose node name matches the pattern `workers`."""

    def __init__(self, keys: Keys, prefix: str, seconds: float, workers: str) -> None:
        self._keys = keys
        self._channel = f"{prefix}/{keys.database}.celeryev/worker.heartbeat"
        self._seconds = seconds
        self._workers = workers

    def running(self) -> int:
        """How many tasks run in all of them. Raises ProbeError if the server does not let it."""
        active: dict[str, int] = {}
        for text in self._keys.listen(self._channel, self._seconds):
            name, count = _beat(text)
            if fnmatchcase(name, self._workers):
                active[name] = count
        return sum(active.values())


def _beat(text: bytes) -> tuple[str, int]:
    """The name of the worker and how many tasks it runs; ("", 0) for what is no heartbeat."""
    try:
        envelope = json.loads(text)
        body = envelope["body"]
        if envelope.get("properties", {}).get("body_encoding") == "base64":
            body = base64.b64decode(body)
        event = json.loads(body)
        return str(event["hostname"]), int(event["active"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return "", 0
