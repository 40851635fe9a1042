"""A private RabbitMQ with its management API, with an epmd of its own beside it.

It is slow to start (a dozen seconds): one server serves all tests of a process, each in a virtual
host of its own. RABBITMQ_HOME names one that is not where Debian puts it.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import socket
import sys
import urllib.request
import uuid
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from glob import glob
from pathlib import Path

from support.needs import which
from support.packages import PACKAGES
from support.servers import Server, free_port

_DEBIAN = "/usr/lib/rabbitmq/lib/rabbitmq_server-*"


def home() -> str | None:
    """The folder of RabbitMQ's own scripts; Debian's commands change the user before them."""
    own = os.environ.get("RABBITMQ_HOME")
    return own or next(iter(sorted(glob(_DEBIAN), reverse=True)), None)


def missing() -> str | None:
    """Why there is none here, for `support.needs`."""
    if home() and which("epmd"):
        return None
    return f"RabbitMQ is not installed (Debian: apt-get install {PACKAGES['rabbitmq-server']})"


class Rabbit:
    """A running server: `port` speaks AMQP, `api` is where its management API is."""

    def __init__(self) -> None:
        api_port = free_port()
        self._epmd = Server("epmd", lambda _, port: [str(which("epmd")), "-port", str(port)], _open)
        env = {"RABBITMQ_CONF_ENV_FILE": "/dev/null"}
        self._server = Server("rabbitmq", _command, lambda _: _is_up(self.api), env)
        self.port = self._server.port
        self.api = f"http://guest:guest@127.0.0.1:{api_port}"
        env.update(_environment(self._server, api_port, self._epmd.port))
        atexit.register(self.close)
        self._epmd.start()
        self._server.start()

    def new_vhost(self) -> str:
        """A virtual host with nothing in it: its name."""
        name = f"v-{uuid.uuid4().hex[:8]}"
        self.call("PUT", f"/vhosts/{name}", {})
        self.call(
            "PUT",
            f"/permissions/{name}/guest",
            {"configure": ".*", "write": ".*", "read": ".*"},
        )
        return name

    def call(self, method: str, path: str, body: object) -> None:
        """One call of the management API. Raises HTTPError."""
        call(self.api, method, path, body)

    def close(self) -> None:
        self._server.close()
        self._epmd.close()


@cache
def server() -> Rabbit:
    """The server of this test process, started when it is first asked for."""
    return Rabbit()


def call(api: str, method: str, path: str, body: object = None) -> None:
    account, _, host = api.removeprefix("http://").partition("@")
    request = urllib.request.Request(
        f"http://{host}/api{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={
            "Authorization": f"Basic {base64.b64encode(account.encode()).decode()}",
            "Content-Type": "application/json",
        },
    )
    urllib.request.urlopen(request, timeout=10).close()


def _command(directory: Path, _port: int) -> Sequence[str | Path]:
    server = Path(str(home())) / "sbin" / "rabbitmq-server"
    return [sys.executable, Path(__file__).parents[1] / "subreaper.py", server]


def _environment(server: Server, api_port: int, epmd_port: int) -> dict[str, str]:
    here = server.directory
    (here / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{server.port}\n"
        f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {api_port}\n"
        "collect_statistics_interval = 500\n"  # ms; its own 5 s are only a test's waiting
        "management.sample_retention_policies.global.minute = 1\n"
        "management.sample_retention_policies.basic.minute = 1\n"
        "management.sample_retention_policies.detailed.10 = 1\n"
    )
    (here / "plugins").write_text("[rabbitmq_management].\n")
    return {
        "HOME": str(here),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"t{uuid.uuid4().hex[:8]}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_MNESIA_BASE": str(here / "data"),
        "RABBITMQ_LOG_BASE": str(here / "log"),
        "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "plugins"),
        "RABBITMQ_PID_FILE": str(here / "pid"),
    }


def _open(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    return False


def _is_up(api: str) -> bool:
    with suppress(OSError):
        call(api, "GET", "/overview")
        return True
    return False
