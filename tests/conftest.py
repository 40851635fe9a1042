"""Fixtures and rules for every test."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from support import libraries
from support.needs import PROBES, lack, missing
from support.spawning import Spawner, become_subreaper

# How long an example takes says something about the machine only.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# For `bench`, whose rounds the suite plays too. Last: the package is the one that is installed.
sys.path.append(str(Path(__file__).parents[1]))


# What programs of the tests print into one file comes a line at a time, as on users' machines:
# unbuffered, print() writes the words and the end of their line apart.
os.environ.pop("PYTHONUNBUFFERED", None)


def pytest_sessionstart() -> None:
    become_subreaper()
    _hear_signals()


def _hear_signals() -> None:
    """What nohup or `&` had this process ignore, all that it starts would ignore, too."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    libraries.give_time(items)


def pytest_report_header() -> str:
    import lifeline

    return f"lifeline: {os.path.dirname(lifeline.__file__)}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    names = [name for marker in item.iter_markers("needs") for name in marker.args]
    if unknown := set(names) - PROBES.keys():
        pytest.fail(f"support.needs has no probe for {unknown}", pytrace=False)
    reasons = [missing(name) for name in names]
    if told := "; ".join(reason for reason in reasons if reason):
        lack(told)


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test keeps its run records, holds and locks to itself."""
    path = tmp_path / "state"
    monkeypatch.setenv("LIFELINE_STATE_DIR", str(path))
    return path


@pytest.fixture
def spawn(tmp_path: Path, state_dir: Path) -> Iterator[Spawner]:
    """Starts real processes; they and all that they started are dead and reaped after the test."""
    spawner = Spawner(cwd=tmp_path)
    yield spawner
    spawner.end()
