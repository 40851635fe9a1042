"""Environments with queue libraries, made when a test first asks for one and kept for the next run.

They stand beside the suite's own environment because the libraries' pins disagree with it and with
each other (arq wants redis below 6, kombu above).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

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
_LONGEST = 170  # seconds that an installation may take


def python(name: str, cache: Path) -> Path:
    """The interpreter of an environment below `cache`. Without a package index the test skips."""
    wanted = [sys.version, *ENVIRONMENTS[name]]
    place = cache / f"{name}-{hashlib.sha256(repr(wanted).encode()).hexdigest()[:12]}"
    inside, ready = place / "bin" / "python", place / "ready"
    with FileLock(f"{place}.lock"):
        if not ready.exists():
            _make(place, inside, ENVIRONMENTS[name])
            ready.touch()
    return inside


def _make(place: Path, inside: Path, packages: tuple[str, ...]) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(inside), "--disable-pip-version-check"]
    for words in (
        [sys.executable, "-m", "venv", "--clear", "--without-pip", str(place)],
        [*pip, "install", "--quiet", *packages],
    ):
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_LONGEST)
        if done.returncode != 0:
            lack(f"cannot install {packages[0]}…: {done.stderr.strip()[-300:]}")
