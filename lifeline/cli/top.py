"""`lifeline top`: a live view, with keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import complain
from . import common

if TYPE_CHECKING:
    from ..top.rows import View

EXAMPLES = """Examples:

lifeline top

lifeline top --lock env:DATABASE_URL"""


def top(
    lock: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Also what has leases in this store; LIFELINE_LOCK if not given."
        ),
    ] = None,
) -> None:
    """Watch lifelines, once a second: j and k choose, h holds, r releases, t terminates, q leaves.

    Shown are those that run here, are held, or are in the configuration; with a store, also those
    of other hosts. Where the output is no terminal, they are printed once.
    """
    from ..leases.stores import open_store, shown
    from ..top import screen
    from ..top.watch import Watch

    url = common.optional_store_url(lock)
    watch = Watch(open_store(url), shown(url)) if url else Watch()
    if not screen.can_be_drawn_on():
        watch.ask_fleet()
        _print(watch.view())
        return
    from ..top.live import live

    code, going = live(watch)
    for title in going:
        complain(f"{title} is being ended, KILL comes after its grace; waiting for that")
    raise typer.Exit(code)


def _print(view: View) -> None:
    from ..top.draw import columns

    shown = columns(view)
    rows = [(row.title, *(cell(row) for _, cell in shown)) for row in view.rows]
    if rows:
        common.print_table(("LIFELINE", *(name for name, _ in shown)), rows)
    else:
        typer.echo("no lifeline runs, is held or is configured here")
    for note in view.notes:
        complain(note)
