"""What there is to do with a checkout: `invoke --list`, or the same names through `make`.

Each task prints the commands it runs, so that every one of them can be repeated by hand.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from tests.support.packages import PACKAGES

HERE = Path(__file__).parent
OTHERS = HERE / ".venvs"
CI = bool(os.environ.get("CI"))
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
# In CI a test that lacks a tool fails, or a green run could mean that nothing was tested.
STRICT = {"LIFELINE_REQUIRE_TOOLS": "1"} if CI else {}


def say(words: str) -> None:
    print(f"\n== {words}", flush=True)


def run(c: Context, *argv: str | Path, **options: object) -> None:
    """One command, printed first; a failing one ends the task with its exit status."""
    words = [str(word) for word in argv]
    print(f"$ {shlex.join(words).replace(f'{HERE}/', '')}", flush=True)
    # Without in_stream, invoke reads standard input from a thread, and CI has none.
    c.run(shlex.join(words), in_stream=False, pty=sys.stdout.isatty(), **options)


def python(c: Context, *argv: str | Path, **options: object) -> None:
    run(c, sys.executable, *argv, **options)


@task
def system(c: Context) -> None:
    """Install what the tests need beside Python, as root on Debian; else say what is missing."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [tool for tool in PACKAGES if not shutil.which(tool, path=path)]
    if not missing:
        return
    say(f"system: {', '.join(missing)} not installed")
    packages = " ".join(sorted({PACKAGES[tool] for tool in missing}))
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"left out, not root on Debian: apt-get install {packages}; some tests will skip")
        return
    # RUNLEVEL=1: a cron that starts when it is installed would hold the pid file that tests need.
    env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    install = f"apt-get install -qq -y --no-install-recommends {packages}"
    print(f"$ apt-get update && {install}", flush=True)
    done = c.run(f"apt-get update -qq && {install}", env=env, in_stream=False, hide=True, warn=True)
    if not done:
        print(f"apt-get failed with {done.exited}; tests that need {', '.join(missing)} say so")


@task
def check(c: Context) -> None:
    """Lint, format, types of the package and of its public API, docs: everything but running."""
    say("check: ruff, mypy, mkdocs")
    python(c, "-m", "ruff", "check")
    python(c, "-m", "ruff", "format", "--check")
    python(c, "-m", "mypy")
    docs(c)


@task(help={"contenders": "how many starters meet in the model; the default is the checker's own"})
def model(c: Context, contenders: int = 0) -> None:
    """Check the election exhaustively, every interleaving of several starters, with spin."""
    say("model: every interleaving of the election")
    if not CI and not shutil.which("spin"):
        print("left out: spin is not installed (Debian: apt-get install spin)")
        return
    python(c, "model/check.py", *(["--contenders", str(contenders)] if contenders else []))


@task
def test(c: Context) -> None:
    """Everything that a change must pass; the last lines are pytest's summary."""
    system(c)
    check(c)
    model(c)
    wheel = build_wheel(c)
    others(c, wheel)
    say(f"test: the whole suite on {THIS}")
    if CI:  # what users get; a developer's environment keeps what is edited
        python(c, "-m", "pip", "install", "-qq", "--no-deps", "--force-reinstall", wheel)
    pytest(c, sys.executable)


@task(help={"serve": "serve the pages and build them again on every change"})
def docs(c: Context, serve: bool = False) -> None:
    """Build the documentation into site/; a broken link is an error."""
    # mkdocs-material puts a notice about its own future into every build.
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    python(c, "-m", "mkdocs", *(["serve"] if serve else ["-q", "build", "--strict"]), env=quiet)


@task
def man(c: Context) -> None:
    """Write docs/lifeline.1 from the help of the verbs."""
    python(c, "tools/manpage.py")


@task
def reference(c: Context) -> None:
    """Write docs/reference/*.md from the code."""
    python(c, "tools/reference")


@task(help={"only": "parts by name, with commas between them; the others stay as they are"})
def evidence(c: Context, only: str = "") -> None:
    """Measure everything and write docs/evidence.md; it takes a quiet half hour."""
    python(c, "tools/evidence", *(["--only", only] if only else []))


@task
def pictures(c: Context) -> None:
    """Draw docs/pictures/*.svg: real programs in a real terminal."""
    python(c, "tools/pictures.py")


@task
def demo(c: Context) -> None:
    """Show what lifeline does, on this machine, in a minute."""
    python(c, "examples/demo.py")


@task(help={"name": "a module of bench/; all of them without a name"})
def bench(c: Context, name: str = "") -> None:
    """Measure, and print what was measured beside the peers' numbers."""
    modules = sorted(path.stem for path in (HERE / "bench").glob("[!_]*.py"))
    if name and name not in modules:
        raise Exit(f"no bench/{name}.py; there are: {', '.join(modules) or 'none'}", code=2)
    for module in [name] if name else modules:
        say(f"bench: {module}")
        python(c, "-m", f"bench.{module}")


def found_python(version: str) -> str | None:
    """A `version` interpreter that runs, from PATH or pyenv; without one, says why."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [*map(Path, os.get_exec_path()), *sorted(pyenv.glob(f"versions/{version}.*/bin"))]
    names = [place / f"python{version}" for place in places]
    present = [str(name) for name in names if os.access(name, os.X_OK)]
    for name in present:
        # A pyenv shim without a version is there and does not run; a Debian one may lack venv.
        tried = subprocess.run([name, "-c", "import venv"], capture_output=True, check=False)
        if tried.returncode == 0:
            return name
    print(f"left out: Python {version}, {f'{present[0]} does not run' if present else 'not here'}")
    return None


def others(c: Context, wheel: Path) -> None:
    """Run the unit tests on every other Python that is here, against the built wheel."""
    say("others: unit tests of the built wheel on the other Pythons")
    found = {version: found_python(version) for version in PYTHONS if version != THIS}
    for version, interpreter in found.items():
        if interpreter:
            say(f"others: {version}")
            pytest(c, environment(c, interpreter, OTHERS / version, wheel), "tests/unit")


def build_wheel(c: Context) -> Path:
    """The wheel as a user would get it."""
    shutil.rmtree(HERE / "dist", ignore_errors=True)
    python(c, "-m", "build", "--wheel", "--outdir", HERE / "dist", hide=True)
    return next((HERE / "dist").glob("*.whl"))


def environment(c: Context, interpreter: str, place: Path, wheel: Path) -> Path:
    """The Python of an environment at `place` that has the wheel and what the suite imports."""
    inside = place / "bin" / "python"
    pip: list[str | Path] = ["-m", "pip", "--python", inside, "install", "--quiet", "--quiet"]
    state = place / ".ready"
    wanted = hashlib.sha256((HERE / "pyproject.toml").read_bytes()).hexdigest()
    if not state.exists() or state.read_text() != wanted or not inside.exists():
        run(c, interpreter, "-m", "venv", "--clear", "--without-pip", place)
        python(c, *pip, "--group", "test", wheel)
        state.write_text(wanted)
    else:
        python(c, *pip, "--no-deps", "--force-reinstall", wheel)
    return inside


def pytest(c: Context, interpreter: str | Path, *tests: str) -> None:
    # The pytest command and not `-m pytest`, which puts the checkout before the installed wheel.
    run(c, Path(interpreter).with_name("pytest"), "-n", "auto", *tests, env=STRICT)
