"""Environments with queue libraries, made when a test first asks for one and kept for the next run.

They stand beside the suite's own environment because the libraries' pins disagree with it and with
each other (arq wants redis below 6, kombu above).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from filelock import FileLock

from support.needs import lack

ENVIRONMENTS = {
    "most": (
        "celery[redis]>=5.6,<6",
        "rq>=3,<4",
        "dramatiq[redis]>=2,<3",
        "huey>=3,<4",
        "saq[redis]>=0.26,<0.27",
        "procrastinate>=3,<4",
        "pgqueuer>=1,<2",
        "psycopg[binary]>=3.2,<4",
        "django>=5.2,<5.3",
        "django-tasks>=0.12,<0.13",
        "django-tasks-db>=0.13,<0.14",
        "django-q2>=1.8,<2",
    ),
    "arq": ("arq>=0.26,<0.29",),
    "web": (
        "gunicorn[gevent]>=23",
        "pyuwsgi>=2.0.28",
        "flask>=3,<4",
        "django>=5.2,<5.3",
        "redis>=5",
    ),
}
LONGEST = 900  # seconds that an installation may take, on a machine that has much else to do
_FIXTURES = frozenset(("app", "environment", "office", "programs", "python"))  # which ask for one
# This run of the suite, whichever of its processes it is.
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))


def give_time(items: Iterable[pytest.Item]) -> None:
    """Let each test that may be the first to ask for an environment last as long as that takes."""
    for item in items:
        if _FIXTURES.isdisjoint(getattr(item, "fixturenames", ())):
            continue
        marker = item.get_closest_marker("timeout")
        own = marker.args[0] if marker else float(item.config.getini("timeout") or 0)
        item.add_marker(pytest.mark.timeout(own + LONGEST), append=False)


def python(name: str, cache: Path) -> Path:
    """The interpreter of an environment below `cache`.

    Without a package index the test skips, and so do all that ask later in this run.
    """
    wanted = [sys.version, *ENVIRONMENTS[name]]
    place = cache / f"{name}-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]}"
    inside, ready, failed = place / "bin" / "python", place / "ready", Path(f"{place}.failed")
    with FileLock(f"{place}.lock"):
        if not ready.exists():
            run, _, reason = failed.read_text().partition("\n") if failed.exists() else ("", "", "")
            if run != _RUN:
                reason = _make(place, inside, ENVIRONMENTS[name])
                failed.write_text(f"{_RUN}\n{reason}")
            if reason:
                lack(reason)
            ready.touch()
    return inside


def _make(place: Path, inside: Path, packages: tuple[str, ...]) -> str:
    """Why it cannot be made; empty if it has been.

    Nothing is compiled ahead, which is half of the work: most modules are never imported.
    """
    pip = [sys.executable, "-m", "pip", "--python", str(inside), "--disable-pip-version-check"]
    for words in (
        [sys.executable, "-m", "venv", "--clear", "--without-pip", str(place)],
        [*pip, "install", "--quiet", "--no-compile", *packages],
    ):
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, timeout=LONGEST
            )
        except subprocess.TimeoutExpired:
            return f"cannot install {packages[0]}… within {LONGEST} s"
        if done.returncode != 0:
            return f"cannot install {packages[0]}…: {done.stderr.strip()[-300:]}"
    return ""
