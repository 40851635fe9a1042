"""The wheel, put into an empty place by each installer that people use, and run from there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from support.needs import lack
from support.spawning import Spawner

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
_LONGEST = 280.0  # seconds; the packages that it stands on come from an index

pytestmark = pytest.mark.timeout(600)


def pip(spawn: Spawner, wheel: Path, place: Path) -> Path:
    """`python -m venv` and `pip install`."""
    needed(spawn, sys.executable, "-m", "venv", "--without-pip", place)
    words = (sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "-q")
    from_index(spawn, *words, wheel)
    return place / "bin"


def uv(spawn: Spawner, wheel: Path, place: Path) -> Path:
    """`uv tool install`."""
    where = {"UV_TOOL_DIR": str(place), "UV_TOOL_BIN_DIR": str(place / "bin")}
    words = (PROGRAMS / "uv", "tool", "install", "--python", sys.executable)
    from_index(spawn, *words, wheel, env=where)
    return place / "bin"


def pipx(spawn: Spawner, wheel: Path, place: Path) -> Path:
    """`pipx install`."""
    where = {"PIPX_HOME": str(place), "PIPX_BIN_DIR": str(place / "bin")}
    where["PIPX_MAN_DIR"] = str(place / "man")
    words = (PROGRAMS / "pipx", "install", "--python", sys.executable)
    from_index(spawn, *words, wheel, env=where)
    return place / "bin"


def needed(spawn: Spawner, *words: str | Path) -> None:
    done = spawn.run(*words, timeout=_LONGEST)
    assert done.returncode == 0, done.stderr


def from_index(spawn: Spawner, *words: str | Path, env: dict[str, str] | None = None) -> None:
    """Run an installer; without a package index the test is skipped."""
    done = spawn.run(*words, env=env, timeout=_LONGEST)
    if done.returncode != 0:
        lack(f"cannot install: {done.stderr.strip()[-300:]}")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    spawn = Spawner(place)
    from_index(spawn, sys.executable, "-m", "build", "--wheel", "--outdir", place, ROOT)
    spawn.end()
    return next(place.glob("*.whl"))


@pytest.mark.parametrize("install", [pip, uv, pipx])
def test_it_works_where_it_was_installed(
    spawn: Spawner, tmp_path: Path, wheel: Path, install: Callable[[Spawner, Path, Path], Path]
) -> None:
    """The launcher finds its interpreter, runs a job and passes its exit status on."""
    program = install(spawn, wheel, tmp_path / "place") / "lifeline"
    ended = spawn.run(program, "run", "--", "sh", "-c", "echo worked; exit 7")
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "worked\n", "")
    told = spawn.run(program, "--version")
    assert (told.returncode, told.stdout.split()[-1]) == (0, version("lifeline-run"))
