"""Finding probes and targets by name: lifeline's own, and those that other packages bring.

A package brings one with an entry point in the group `lifeline.probes` or `lifeline.targets`;
what it points to is called with the options, or is a module with a function `make` for that.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from ..errors import LifelineError, UsageError
from .asking import reason_of
from .checking import BadOption, nearest

PROBE, TARGET = "probe", "target"
_OURS = {PROBE: "queues", TARGET: "platforms"}
_GROUPS = {PROBE: "lifeline.probes", TARGET: "lifeline.targets"}

Make = Callable[[Mapping[str, object]], Any]


def make(role: str, options: Mapping[str, Any]) -> Any:
    """The probe or target that `options` describe; `kind` in them says which.

    Raises UsageError for an unknown kind, and whatever its maker finds wrong with the options.
    """
    maker = find(role, options.get("kind"))
    rest = {name: value for name, value in options.items() if name != "kind"}
    try:
        return maker(rest)
    except LifelineError:
        raise
    except Exception as error:  # of somebody else's code
        kind = options["kind"]
        raise UsageError(f"the {role} {kind} cannot be made: {reason_of(error)}") from None


def find(role: str, kind: object) -> Make:
    """What makes a probe or target of that kind. Raises BadOption if there is none."""
    if not isinstance(kind, str) or not kind:
        raise BadOption((), f'a {role} needs kind = "…"; there are {", ".join(kinds(role))}')
    maker = _ours(role, kind) or _theirs(role, kind)
    if maker is None:
        told = nearest(kind, kinds(role))
        raise BadOption(("kind",), f"unknown kind of {role} {kind!r:.60}{told}")
    return maker


def sets(options: Mapping[str, Any]) -> dict[str, Any]:
    """What of a target's options says which workers it sets. Of another package's kind, all of it.

    A module of ours names those options in `SETS`, with their defaults.
    """
    kind = str(options["kind"])
    module = _module(TARGET, kind)
    names: Mapping[str, object] | None = getattr(module, "SETS", None)
    if names is None:
        return dict(options)
    return {"kind": kind, **{name: options.get(name, usual) for name, usual in names.items()}}


def kinds(role: str) -> list[str]:
    """The names that there are. Modules without `make` are what others share."""
    package = importlib.import_module(f".{_OURS[role]}", __package__)
    names = {each.name.replace("_", "-") for each in pkgutil.iter_modules(package.__path__)}
    ours = {name for name in names if _ours(role, name)}
    return sorted(ours | {each.name for each in _entries(role)})


def _ours(role: str, kind: str) -> Make | None:
    maker: Make | None = getattr(_module(role, kind), "make", None)
    return maker


def _module(role: str, kind: str) -> ModuleType | None:
    name = kind.replace("-", "_")
    home = f"{__package__}.{_OURS[role]}.{name}"
    if not name.isidentifier() or not importlib.util.find_spec(home):
        return None
    return importlib.import_module(home)


def _theirs(role: str, kind: str) -> Make | None:
    entry = next((each for each in _entries(role) if each.name == kind), None)
    if entry is None:
        return None
    found = _load(entry, role)
    maker: Make = getattr(found, "make", found)
    if not callable(maker):
        raise BadOption(("kind",), f"{kind!r:.60} is no {role}: it has no make(options)")
    return maker


def _load(entry: EntryPoint, role: str) -> Any:
    try:
        return entry.load()
    except Exception as error:
        told = f"the {role} {entry.name} cannot be loaded: {reason_of(error)}"
        raise BadOption(("kind",), told) from None


def _entries(role: str) -> list[EntryPoint]:
    return sorted(entry_points(group=_GROUPS[role]), key=lambda entry: entry.name)
