"""What it costs to do nothing: to keep a thousand leases, and to stand by for one."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from bench._lease_servers import Servers, valkey
from bench._lease_takeover import NAME, started_child
from bench.measure import Row, wait_until
from bench.supervisor import used
from lifeline.leases.named import about_me, new_owner
from lifeline.leases.port import Granted, Request
from lifeline.leases.stores import open_store

LEASES = 1000
CPU = 5.0  # percent of a core
EVERY = 5.0  # seconds in which one who stands by may ask once


# --- many leases ------------------------------------------------------------------------------


@dataclass
class Kept:
    """What one process with a thousand leases used in the window, in percent of a core.

    `server` is of the server's busiest process: with PostgreSQL the one at the other end.
    """

    cpu: float
    threads: int
    server: float


def kept(url: str, server: int, seconds: float) -> Kept:
    """A process that holds them at the default terms for so long. RuntimeError if one is lost."""
    with started_child("hold", url, str(LEASES)) as holder:
        if not holder.stdout.readline():
            raise RuntimeError(f"{LEASES} leases could not be had")
        before, began = _cpu([holder.pid, *_processes(server)]), time.monotonic()
        time.sleep(seconds)
        percent = 100 / (time.monotonic() - began)
        after = _cpu(list(before))
        spent = {pid: (after[pid] - before[pid]) * percent for pid in after}
        threads = len(os.listdir(f"/proc/{holder.pid}/task")) - 1
        found = Kept(spent.pop(holder.pid), threads, max(spent.values()))
        holder.stdin.close()
        if holder.wait(60):
            raise RuntimeError("leases were lost in the window")
        return found


def _processes(server: int) -> list[int]:
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [server, *map(int, children)]


def _cpu(pids: list[int]) -> dict[int, float]:
    """Seconds so far of each that still lives."""
    found = {pid: used(pid) for pid in pids}
    return {pid: spent[0] for pid, spent in found.items() if spent}


def rows_of_many(found: dict[str, Kept]) -> list[tuple[str, str, list[Row]]]:
    cpu, threads = [], []
    for label, each in found.items():
        cpu.append(Row(f"the process, {label}", each.cpu, target=CPU))
        cpu.append(Row(f"its server's busiest, {label}", each.server))
        threads.append(Row(label, each.threads, target=1))
    head = f"{LEASES} leases held by one process at the default terms"
    return [(head, "CPU %", cpu), (f"{head}: threads beside the main one", "threads", threads)]


# --- standing by ------------------------------------------------------------------------------


def standby(servers: Servers, seconds: float) -> list[Row]:
    """What one who stands by asks of the server, besides what it asks when it begins to."""
    url = servers.session()
    database = re.split("[/?]", url)[-1]
    servers.postgresql.execute(f"ALTER DATABASE {database} SET log_statement = 'all'")
    port = servers.quiet.port
    stores: dict[str, tuple[str, Callable[[], dict[str, int]]]] = {
        "PostgreSQL": (url, lambda: _logged(servers.postgresql.directory / "output")),
        "Redis": (valkey.url_of(port), lambda: _commands(port)),
    }
    with ExitStack() as alive:
        for store, count in stores.values():
            alive.enter_context(_one_stands_by(store, count))
        before, began = {label: count() for label, (_, count) in stores.items()}, time.monotonic()
        time.sleep(seconds)
        spans = (time.monotonic() - began) / EVERY
        return [
            Row(f"{label}, {what}", (number - before[label][what]) / spans, target=1)
            for label, (_, count) in stores.items()
            for what, number in count().items()
        ]


@contextmanager
def _one_stands_by(url: str, count: Callable[[], dict[str, int]]) -> Iterator[None]:
    """Somebody holds the lease without asking anything, and one process stands by for it.

    It asks twice to begin with: before and after it listens.
    """
    store = open_store(url)
    asked = Request(NAME, 1, (0,), new_owner(), 3600.0, about_me())
    granted = store.try_acquire(asked)
    if not isinstance(granted, Granted):
        raise RuntimeError(f"{url}: {granted}")
    try:
        with started_child("take", url) as other:
            begun = count()["requests"] + 2
            other.stdin.write("stand by\n")
            wait_until(lambda: count()["requests"] >= begun)
            yield
    finally:
        store.close()


def _logged(log: Path) -> dict[str, int]:
    """Of the one database that logs them: a request is a transaction, sent in one go."""
    text = log.read_text(errors="replace")
    return {
        "requests": text.count("pg_advisory_xact_lock("),
        "statements": len(re.findall(r" LOG:  (?:execute|statement)", text)),
    }


def _commands(port: int) -> dict[str, int]:
    """Scripts that were asked for; what they do inside is no round trip."""
    with redis.Redis(port=port) as client:
        told: Any = client.info("commandstats")
    asked = ("cmdstat_evalsha", "cmdstat_eval")
    return {"requests": sum(told.get(name, {"calls": 0})["calls"] for name in asked)}
