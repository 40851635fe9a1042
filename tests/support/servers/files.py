"""File stores: no server at all, a directory of their own."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable


def fresh() -> str:
    """The URL of a new empty directory."""
    directory = tempfile.mkdtemp(prefix="lifeline-files-", dir="/tmp")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return f"file:{directory}/locks"


def stores() -> dict[str, Callable[[], str]]:
    return {"file": fresh}
