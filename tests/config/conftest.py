"""The fixtures that tests of configurations take."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.configs import Write
from support.spawning import Spawner
from support.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, spawn: Spawner) -> Stage:
    return Stage(tmp_path, spawn)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Puts a text into a file of the test's directory."""

    def put(text: str, name: str = "lifeline.toml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return put
