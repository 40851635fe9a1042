"""A DynamoDB of the tests' own, started when it is first asked for."""

from __future__ import annotations

import atexit
import http.client
import os
import sys
import uuid
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from lifeline.leases.stores import open_store
from support.needs import lack
from support.servers import Server

# Credentials that no real service takes; nothing of the user's own is read or asked for.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
REGION = "us-east-1"


def _command(directory: Path, port: int) -> list[str | Path]:
    return [sys.executable, Path(__file__).with_name("locked_moto.py"), str(port)]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request(
            "POST",
            "/",
            b"{}",
            {
                "X-Amz-Target": "DynamoDB_20120810.ListTables",
                "Authorization": f"AWS4-HMAC-SHA256 Credential=t/20260101/{REGION}/dynamodb/x",
            },
        )
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def missing() -> str | None:
    """Why there is no DynamoDB, None if there is one (a probe for `needs`)."""
    for name in ("moto", "flask", "boto3"):
        if find_spec(name) is None:
            return f"{name} is not installed (pip install moto[dynamodb] flask flask-cors boto3)"
    return None


def new_server() -> Server:
    """A server for one test, which may freeze or kill it, and closes it."""
    if reason := missing():
        lack(reason)
    os.environ.update(CREDENTIALS)
    server = Server("dynamodb", _command, _answers)
    server.start()
    return server


@cache
def server() -> Server:
    """The server of this process, for everything that leaves it in peace."""
    made = new_server()
    atexit.register(made.close)
    return made


def url_of(port: int, table: str = "") -> str:
    """The URL of a table on the server at a port of loopback; one of a new name if none is said."""
    endpoint = quote(f"http://127.0.0.1:{port}", safe="")
    name = table or f"locks-{uuid.uuid4().hex[:12]}"
    return f"dynamodb://{name}?region={REGION}&endpoint={endpoint}"


def fresh() -> str:
    """The URL of a new empty table."""
    url = url_of(server().port)
    store = open_store(url)
    store.setup()
    store.close()
    return url


def stores() -> dict[str, Callable[[], str]]:
    return {"dynamodb": fresh}
