"""Waits show on a terminal that they are waits; anywhere else nothing is printed.

On stderr, and gone once the wait is over: what a verb has to say is on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from ..terminals import has_cursor


def waiting(what: str, limit: float | None = None) -> AbstractContextManager[None]:
    """Inside, a line says `what` is being waited for and for how long, at most `limit` seconds."""
    if sys.stderr.isatty() and has_cursor():
        return _shown(what, limit)
    return nullcontext()


@contextmanager
def _shown(what: str, limit: float | None) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn
    from rich.text import Text

    class Seconds(ProgressColumn):
        """How long it takes so far, and how long at most."""

        def render(self, task: object) -> Text:
            elapsed = getattr(task, "elapsed", None) or 0.0
            bound = "" if limit is None else f" of {limit:g}"
            return Text(f"{elapsed:.0f}{bound} s", style="dim")

    text = TextColumn("{task.description}", markup=False)
    console = Console(stderr=True)
    with Progress(SpinnerColumn(), text, Seconds(), console=console, transient=True) as progress:
        progress.add_task(what, total=limit)
        yield
