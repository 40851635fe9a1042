"""Huey on Redis, SQLite or PostgreSQL: what its storage keeps under a name.

A task with a time lies among the others until a consumer has taken it once; only then it is in the
schedule. Which ones those are is pickled, so every listed task counts as ready and the sample is
exact only if there is none. Huey keeps no trace of running tasks: `busy` is always 0.
Evidence that a queue exists: tables are made when a program first uses them. In Redis an empty
queue leaves nothing, unless it keeps results, see `allow_missing`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...clock import wall
from ..sample import Sample
from . import settings, sqlite, tables
from .keys import SCHEMES, Keys

_QUERY = """
SELECT (SELECT count(*) FROM {task} WHERE queue = {name}) AS listed,
       (SELECT count(*) FROM {schedule} WHERE queue = {name} AND timestamp <= {now}) AS due,
       (SELECT count(*) FROM {schedule} WHERE queue = {name} AND timestamp > {now}) AS future,
       (SELECT min(timestamp) FROM {schedule} WHERE queue = {name} AND timestamp <= {now}) AS first
"""


class HueyRedis:
    """Counts the tasks of the Huey with that name, for lists and for its priority storage."""

    def __init__(self, keys: Keys, name: str) -> None:
        self._keys = keys
        self._name = name

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        queue, schedule = f"huey.redis.{self._name}", f"huey.schedule.{self._name}"
        with self._keys.open() as ask:
            (kind,) = ask(("TYPE", queue))
            count = "ZCARD" if kind == b"zset" else "LLEN"
            listed, due, future, traces = ask(
                (count, queue),
                ("ZCOUNT", schedule, "-inf", now := wall()),
                ("ZCOUNT", schedule, f"({now}", "+inf"),
                ("EXISTS", queue, schedule, f"huey.results.{self._name}"),
            )
            self._keys.require(self._name, traces)
        return Sample(listed + due, 0, future, exact=not listed)


class HueyTables:
    """Counts the tasks of the Huey with that name."""

    def __init__(self, database: tables.Tables | sqlite.File, name: str, prefix: str) -> None:
        self._database = database
        is_file = isinstance(database, sqlite.File)
        places = (":name", ":now") if is_file else ("%(name)s", "%(now)s")
        self._query = _QUERY.format(
            task=f"{prefix}task", schedule=f"{prefix}schedule", name=places[0], now=places[1]
        )
        self._name = name

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        now = wall()
        (row,) = self._database.rows(self._query, {"name": self._name, "now": now})
        age = None if row["first"] is None else max(0.0, now - row["first"])
        return Sample(row["listed"] + row["due"], 0, row["future"], age, not row["listed"])


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for Huey: `url` (redis://, sqlite:PATH or postgresql://), `name`, `clean_name` (true;
    Redis), `table_prefix` (huey; PostgreSQL), `schema`, `allow_missing` (Redis), `timeout`."""
    scheme = settings.text(options, "url").partition(":")[0]
    name = settings.text(options, "name", "huey")
    if scheme in tables.SCHEMES:
        settings.known(options, "url", "name", "table_prefix", "schema")
        prefix = settings.identifier(options, "table_prefix", "huey")
        return HueyTables(tables.Tables(options), name, f"{prefix}_")
    if scheme in sqlite.SCHEMES:
        settings.known(options, "url", "name")
        return HueyTables(sqlite.File(options), name, "")
    settings.known(options, "url", "name", "clean_name", "allow_missing")
    if settings.flag(options, "clean_name", default=True):
        name = re.sub("[^A-Za-z0-9_]", "", name)
    settings.url(options, SCHEMES, "redis://…, sqlite:PATH or postgresql://…")
    return HueyRedis(Keys(options), name)
