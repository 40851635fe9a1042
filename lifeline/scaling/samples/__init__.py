"""Two traces that come with lifeline, to try policies on: `sample:bursts`, `sample:workday`.

Made by bench/_sample_traces.py, with a fleet of fixed size. They are synthetic.
"""

from __future__ import annotations

from importlib.resources import files

from ...errors import UsageError
from ..checking import nearest

NAMES = ("bursts", "workday")


def lines(name: str) -> list[str]:
    """The lines of a trace. Raises UsageError if there is none of that name."""
    if name not in NAMES:
        raise UsageError(f"there is no sample {name!r:.60}{nearest(name, NAMES)}")
    return files(__package__).joinpath(f"{name}.jsonl").read_text("utf-8").splitlines()
