"""Amazon's ECS and Application Auto Scaling, as moto has them, in a process of the tests' own."""

from __future__ import annotations

import atexit
import http.client
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from support.needs import lack
from support.servers import Server

REGION = "eu-west-1"


def _command(_directory: Path, port: int) -> list[str | Path]:
    return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/moto-api/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@cache
def server() -> Server:
    """The server of this process."""
    missing = [name for name in ("moto", "flask", "flask_cors", "boto3") if not find_spec(name)]
    if missing:
        lack(f"{missing[0]} is not installed (pip install moto[ecs] flask flask-cors boto3)")
    made = Server("ecs", _command, _answers)
    made.start()
    atexit.register(made.close)
    return made


def client(api: str, url: str) -> Any:
    """A client of `api` at `url`; credentials are those of the environment."""
    import boto3

    return boto3.client(api, region_name=REGION, endpoint_url=url)


def new_service(name: str, desired: int) -> str:
    """A service of that name in the cluster `shop`; the server's URL."""
    url = f"http://127.0.0.1:{server().port}"
    ecs = client("ecs", url)
    ecs.create_cluster(clusterName="shop")
    containers = [{"name": "work", "image": "work", "memory": 64}]
    ecs.register_task_definition(family="work", containerDefinitions=containers)
    ecs.create_service(
        cluster="shop", serviceName=name, taskDefinition="work", desiredCount=desired
    )
    return url
