"""What one process has seen of others' leases, for the next one that asks for the same.

Who does not wait asks once: a cron line, once a minute. Where the store has no clock, the lease of
a dead holder is only given away to who has seen it unchanged for its whole ttl: ticks have to
remember for each other. Valid within one boot, for it is this host's clock.
"""

from __future__ import annotations

import json
import os

from .errors import StateUnusable
from .leases.candidate import Observations
from .leases.keys import key
from .processes.state import OBSERVED, State
from .processes.table import open_table


class Memory:
    """The observations in one file of the state directory. Losing them costs a ttl of waiting.

    `name` is that of the file; `of_lease` makes one from the name of a lease.
    """

    @classmethod
    def of_lease(cls, name: str) -> Memory:
        """The memory of all on this host who ask for the lease `name`."""
        return cls(f"{key('', name, 'memory') % 2**64:016x}")

    def __init__(self, name: str) -> None:
        self._name = os.fsencode(name)
        self._state = State()
        self._boot = open_table().boot().hex()

    def read(self) -> Observations:
        """What was kept in this boot; nothing, if it cannot be read."""
        try:
            kept = json.loads(self._state.read(OBSERVED, self._name) or b"{}")
            if kept.get("boot") != self._boot:
                return Observations()
            return Observations({key: (str(v), float(t)) for key, (v, t) in kept["seen"].items()})
        except (StateUnusable, ValueError, TypeError, KeyError, AttributeError):
            return Observations()

    def write(self, observations: Observations) -> None:
        """Keep them, if there is anything to keep."""
        if not observations.seen:
            return
        kept = {"boot": self._boot, "seen": observations.seen}
        try:
            self._state.write(OBSERVED, self._name, json.dumps(kept).encode())
        except StateUnusable:
            pass  # the runner has said so, and it costs waiting only
