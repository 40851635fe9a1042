"""Reading the tables of a queue in PostgreSQL: one bounded transaction that cannot write."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...errors import LifelineError, UsageError, show
from ..checking import BadOption
from ..errors import ProbeError
from ..sample import Sample
from . import settings

SCHEMES = ("postgresql", "postgres")
EXAMPLE = "postgresql://user[:password]@host[:port]/database"

# Counts the rows of a selection that has the columns is_ready, is_busy, is_future (true, false or
# NULL, which is false) and since. The session lives in UTC, so a column without a time zone is
# compared as what Rails writes into it, whatever zone the server or the role has set.
_COUNT = """
SELECT count(*) FILTER (WHERE is_ready) AS ready,
       count(*) FILTER (WHERE is_busy) AS busy,
       count(*) FILTER (WHERE is_future) AS future,
       extract(epoch FROM now() - min(since) FILTER (WHERE is_ready)) AS age
FROM ({rows}) AS found
"""


class Tables:
    """The database at the option `url`, in the option `schema` if there is one.

    Each reading has a connection and a transaction of its own: read-only, one snapshot, ended by
    the server after `timeout` seconds and by us if the server hangs. Where row-level security
    hides rows, it fails instead of counting fewer.
    """

    def __init__(self, options: settings.Options) -> None:
        self._driver = _driver()
        self._url = settings.url(options, SCHEMES, EXAMPLE)
        self._timeout = settings.timeout(options)
        self._schema = settings.identifier(options, "schema", "")
        self.place = settings.place(self._url)
        try:
            self._driver.conninfo.conninfo_to_dict(self._url)
        except self._driver.Error:  # its text may hold the password
            raise BadOption(("url",), f"url is {EXAMPLE}, with %XX for special ones") from None

    def rows(self, query: Any, values: Mapping[str, Any] | None = None) -> list[Mapping[str, Any]]:
        """What one statement gives, each row by the names of its columns. Raises ProbeError."""
        with self._transaction() as cursor:
            # Asked for binary results, the driver sends one statement only: no "; COMMIT; DELETE".
            cursor.execute(query, values or {}, binary=True)
            if cursor.description is None:
                raise ProbeError(f"{self.place}: the query gives no rows")
            found: list[Mapping[str, Any]] = cursor.fetchmany(2)
            return found

    def count(self, rows: str, values: Mapping[str, Any] | None = None) -> Sample:
        """The sample of the selection `rows`, whose columns are is_ready, is_busy, is_future and
        since, the time from which a job waits. Raises ProbeError."""
        (row,) = self.rows(_COUNT.format(rows=rows), values)
        age = None if row["age"] is None else max(0.0, float(row["age"]))
        return Sample(row["ready"], row["busy"], row["future"], age)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with _translated(self._driver, self.place, self._timeout) as is_late:
            connection = self._connect()
            guard = threading.Timer(self._timeout + 1, _hang_up, (connection.fileno(), is_late))
            guard.daemon = True
            guard.start()
            try:
                with connection.cursor() as cursor:
                    cursor.execute(self._settings())
                    yield cursor
            finally:
                guard.cancel()
                connection.close()

    def _connect(self) -> Any:
        connection = self._driver.connect(
            self._url,
            connect_timeout=max(2, round(self._timeout)),
            application_name="lifeline",
            row_factory=self._driver.rows.dict_row,
            prepare_threshold=None,
        )
        connection.read_only = True
        connection.isolation_level = self._driver.IsolationLevel.REPEATABLE_READ
        return connection

    def _settings(self) -> str:
        """For this transaction only, so that a pooler hands none of it on."""
        wanted = {
            "statement_timeout": str(round(self._timeout * 1000)),
            "row_security": "off",
            "timezone": "UTC",
        }
        if self._schema:
            wanted["search_path"] = f'"{self._schema}"'
        calls = (f"set_config('{name}', '{value}', true)" for name, value in wanted.items())
        return f"SELECT {', '.join(calls)}"


def _hang_up(descriptor: int, is_late: threading.Event) -> None:
    """End the connection under the driver, which waits for a server that does not answer."""
    is_late.set()
    try:
        with socket.socket(fileno=socket.dup(descriptor)) as line:
            line.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@contextmanager
def _translated(driver: Any, place: str, timeout: float) -> Iterator[threading.Event]:
    is_late = threading.Event()
    try:
        yield is_late
    except LifelineError:
        raise
    except (driver.Error, OSError) as error:
        if is_late.is_set():
            raise ProbeError(f"{place}: no answer within {timeout:g} s") from None
        diag = getattr(error, "diag", None)
        text = (diag and diag.message_primary) or str(error).partition("\n")[0]
        raise ProbeError(f"{place}: {show(text.encode('utf-8', 'backslashreplace'))}") from None


def _driver() -> Any:
    try:
        import psycopg
    except ModuleNotFoundError:
        raise UsageError(
            "this probe needs psycopg, which is not installed; pip install lifeline-run[postgres]"
        ) from None
    return psycopg
