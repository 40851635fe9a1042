"""A process that holds leases or stands by for one: `python _lease_child.py WHAT URL [COUNT]`.

hold   takes COUNT leases, says so by a line, and keeps them until its input ends
take   for each line of input: stands by for one lease, says when (boottime) it was granted, and
       releases it at the next line
"""

from __future__ import annotations

import sys

from lifeline import lock
from lifeline.clock import boottime

TTL = 30.0


def hold(url: str, count: int) -> None:
    locks = [lock(f"held {number}", url, ttl=TTL) for number in range(count)]
    for each in locks:
        if not each.acquire(blocking=False):
            raise SystemExit(f"{each.name} is taken")
    print("held", flush=True)
    sys.stdin.read()
    if lost := [each.name for each in locks if each.lease is None or not each.lease.alive]:
        raise SystemExit(f"{len(lost)} leases were lost")


def take(url: str) -> None:
    wanted = lock("handed over", url, ttl=TTL)
    while sys.stdin.readline():
        wanted.acquire()
        print(boottime(), flush=True)
        sys.stdin.readline()
        wanted.release()


if __name__ == "__main__":
    what, where, *more = sys.argv[1:]
    if what == "hold":
        hold(where, int(more[0]))
    else:
        take(where)
