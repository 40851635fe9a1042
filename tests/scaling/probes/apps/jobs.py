"""What every library is asked to do: jobs that stay until they are let go, and jobs that fail."""

from __future__ import annotations

import os
import time
from pathlib import Path

HERE = Path(os.environ.get("JOBS", "."))
URL = os.environ.get("URL", "")


def stay(number: int) -> None:
    """Say that job `number` has begun; end when the test says so."""
    (HERE / f"began-{number}").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)


def fail() -> None:
    raise RuntimeError("as it should")
