"""The published JSON schema."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lifeline import options
from lifeline.config import texts
from lifeline.config.reading import OWN_KEYS
from lifeline.config.schema import schema
from support.lifelines import lifeline
from support.spawning import Spawner

PUBLISHED = Path(__file__).parents[2] / "docs" / "lifeline.schema.json"


def keys() -> dict[str, dict[str, object]]:
    table: dict[str, dict[str, object]] = schema()["properties"]["lifeline"][
        "additionalProperties"
    ]["properties"]
    return table


def test_the_published_schema_is_up_to_date(spawn: Spawner) -> None:
    """If not: lifeline config schema >docs/lifeline.schema.json."""
    assert lifeline(spawn, "config", "schema").stdout == PUBLISHED.read_text()


def test_every_option_is_in_it_in_both_spellings() -> None:
    """Made from the tables that `run` itself reads, so that nothing is missing."""
    wanted = {*OWN_KEYS, *options._CONVERT, *options._FLAGS}
    wanted |= {name.replace("_", "-") for name in (*options._CONVERT, *options._FLAGS)}
    assert set(keys()) == wanted
    assert json.loads(json.dumps(schema())) == schema()


def test_every_key_is_told_in_a_sentence_that_needs_no_other() -> None:
    """Nothing is said of a key that is none; what takes a value has its default in the text."""
    assert set(texts.OWN) == set(OWN_KEYS)
    assert set(texts.OPTIONS) == {*options._CONVERT, *options._FLAGS}
    for name, text in {**texts.OWN, **texts.OPTIONS}.items():
        assert re.fullmatch(r"[A-Z][^…]{30,}\.", text), name
        assert keys()[name]["description"].startswith(text)  # type: ignore[attr-defined]
        if name in options._CONVERT:
            assert "Default: " in text, name
    defaults = {name: getattr(options.RunOptions, name) for name in options._CONVERT}
    for name, default in defaults.items():
        if isinstance(default, (str, int)):
            shown = "10MB" if name == "log_size" else str(default)
            assert f"Default: {shown}" in texts.OPTIONS[name]
        elif isinstance(default, float) and name != "wait":
            assert f"Default: {default:g}s" in texts.OPTIONS[name]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("restart", {"enum": ["never", "on-failure", "always"]}),
        ("quiet", {"type": "boolean"}),
        ("exit_code_if_running", {"type": "integer", "minimum": 0, "maximum": 255}),
        ("grace", {"type": ["string", "number"]}),
        ("max_memory", {"type": ["string", "number"]}),
        ("on_start", {"type": "string"}),
    ],
)
def test_kinds_of_values_are_those_that_are_taken(key: str, kind: dict[str, object]) -> None:
    """Choices, limits, durations."""
    found = dict(keys()[key])
    assert found.pop("description")
    assert found == kind
