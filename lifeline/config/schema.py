"""A JSON schema of lifeline.toml, for editors: made from the tables that the reader uses."""

from __future__ import annotations

from typing import Any

from .. import options as run_options
from .reading import OWN_KEYS
from .texts import OPTIONS, OWN

_DURATION = "A duration: 90, 10s, 5m, 1h30m."
_SIZE = "A size: 500000, 10MB, 64MiB."
_DURATIONS = (run_options._seconds, run_options._some_seconds, run_options._settle)
_VARIABLE = "^[A-Za-z_][A-Za-z0-9_]*$"


def schema() -> dict[str, Any]:
    """The schema, as JSON Schema draft 7, which editors know best."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "lifeline.toml",
        "description": "Named lifelines: lifeline run NAME.",
        "type": "object",
        "properties": {
            "lifeline": {
                "type": "object",
                "propertyNames": {"pattern": "^[^-/][^/]*$", "maxLength": 300},
                "additionalProperties": _lifeline(),
            },
            "scale": {"type": "object", "description": "Scalers: lifeline scale run."},
        },
        "additionalProperties": False,
    }


def _lifeline() -> dict[str, Any]:
    properties = {key: {**_own(key), "description": OWN[key]} for key in OWN_KEYS}
    for name in (*run_options._CONVERT, *sorted(run_options._FLAGS)):
        properties[name] = {"description": _description(name), **_option(name)}
        if "_" in name:
            properties[name.replace("_", "-")] = {"$ref": _reference(name)}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["command"],
        "properties": properties,
    }


def _reference(name: str) -> str:
    return f"#/properties/lifeline/additionalProperties/properties/{name}"


def _own(key: str) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "minLength": 1}
    texts = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    scalar = {"type": ["string", "number"]}
    kinds: dict[str, dict[str, Any]] = {
        "command": {"anyOf": [text, texts]},
        "cwd": text,
        "env": {
            "type": "object",
            "propertyNames": {"pattern": _VARIABLE},
            "additionalProperties": scalar,
        },
        "env_file": {"anyOf": [text, texts]},
        "every": scalar,
        "cron": {"anyOf": [text, {"const": False}]},
    }
    return kinds[key]


def _option(name: str) -> dict[str, Any]:
    """The kind of value, as far as the table of converters tells."""
    if name in run_options._FLAGS:
        return {"type": "boolean"}
    choices = _closure(name, "allowed")
    if choices:
        return {"enum": list(choices)}
    limits = (_closure(name, "least"), _closure(name, "most"))
    if limits[1] is not None:
        return {"type": "integer", "minimum": limits[0], "maximum": limits[1]}
    if name in run_options._ALONE:
        return {"anyOf": [{"type": ["string", "number"]}, {"const": True}]}
    return {"type": ["string", "number"] if _is_measured(name) else "string"}


def _closure(name: str, variable: str) -> Any:
    """What a converter was made with: `_one_of("skip", "wait")` has `allowed`."""
    made = run_options._CONVERT[name]
    cells = getattr(made, "__closure__", None) or ()
    return dict(
        zip(made.__code__.co_freevars, (cell.cell_contents for cell in cells), strict=True)
    ).get(variable)


def _is_measured(name: str) -> bool:
    return run_options._CONVERT[name] in (*_DURATIONS, run_options._size)


def _description(name: str) -> str:
    """What it does, and how its value is written where a kind of JSON cannot say that."""
    made = run_options._CONVERT.get(name)
    if made in _DURATIONS:
        return f"{OPTIONS[name]} {_DURATION}"
    return f"{OPTIONS[name]} {_SIZE}" if made is run_options._size else OPTIONS[name]
