"""Takes a slot, says so in a line of JSON, and waits to be killed: `holder.py URL NAME SLOTS TTL`.

It never renews.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict

from lifeline.leases.keys import slot_order
from lifeline.leases.port import Claim, Granted, Request
from lifeline.leases.stores import open_store


def main(url: str, name: str, slots: int, ttl: float) -> None:
    store = open_store(url)
    owner = os.urandom(16).hex()
    answer = store.try_acquire(Request(name, slots, slot_order(owner, slots), owner, ttl))
    assert isinstance(answer, Granted), answer
    print(json.dumps(asdict(Claim(name, answer.slot, slots, owner, answer.fence, ttl))), flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
