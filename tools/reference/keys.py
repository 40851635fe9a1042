"""The keys of lifeline.toml, from the schema and the policy that the readers use."""

from __future__ import annotations

import dataclasses
from typing import Any

from table import code, table

from lifeline.config.reading import OWN_KEYS
from lifeline.config.schema import schema
from lifeline.config.texts import OPTIONS
from lifeline.scaling import plugins
from lifeline.scaling.policy import NAMES, Policy

HEAD = """\
# Configuration

Which file counts, what its keys mean together, and where a value comes from, is told in
[lifelines by name](../config.md) and [the scaler](../scaling.md). For editors there is a
[JSON schema](../lifeline.schema.json); `lifeline config check` names every mistake with its line.
Dashes in keys are as good as underscores in `[lifeline.NAME]`.
"""
RUN = """\
Every option of `lifeline run` is a key, too; [keeping it running](../supervisor.md) and
[leases](../leases.md) tell what they do. Paths are relative to the file.
"""
SCALE = """\
## `[scale.NAME]`

[The decision](../scaling.md#the-decision) tells what each key means for it.
"""
DURATION = "a duration: `90`, `10s`, `1h30m`"
SIZE = "a size: `500000`, `10MB`, `64MiB`"
ENDS = {
    "probe": "what measures; `probes` is a list of them",
    "target": "what is set",
    "apply": "without `true` nothing is changed",
    "lock": "a store: one machine of a fleet scales, the others stand by",
}


def page() -> str:
    """Lifelines, then scalers, then the kinds of what scalers look at and set."""
    made = schema()["properties"]["lifeline"]["additionalProperties"]["properties"]
    options = {name: each for name, each in made.items() if "$ref" not in each}
    own = {name: options.pop(name) for name in OWN_KEYS}
    parts = [HEAD, "## `[lifeline.NAME]`\n"]
    parts.append(table(("key", "value", ""), [_row(*each) for each in own.items()]))
    parts.append(RUN)
    rows = [[*_row(name, each)[:2], OPTIONS[name]] for name, each in options.items()]
    parts += [table(("key", "value", ""), rows), SCALE]
    parts += [table(("key", ""), _ends()), table(("key", "default"), _policy()), _kinds()]
    return "\n".join(parts)


def _row(name: str, given: dict[str, Any]) -> list[str]:
    return [code(name), _value(given), str(given["description"])]


def _value(given: dict[str, Any]) -> str:
    """What can be written, in words."""
    told = given["description"]
    if "enum" in given:
        return ", ".join(f'`"{each}"`' for each in given["enum"])
    if given.get("type") == "boolean":
        return "`true`, `false`"
    if given.get("type") == "integer":
        return f"{given['minimum']} to {given['maximum']}"
    if "A duration:" in told:
        return DURATION
    if "A size:" in told:
        return SIZE
    if given.get("type") == "object":
        return "a table"
    lists = any(each.get("type") == "array" for each in given.get("anyOf", ()))
    return "a text, or a list" if lists else _one_text(given)


def _one_text(given: dict[str, Any]) -> str:
    for each in given.get("anyOf", ()):
        if "const" in each:
            return f"a text, or `{str(each['const']).lower()}`"
    return "a text"


def _ends() -> list[tuple[str, str]]:
    rules = ("`rules`", "[how load becomes workers](../scaling.md#rules)")
    return [*((code(name), told) for name, told in ENDS.items()), rules]


def _policy() -> list[tuple[str, str]]:
    defaults = {each.name: each.default for each in dataclasses.fields(Policy)}
    names = [name for name in defaults if name in NAMES and name != "rules"]
    return [(code(name), _shown(name, defaults[name])) for name in names]


def _shown(name: str, default: object) -> str:
    """A default as it would be written. The highest step is `max`, where it is not given."""
    known = {"max": "the highest step", "protect_busy": "`true`", "on_error": '`"hold"`'}
    if name in known or default is None:
        return known.get(name, "none")
    if isinstance(default, float) and name != "activate":
        return code(f"{default:g}s")
    return code(f'"{default}"' if isinstance(default, str) else f"{default:g}")


def _kinds() -> str:
    """The kinds of probes and targets, each with the first line of what makes it."""
    parts = []
    for role, pages in ((plugins.PROBE, "probes.md"), (plugins.TARGET, "targets.md")):
        rows = [[code(kind), _first_line(role, kind)] for kind in plugins.kinds(role)]
        parts.append(f"### Kinds of {role}\n\nTheir options: [{pages}](../{pages}).\n")
        parts.append(table(("kind", ""), rows))
    return "\n".join(parts)


def _first_line(role: str, kind: str) -> str:
    module = __import__(plugins.find(role, kind).__module__, fromlist=["make"])
    return (module.__doc__ or "").split("\n")[0]
