"""Imports point one way, and `import lifeline` costs next to nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lifeline

ROOT = Path(lifeline.__file__).parent

# The parts of lifeline from the ground up: each may import what stands on a line above its own and
# nothing beside it. Imports inside functions and for type checkers count as well.
LEVELS: list[set[str]] = [
    {"errors"},
    {"clock"},
    {"sizes", "statedir", "terminals", "toml"},
    {"signals"},
    {"processes", "leases", "options"},
    {"backends"},
    {"events"},
    {"history", "lease_memory", "lease_names", "program", "waiting"},
    {"finding", "holding"},
    {"ending", "outcome", "overview"},
    {"locked"},
    {"embed", "scaling", "supervision"},
    {"keeping", "leasing", "seats"},
    {"supervisor"},
    {"tasks", "tick"},
    {"config", "crontab"},
    {"cron"},
    {"doctor_cron", "doctor_ticks", "exports"},
    {"doctor", "metrics", "spans", "top"},
    {"__init__"},  # on first use only, see FREE_OF
    {"cli"},
    {"__main__"},
]
LEVEL_OF = {part: level for level, parts in enumerate(LEVELS) for part in parts}

# What a part may not import besides: a backend is verbs without time.
NEVER: dict[str, set[str]] = {
    "errors": {"psutil", "typer"},
    "clock": {"psutil", "typer"},
    "processes": {"typer"},
    "leases": {"psutil", "typer"},
    "backends": {"asyncio", "lifeline.clock", "lifeline.processes", "threading", "time"},
}

# What stays unloaded after an import, unless a bare interpreter has it loaded already.
DEAR = {"dataclasses", "enum", "json", "psutil", "re", "subprocess", "typer", "typing"}
FREE_OF: dict[str, set[str]] = {
    "lifeline": DEAR,
    "lifeline.__main__": DEAR,
    "lifeline.tick": DEAR | {"lifeline.supervisor", "lifeline.supervision"},
    "lifeline.supervisor": DEAR,
    "lifeline.embed": DEAR,
    "lifeline.config.quick": DEAR | {"lifeline.toml"},
}

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.rglob("*.py")
)


def imports_of(source: str, module: str) -> Iterator[str]:
    """Absolute names of what a source imports; `module` is its path below lifeline, dotted."""
    inside = ["lifeline", *module.split(".")[:-1]]  # the package that relative imports start from
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            # `from lifeline import clock` names a module, `from lifeline.clock import now` a thing
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str | None:
    """`lifeline.clock.now` -> `clock`; None for what is not ours."""
    first, _, rest = name.partition(".")
    if first != "lifeline":
        return None
    part = rest.partition(".")[0]
    return part if part in LEVEL_OF else "__init__"  # a name of the package itself: `__version__`


def may_import(part: str, name: str) -> bool:
    """Whether a module of `part` may import `name`, a dotted name."""
    if any(f"{name}.".startswith(f"{banned}.") for banned in NEVER.get(part, ())):
        return False
    other = part_of(name)
    return other is None or other == part or LEVEL_OF[other] < LEVEL_OF[part]


def breaches(source: str, module: str) -> list[str]:
    """What a module imports and may not."""
    part = module.partition(".")[0]
    assert part in LEVEL_OF, f"lifeline.{part} stands on no line of LEVELS"
    return [name for name in imports_of(source, module) if not may_import(part, name)]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_lies_below_it(module: str) -> None:
    source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text()
    assert breaches(source, module) == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("processes.twins", "from ..errors import LifelineError", []),
        ("processes.twins", "from . import table", []),
        ("processes.twins", "from ..cli import run", ["lifeline.cli.run"]),
        ("processes.twins", "def f():\n    from .. import embed", ["lifeline.embed"]),
        ("processes.__init__", "from .twins import look", []),
        ("processes.__init__", "import lifeline.supervisor", ["lifeline.supervisor"]),
        ("processes.twins", "from ..leases import keeper", ["lifeline.leases.keeper"]),
        ("clock", "from lifeline import __version__", ["lifeline.__version__"]),
        ("backends.redis", "from .. import clock", ["lifeline.clock"]),
        ("backends.redis", "import time, hashlib", ["time"]),
        ("backends.redis", "from threading import Lock", ["threading.Lock"]),
        ("backends.redis", "import timeit", []),
    ],
)
def test_the_walk_sees_every_way_to_import(module: str, source: str, expected: list[str]) -> None:
    assert breaches(source, module) == expected


def test_a_part_that_is_on_no_level_is_told() -> None:
    with pytest.raises(AssertionError, match="on no line of LEVELS"):
        breaches("", "newcomer")


def loaded_by(code: str, where: Path) -> set[str]:
    """Names of the modules that an interpreter loads to run `code`, its own start included."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        cwd=where,  # not the checkout: -c puts the working directory first on the path
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [line for line in ran.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


@pytest.mark.parametrize("name", FREE_OF)
def test_importing_loads_nothing_that_the_tick_does_not_need(name: str, tmp_path: Path) -> None:
    loaded = loaded_by(f"import {name}", tmp_path)
    assert name in loaded  # or the list below would be empty for the wrong reason
    assert loaded & FREE_OF[name] - loaded_by("pass", tmp_path) == set()
