"""What a runner orders: the first lines that its keeper reads, `key value` each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..leases.port import Info
from ..leases.terms import Terms


@dataclass(frozen=True, slots=True)
class Order:
    """One lease to be had. `wait` is in seconds: 0 asks once, infinity waits for ever.

    `memory` names the file, in the state directory, of what was seen of others' leases. `signals`
    says which payloads are wanted: none, any, or those with commas between them.
    """

    url: str
    name: str
    slots: int
    terms: Terms
    wait: float
    info: Info
    memory: str
    signals: str

    @classmethod
    def parse(cls, facts: Mapping[str, str]) -> Order:
        """The order in the lines that `supervision.kept.order_lines` wrote."""
        return cls(
            facts["url"],
            facts["name"],
            int(facts["slots"]),
            Terms(float(facts["ttl"]), grace=float(facts["grace"])),
            float(facts["wait"]) if facts["wait"] else math.inf,
            {
                "host": facts["host"],
                "pid": int(facts["pid"]),
                "since": float(facts["since"]),
                "command": facts["command"],
            },
            facts["memory"],
            facts["signals"],
        )
