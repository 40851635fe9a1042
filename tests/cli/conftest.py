"""The fixture that every test of the command line takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.spawning import Spawner
from support.stage import Stage


@pytest.fixture
def stage(tmp_path: Path, spawn: Spawner) -> Stage:
    return Stage(tmp_path, spawn)
