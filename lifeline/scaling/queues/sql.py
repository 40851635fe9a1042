"""Any table: your own query, on PostgreSQL or SQLite, gives one row with the number of ready jobs.

One column is that number. Several are told by their names: `ready`, `busy`, `future` and
`oldest_age` (seconds, NULL if nothing waits). No row, two rows, or NULL where a number belongs is
an error and never zero: write `coalesce(sum(n), 0)` where zero is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from ..checking import BadOption
from ..errors import ProbeError
from ..sample import Sample
from . import settings, sqlite, tables

_COLUMNS = ("ready", "busy", "future", "oldest_age")


class Sql:
    """Runs `query` each time, in a transaction that cannot write."""

    def __init__(self, database: tables.Tables | sqlite.File, query: str) -> None:
        self._database = database
        self._query = query

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        place = self._database.place
        rows = self._database.rows(self._query)
        if len(rows) != 1:
            raise ProbeError(f"{place}: the query gives {'no row' if not rows else 'several rows'}")
        (row,) = rows
        if len(row) == 1:
            return Sample(*(_number(value) for value in row.values()))
        unknown = [name for name in row if name not in _COLUMNS]
        if unknown or "ready" not in row:
            told = f"{unknown[0]!r:.60}" if unknown else "no 'ready'"
            raise ProbeError(f"{place}: the columns are {', '.join(_COLUMNS)}; there is {told}")
        return Sample(**{name: _number(value) for name, value in row.items()})


def _number(value: Any) -> Any:
    """What sums and averages are in Python; Sample refuses all that is no number."""
    return float(value) if isinstance(value, Decimal) else value


def make(options: Mapping[str, object]) -> Callable[[], Any]:
    """A probe for a query of your own: `url`, `query`, `schema` (PostgreSQL), `timeout`."""
    settings.known(options, "url", "query", "schema")
    query = options.get("query")
    if not isinstance(query, str) or not query.strip():
        raise BadOption(("query",), "query is the text of one SELECT")
    url = settings.text(options, "url")
    settings.url(options, (*tables.SCHEMES, *sqlite.SCHEMES), f"{tables.EXAMPLE} or sqlite:PATH")
    if url.startswith("sqlite:"):
        if "schema" in options:
            raise BadOption(("schema",), "an SQLite file has no schema")
        return Sql(sqlite.File(options), query)
    # The driver reads %s and %(name)s as places for values; this query has none.
    return Sql(tables.Tables(options), query.replace("%", "%%"))
