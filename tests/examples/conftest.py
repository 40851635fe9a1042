"""What tests of examples share: a copy of one, environments with libraries, machines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import lifeline
from support import libraries
from support.hosts import Host
from support.spawning import Spawner

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Terms under which a machine that has died is replaced in the time of a test, and one that stalls
#: for ten seconds is not: ttl less drift, grace, KILL and the time between two renewals leaves 13.
QUICK = ("--ttl", "20s", "--grace", "0.5s")


@pytest.fixture
def deploy(tmp_path: Path) -> Callable[[str, str], Path]:
    """Copies a directory of examples, and says where the copy is."""

    def copy(example: str, place: str = "app") -> Path:
        return Path(shutil.copytree(EXAMPLES / example, tmp_path / place))

    return copy


@pytest.fixture
def programs(pytestconfig: pytest.Config) -> Path:
    """The directory of the programs that come with Celery, RQ and Django: python, celery, rq."""
    cache = Path(pytestconfig.cache.mkdir("libraries")) if pytestconfig.cache else Path("/tmp")
    return libraries.python("most", cache).parent


@pytest.fixture
def with_lifeline(tmp_path: Path) -> dict[str, str]:
    """Variables under which those programs find lifeline, and nothing else that is not theirs."""
    path = tmp_path / "path"
    path.mkdir()
    (path / "lifeline").symlink_to(Path(lifeline.__file__).parent)
    return {"PYTHONPATH": str(path)}


@pytest.fixture
def host(spawn: Spawner, tmp_path: Path) -> Callable[[str], Host]:
    """A machine by its name: a pid namespace and a state directory."""
    return lambda name: Host(spawn, tmp_path / f"state-{name}")


def path_with(programs: Path) -> str:
    """A PATH on which those programs come first."""
    return f"{programs}{os.pathsep}{os.environ['PATH']}"
