"""The `[scale.NAME]` tables of lifeline.toml: read, checked, and made into scalers.

Every mistake is one line with the file and the line that it stands on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..options import check_name
from ..toml import Document, Path, load
from . import checking, plugins
from .asking import Probe
from .checking import BadOption
from .policy import NAMES, Policy, policy_of
from .scaler import Scaler, Target, Tick

_ENDS = frozenset(("probe", "probes", "target", "apply", "lock"))


@dataclass(frozen=True, slots=True)
class Plan:
    """One `[scale.NAME]` table, checked; what it measures and sets is made when it is needed."""

    name: str
    policy: Policy
    apply: bool
    lock: str | None  # a store URL
    document: Document

    @property
    def table(self) -> dict[str, Any]:
        found: dict[str, Any] = self.document.data["scale"][self.name]
        return found

    def probes(self) -> list[Probe]:
        """The probes, made. Raises UsageError with the line of what is wrong."""
        if "probe" in self.table:
            return [self._make(plugins.PROBE, ("probe",), self.table["probe"])]
        tables = enumerate(self.table["probes"])
        return [self._make(plugins.PROBE, ("probes", at), each) for at, each in tables]

    def target(self) -> Target:
        """The target, made. Raises UsageError with the line of what is wrong."""
        made: Target = self._make(plugins.TARGET, ("target",), self.table["target"])
        return made

    def scaler(self, *, on_tick: Callable[[Tick], None] | None = None, lease: Any = None) -> Scaler:
        """The scaler of this table."""
        options = {name: value for name, value in self.table.items() if name in NAMES}
        return Scaler(
            self.probes(),
            self.target(),
            name=self.name,
            apply=self.apply,
            lease=lease,
            on_tick=on_tick,
            **options,
        )

    def _make(self, role: str, path: Path, options: Mapping[str, Any]) -> Any:
        here: Path = ("scale", self.name, *path)
        try:
            return plugins.make(role, options)
        except BadOption as error:
            raise self._wrong((*here, *error.path), error) from None
        except UsageError as error:
            raise self._wrong((*here, *_named(str(error), options)), error) from None

    def _wrong(self, path: Path, error: Exception) -> UsageError:
        return self.document.wrong(path, f"[scale.{self.name}] {error}")


def read(source: str) -> dict[str, Plan]:
    """All plans of a file by name. Raises UsageError for the first thing that is wrong."""
    document = load(source)
    tables = document.data.get("scale")
    if not isinstance(tables, dict) or not tables:
        raise document.wrong(("scale",), "there is no [scale.NAME] table")
    plans = {name: _plan(document, name, table) for name, table in tables.items()}
    _refuse_two_scalers(document, plans)
    return plans


def _refuse_two_scalers(document: Document, plans: Mapping[str, Plan]) -> None:
    """Of tables that set the same workers one at most may apply what it decides: each would take
    the other's number for a change by hand, and undo it."""
    found: dict[str, str] = {}
    for name, plan in plans.items():
        key = repr(plugins.sets(plan.table["target"]))
        if plan.apply and (other := found.setdefault(key, name)) != name:
            raise document.wrong(
                ("scale", name, "target"),
                f"[scale.{name}] sets the same workers as [scale.{other}]: "
                "make one of both, with probes = [{ … }, { … }], or let only one apply",
            )


def problems(source: str) -> list[str]:
    """A line for each mistake in the tables of a file.

    Probes and targets are not made: what they need may be where the scaler runs only.
    """
    document = load(source)
    found = []
    for name, table in document.data.get("scale", {}).items():
        try:
            _plan(document, name, table)
        except UsageError as error:
            found.append(str(error))
    return found


def _plan(document: Document, name: str, table: object) -> Plan:
    here: Path = ("scale", name)
    try:
        check_name(name)
        if not isinstance(table, dict):
            raise BadOption((), f"{name} is no table: write [scale.{name}]")
        return _checked(document, name, table)
    except BadOption as error:
        raise document.wrong((*here, *error.path), f"[scale.{name}] {error}") from None
    except UsageError as error:
        raise document.wrong(here, str(error)) from None


def _checked(document: Document, name: str, table: dict[str, Any]) -> Plan:
    checking.known(table, _ENDS | NAMES, "key")
    _check_ends(table)
    policy = policy_of({key: value for key, value in table.items() if key in NAMES})
    apply, lock = table.get("apply", False), table.get("lock")
    if not isinstance(apply, bool):
        raise BadOption(("apply",), f"apply is true or false, not {apply!r:.40}")
    if lock is not None and (not isinstance(lock, str) or not lock):
        raise BadOption(("lock",), 'lock is the URL of a store, best "env:NAME"')
    return Plan(name, policy, apply, lock, document)


def _check_ends(table: Mapping[str, Any]) -> None:
    if ("probe" in table) == ("probes" in table):
        raise BadOption((), "write probe = { kind = … } or probes = [{ kind = … }, …]")
    if "target" not in table:
        raise BadOption((), "target is missing: target = { kind = … }")
    tables: list[tuple[Path, object]] = [
        ((key,), table[key]) for key in ("probe", "target") if key in table
    ]
    if "probes" in table:
        if not isinstance(table["probes"], list) or not table["probes"]:
            raise BadOption(("probes",), "probes is a list of tables: [{ kind = … }, …]")
        tables += [(("probes", at), each) for at, each in enumerate(table["probes"])]
    for path, each in tables:
        if not isinstance(each, dict):
            raise BadOption(path, "it is a table with a kind: { kind = … }")
        role = plugins.TARGET if path[0] == "target" else plugins.PROBE
        try:
            plugins.find(role, each.get("kind"))
        except BadOption as error:
            raise BadOption((*path, *error.path), str(error)) from None


def _named(message: str, options: Mapping[str, Any]) -> Path:
    """The option that a message speaks of, for makers that raise a plain UsageError."""
    words = re.findall(r"[A-Za-z_]\w*", message)
    found = [name for name in options if name in words]
    return (min(found, key=words.index),) if found else ()
