"""What tests of configurations share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

#: Puts a text into a file of the test's directory: lifeline.toml if no name is given.
Write = Callable[..., Path]
