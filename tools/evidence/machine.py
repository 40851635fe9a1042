"""Where and when something was measured."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path

import lifeline


def conditions() -> str:
    """Machine, versions, load and day, in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    day = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return ", ".join(
        [
            f"{day}: lifeline {lifeline.__version__}{_commit()}",
            f"{platform.python_implementation()} {platform.python_version()}",
            f"Linux {platform.release()} {platform.machine()}",
            f"{os.cpu_count()} cores ({_processor()})",
            f"{memory:.0f} GiB",
            f"load {os.getloadavg()[0]:.1f} before",
        ]
    )


def _commit() -> str:
    """The commit that was measured; with a star if files have changed since."""
    with suppress(OSError, subprocess.CalledProcessError):
        words = ["git", "describe", "--always", "--dirty=*", "--abbrev=10"]
        done = subprocess.run(
            words, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
        return f" ({done.stdout.strip()})"
    return ""


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "processor unknown"
