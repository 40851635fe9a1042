"""Clients of a lock that write down when they worked, and the check of what they wrote.

A client stamps a line for each moment in which it works: who, slot, fence, seconds of a clock that
all processes of the host share. Nothing that lifeline says of itself is believed.

    history.py stay  URL NAME SLOTS TTL FILE SECONDS          one stay, or until it is lost
    history.py tries URL NAME SLOTS TTL FILE ROUNDS THREADS   short stays, where a slot is free
    history.py count URL NAME SLOTS TTL FILE ROUNDS           adds one to a number in a file

LIFELINE_BROKEN names a way in which the store is broken on purpose.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeline import Holding, lock
from lifeline.clock import boottime
from lifeline.errors import StoreUnreachable
from lifeline.leases import shared
from lifeline.leases.port import LOST, RENEWED, Claim, Granted, Request
from lifeline.leases.stores import open_store

# --- what is checked --------------------------------------------------------------------------


@dataclass(frozen=True)
class Stay:
    """One client's work under one lease, from the first to the last moment of it."""

    client: str
    slot: int
    fence: int
    begin: float
    end: float


@dataclass(frozen=True)
class Break:
    """A lease that was broken by hand at `at`; `fence` is the one that it moved on to."""

    slot: int
    fence: int
    at: float
    ttl: float

    def excuses(self, stay: Stay) -> bool:
        """True if the stay was the one that was broken, and ended in time."""
        return stay.slot == self.slot and stay.fence < self.fence and stay.end <= self.at + self.ttl


def read(path: Path) -> list[Stay]:
    """The stays in a file of stamps; a line that was cut by a kill does not count."""
    moments: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    for line in path.read_text().splitlines(keepends=True) if path.exists() else ():
        client, slot, fence, moment = line.split(" ")
        if line.endswith("\n"):
            moments[client, int(slot), int(fence)].append(float(moment))
    return [Stay(*key, min(times), max(times)) for key, times in moments.items()]


def faults(stays: Iterable[Stay], breaks: Sequence[Break] = ()) -> list[str]:
    """What is wrong with a history: two at once in a slot, a fence that does not rise, work after
    a lease was broken. Nothing, if it is right."""
    wrong = []
    slots: dict[int, list[Stay]] = defaultdict(list)
    for stay in sorted(stays, key=lambda each: (each.begin, each.end)):
        slots[stay.slot].append(stay)
    for slot, row in slots.items():
        longest = newest = row[0]
        for stay in row[1:]:
            if stay.begin <= longest.end and not any(each.excuses(longest) for each in breaks):
                wrong.append(f"two at once in slot {slot}: {longest} and {stay}")
            if stay.fence <= newest.fence:
                wrong.append(f"a fence of slot {slot} does not rise: {newest} and {stay}")
            longest = max(longest, stay, key=lambda each: each.end)
            newest = max(newest, stay, key=lambda each: each.fence)
        for each in breaks:
            late = [s for s in row if s.fence < each.fence and s.end > each.at + each.ttl]
            wrong += [f"works on after it was broken: {stay}" for stay in late]
    return wrong


# --- stores that are broken on purpose --------------------------------------------------------


class Broken:
    """Another store, but for one verb."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


class Releases(Broken):
    """It releases what it could not renew, while the work goes on (redlock-rb 2)."""

    _has_released = False

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        if self._has_released:
            raise StoreUnreachable("nobody is told that the lease is gone")
        try:
            return list(self._backend.renew(claims))
        except StoreUnreachable:
            self._has_released = True
            for claim in claims:
                self._release(claim)
            raise

    def _release(self, claim: Claim) -> None:
        for _ in range(600):
            with suppress(StoreUnreachable):
                self._backend.release(claim)
                return
            time.sleep(0.05)


class Recreates(Broken):
    """It takes anew what is lost, if it is free, as if nothing had been (redlock-rb 2)."""

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        answers = self._backend.renew(claims)
        return [self._anew(*each) for each in zip(claims, answers, strict=True)]

    def _anew(self, claim: Claim, answer: str) -> str:
        if answer != LOST:
            return answer
        request = Request(claim.name, claim.slots, (claim.slot,), claim.owner, claim.ttl)
        return RENEWED if isinstance(self._backend.try_acquire(request), Granted) else LOST


BROKEN = {"releases": Releases, "recreates": Recreates}


# --- the clients ------------------------------------------------------------------------------


class Stamps:
    """A file that many write to, a line at a time."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def work(self, client: str, lease: Holding, seconds: float) -> None:
        """Stamp for so long, or until the lease says that the work has to end."""
        until = boottime() + seconds
        while True:
            now = boottime()
            if not lease.alive:  # asked after the clock: at `now` the work still was right
                break
            os.write(self._fd, f"{client} {lease.slot} {lease.fence} {now!r}\n".encode())
            if now >= until:
                break
            time.sleep(min(until - now, 0.01))


def stay(url: str, name: str, slots: int, ttl: float, path: str, seconds: str) -> None:
    turn = lock(name, url, slots=slots, ttl=ttl, grace=0)
    turn.acquire()
    assert turn.lease is not None
    Stamps(path).work(str(os.getpid()), turn.lease, float(seconds))
    turn.leave(failed=True)


def tries(
    url: str, name: str, slots: int, ttl: float, path: str, rounds: str, threads: str
) -> None:
    stamps = Stamps(path)

    def client(number: int) -> None:
        for turn_number in range(int(rounds)):
            turn = lock(name, url, slots=slots, ttl=ttl, grace=0)
            if turn.acquire(blocking=False):
                assert turn.lease is not None
                who = f"{os.getpid()}-{number}-{turn_number}"
                stamps.work(who, turn.lease, random.random() * 0.003)
                turn.release()
            else:
                time.sleep(random.random() * 0.02)

    clients = [threading.Thread(target=client, args=(n,)) for n in range(int(threads))]
    for each in clients:
        each.start()
    for each in clients:
        each.join()


def count(url: str, name: str, slots: int, ttl: float, path: str, rounds: str) -> None:
    turn = lock(name, url, slots=slots, ttl=ttl, grace=0)
    tells = turn.store.watch(name)
    if tells:
        tells.close()
    file = Path(path)
    for _ in range(int(rounds)):
        # Where nobody is told of a release, the poll of one who waits is seconds long.
        while not turn.acquire(blocking=bool(tells)):
            time.sleep(random.random() * 0.1)
        file.write_text(str(int(file.read_text()) + 1))
        turn.release()


def main(mode: str, url: str, name: str, slots: str, ttl: str, path: str, *rest: str) -> None:
    if broken := os.environ.get("LIFELINE_BROKEN"):
        shared._stores[url] = shared.SharedStore(BROKEN[broken](open_store(url)))
    modes: dict[str, Any] = {"stay": stay, "tries": tries, "count": count}
    modes[mode](url, name, int(slots), float(ttl), path, *rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
