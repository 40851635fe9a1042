"""What is right and wrong with a Redis or Valkey server as a store of leases, for people."""

from __future__ import annotations

from datetime import datetime, timezone

from ...errors import StoreRefused
from ...leases.port import BAD, GOOD, NOTE, WARNING, Finding
from .line import Line, facts

_MOST_OFFSET = 1.0  # seconds


def findings(line: Line) -> list[Finding]:
    """Everything that `lifeline lock check` tells of one server. Raises StoreError."""
    line.open()
    try:
        told = facts(line.command("INFO"))
    except StoreRefused as error:
        return [
            Finding(GOOD, "reachable"),
            Finding(BAD, str(error), "allow INFO, or nothing can be said of restarts"),
        ]
    return [
        Finding(GOOD, f"reachable: {_version(told)}, a primary, up for {_uptime(told)}"),
        Finding(
            NOTE,
            "efficiency only: a lease may be lost with the server's clock, memory or a failover",
            "let what must not be done twice check the fence",
        ),
        _eviction(line),
        _persistence(line, told),
        _restart(line),
        _replicas(told),
        _clock(line),
        *_cluster(told),
    ]


def _version(told: dict[str, str]) -> str:
    if "valkey_version" in told:
        return f"Valkey {told['valkey_version']}"
    return f"Redis {told.get('redis_version', '?')}"


def _uptime(told: dict[str, str]) -> str:
    return f"{told.get('uptime_in_seconds', '?')} s"


def _setting(line: Line, name: str) -> str | None:
    """A configured value; None if this user may not see it."""
    try:
        found = line.command("CONFIG", "GET", name)
    except StoreRefused:
        return None
    return found[1].decode() if len(found) > 1 else None


def _eviction(line: Line) -> Finding:
    policy = _setting(line, "maxmemory-policy")
    if policy is None:
        return Finding(NOTE, "eviction policy: cannot be read", "it has to be noeviction")
    if policy == "noeviction":
        return Finding(GOOD, "eviction policy: noeviction")
    return Finding(
        WARNING,
        f"eviction policy: {policy}; a full memory throws leases away",
        "CONFIG SET maxmemory-policy noeviction",
    )


def _persistence(line: Line, told: dict[str, str]) -> Finding:
    if line.server.durable:
        return Finding(GOOD, "persistence: every write is on disk first; a restart loses nothing")
    appends = told.get("aof_enabled") == "1"
    kept = _setting(line, "appendfsync") or "unknown" if appends else "no append-only file"
    return Finding(
        WARNING,
        f"persistence: {kept}; a restart may lose leases, so it ends them all",
        "appendonly yes and appendfsync always",
    )


def _restart(line: Line) -> Finding:
    delay = line.place.restart_delay
    if line.server.durable:
        return Finding(GOOD, "restarts: no delay is needed")
    if delay == 0:
        return Finding(
            WARNING,
            "restarts: no delay; after one, two may work until the older notices",
            "leave restart_delay out of the URL",
        )
    span = "its ttl" if delay is None else f"{delay:g} s"
    return Finding(NOTE, f"restarts: work under a lease begins when the server is up for {span}")


def _replicas(told: dict[str, str]) -> Finding:
    count = int(told.get("connected_slaves", "0"))
    if not count:
        return Finding(GOOD, "replication: none")
    return Finding(
        WARNING,
        f"replication: {count} connected; a failover may lose the newest leases",
        "accept it, or use a store that waits for its copies",
    )


def _clock(line: Line) -> Finding:
    # No lease depends on it. Sent and received are close enough for a person to judge.
    seconds, micros = (int(part) for part in line.command("TIME"))
    offset = seconds + micros / 1e6 - datetime.now(timezone.utc).timestamp()
    if abs(offset) < _MOST_OFFSET:
        return Finding(GOOD, f"clock: {offset:+.2f} s from this machine's")
    return Finding(
        WARNING,
        f"clock: {offset:+.2f} s from this machine's; leases end by the server's",
        "keep both in step (NTP) and let neither be set while leases are held",
    )


def _cluster(told: dict[str, str]) -> list[Finding]:
    if told.get("cluster_enabled") != "1":
        return []
    return [Finding(WARNING, "cluster: on; only a server that stands alone is supported")]
