"""The manual page says what the help says, and can be read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from lifeline.cli.app import app
from lifeline.toml import load

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "lifeline.1"


def test_it_is_up_to_date() -> None:
    """`invoke man` would write the same."""
    words = [sys.executable, str(ROOT / "tools" / "manpage.py"), "--check"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.needs("groff")
def test_it_can_be_read() -> None:
    """groff has nothing to warn of, and every verb and option is on the page."""
    words = ["groff", "-K", "utf8", "-man", "-T", "utf8", "-w", "w", str(PAGE)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", ended.stdout)
    assert "\nNAME\n" in shown
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        assert f"lifeline {name}" in shown
        for option in getattr(command, "params", []):
            if not option.hidden:
                assert option.opts[0] in shown or option.opts[0].upper() in shown


def test_the_wheel_installs_it() -> None:
    """Where man looks below a prefix."""
    settings = load(str(ROOT / "pyproject.toml")).data["tool"]["hatch"]["build"]
    shared = settings["targets"]["wheel"]["shared-data"]
    assert shared == {"docs/lifeline.1": "share/man/man1/lifeline.1"}
    assert "/docs/lifeline.1" in settings["targets"]["sdist"]["include"]
