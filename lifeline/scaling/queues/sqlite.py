"""Reading the tables of a queue in an SQLite file, which is opened for reading only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote, unquote

from ...errors import show
from ..checking import BadOption
from ..errors import ProbeError
from . import settings

SCHEMES = ("sqlite",)
EXAMPLE = "sqlite:PATH"
_STEPS = 10_000  # of SQLite's machine, between two looks at the clock


class File:
    """The file at the option `url`, `sqlite:PATH`; it is never created."""

    def __init__(self, options: settings.Options) -> None:
        url = settings.url(options, SCHEMES, EXAMPLE)
        self._path = unquote(url.removeprefix("sqlite:").removeprefix("//"))
        self._timeout = settings.timeout(options)
        self.place = f"sqlite:{self._path}"
        if not self._path:
            raise BadOption(("url",), f"url is {EXAMPLE}")

    def rows(self, query: str, values: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
        """What one statement gives, each row by the names of its columns. Raises ProbeError."""
        end = time.monotonic() + self._timeout
        try:
            with closing(self._connect()) as connection:
                connection.row_factory = sqlite3.Row
                connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
                found = connection.execute(query, dict(values or {}))
                if found.description is None:
                    raise ProbeError(f"{self.place}: the query gives no rows")
                return [dict(row) for row in found.fetchmany(2)]
        except sqlite3.Error as error:
            text = show(str(error).encode("utf-8", "backslashreplace"))
            raise ProbeError(f"{self.place}: {text}") from None

    def _connect(self) -> sqlite3.Connection:
        where = f"file:{quote(self._path)}?mode=ro"
        return sqlite3.connect(where, timeout=self._timeout, uri=True, isolation_level=None)
