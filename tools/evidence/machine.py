"""Where and when something was measured."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import lifeline

ROOT = Path(__file__).parents[2]
_MEASURED = ("lifeline", "bench", "model", "tests/support")


def conditions(packages: tuple[str, ...] = ()) -> str:
    """Machine, versions, load and day, in one line; `packages` are those of the part."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return ", ".join(
        [
            f"{day}: lifeline {lifeline.__version__}{_commit()}",
            f"{platform.python_implementation()} {platform.python_version()}",
            *(f"{package} {_version(package)}" for package in packages),
            f"Linux {platform.release()} {platform.machine()}",
            f"{os.cpu_count()} cores ({_processor()})",
            f"{memory:.0f} GiB",
            f"load {os.getloadavg()[0]:.1f} before",
        ]
    )


def _commit() -> str:
    """The commit that was measured; with a star if what is measured has changed since."""
    with suppress(OSError, subprocess.CalledProcessError):
        changed = _told("git", "status", "--porcelain", "--", *_MEASURED)
        return f" ({_told('git', 'rev-parse', '--short=10', 'HEAD')}{'*' if changed else ''})"
    return ""


def _version(package: str) -> str:
    """The version of a package, or of a program that tells its own."""
    with suppress(PackageNotFoundError):
        return version(package)
    with suppress(OSError, subprocess.CalledProcessError):
        return _told(package, "-V").split()[2]
    return "missing"


def _told(*words: str) -> str:
    return subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "processor unknown"
