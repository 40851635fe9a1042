"""The reference is what the code says, and leaves nothing out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import lifeline
from lifeline.cli.app import app
from lifeline.leases.stores import _OURS

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
PACKAGE = Path(lifeline.__file__).parent


def test_it_is_up_to_date() -> None:
    """`invoke reference` would write the same."""
    words = [sys.executable, str(ROOT / "tools" / "reference"), "--check"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_every_public_name_is_there() -> None:
    """Each name of `lifeline.__all__` has a heading of its own."""
    told = re.findall(r"^### (\w+)$", (REFERENCE / "library.md").read_text(), re.MULTILINE)
    assert sorted(told) == sorted(lifeline.__all__)


def test_every_verb_and_option_is_there() -> None:
    """Each verb has a heading, each option that is not hidden a line."""
    page = (REFERENCE / "command-line.md").read_text()
    root = typer.main.get_command(app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        assert f"\n## lifeline {name}\n" in page
        for option in command.params:
            assert option.hidden or option.opts[0] in page or option.opts[0].upper() in page


def test_every_variable_is_there() -> None:
    """What the package mentions as LIFELINE_… is on the page, and nothing else is."""
    page = (REFERENCE / "environment.md").read_text()
    told = set(re.findall(r"^\| `(LIFELINE_\w+)`", page, re.MULTILINE))
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    mentioned = set(re.findall(r"\bLIFELINE_[A-Z]+(?:_[A-Z]+)*\b", source))
    assert mentioned - told == set()
    # Made of their parts: those of options, and those that a lease gives to its job.
    options = set(re.findall(r"^\| `(LIFELINE_\w+)` \| `--", page, re.MULTILINE))
    of_leases = {f"LIFELINE_{each}" for each in ("SLOT", "SLOTS", "FENCE", "OWNER")}
    assert told - mentioned <= options | of_leases


@pytest.mark.parametrize("module", sorted({module for module, _, _ in _OURS.values()}))
def test_every_option_of_a_store_is_there(module: str) -> None:
    """The options that a backend takes out of its URL are the ones that the page has."""
    home = PACKAGE / "backends" / module
    source = "\n".join(path.read_text() for path in sorted(home.glob("*.py")))
    sets = re.findall(r"(?:_OPTIONS|_OURS|_SENTINELS) = frozenset\(\{(.*?)\}\)", source)
    sets += re.findall(r"take_options\(\w+, frozenset\(\{(.*?)\}\)\)", source)
    taken = set(re.findall(r'"(\w+)"', " ".join(sets)))
    schemes = [scheme for scheme, (where, _, _) in _OURS.items() if where == module]
    page = (REFERENCE / "stores.md").read_text()
    section = page.partition(f"## `{schemes[0]}:`")[2].partition("\n## ")[0]
    told = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert told == (taken or {"namespace", "restart_delay"})  # redlock: those of its servers
