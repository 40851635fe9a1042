"""What several verbs share: which command is meant, and how data is shown."""

import datetime
import json
import os
import sys
from collections.abc import Sequence

import typer

from .. import clock
from ..config import names, place, values
from ..errors import (
    LifelineError,
    UsageError,
    complain,
    printable,
    show,
    show_words,
    warn_of_password,
)
from ..options import check_name
from ..processes import holds, places, records
from ..processes.identity import Identity
from ..processes.state import State
from ..terminals import has_cursor

#: How the help spells the lifeline that a verb is about; app.main takes the command out.
NAME_OR_COMMAND = "NAME | -- CMD…"


def meant(context: typer.Context, name: str | None) -> Identity | None:
    """The command after `--` or the NAME that a verb was given; None if it was given neither."""
    command: tuple[bytes, ...] | None = context.obj
    if name is not None and command is not None:
        raise UsageError("give a NAME or a command after two dashes, not both")
    if name is not None:
        return places.meant(os.fsencode(check_name(names.called(check_name(name)))), ())
    if command is None:
        return None
    if not command or not command[0]:
        raise UsageError("there is no command after the two dashes")
    return places.meant(None, command)


def needed(context: typer.Context, name: str | None) -> Identity:
    """Like `meant`, but one of the two has to be given."""
    identity = meant(context, name)
    if identity is None:
        raise UsageError("say what is meant: a NAME, or a command after two dashes, -- CMD…")
    return identity


def doubt(name: str | None) -> None:
    """Say so if nobody has ever heard of a NAME: nothing would tell of a slip otherwise."""
    if name is not None and (told := names.unheard_of(name)):
        complain(told)


def store_url(given: str | None) -> str:
    """The store that a verb was given, or LIFELINE_LOCK. Raises UsageError without either."""
    url = given or os.environ.get("LIFELINE_LOCK")
    if not url:
        raise UsageError("which store? give its URL in --lock, or set LIFELINE_LOCK")
    warn_of_password(url)
    return url


def optional_store_url(given: str | None) -> str | None:
    """The store that a verb was given, else LIFELINE_LOCK, else None. Raises UsageError."""
    if given == "":
        raise UsageError("--lock cannot be empty")
    url = given or os.environ.get("LIFELINE_LOCK") or None
    if url:
        warn_of_password(url)
    return url


def tell_left_behind(whom: str) -> None:
    """Say which options of this environment others, that start a lifeline, will not have."""
    if found := values.option_variables(os.environ):
        complain(
            f"{' and '.join(found)} is set here and will not be for {whom}: "
            "write it into the lifeline's table"
        )


def title(identity: Identity, argv: Sequence[bytes] = ()) -> str:
    """A name, or the command as a person would type it."""
    if identity.name is not None:
        return show(identity.name, 1000)
    return show_words(tuple(argv) or identity.words[1:], 100)


def complete_names(context: typer.Context, incomplete: str) -> list[str]:
    """The names that begin so, for the shell's completion: configured, running or held here."""
    path = context.find_root().params.get("config")
    if path:
        place.choose(path)
    found = dict.fromkeys(names.complete(incomplete))
    found.update(dict.fromkeys(name for name in _kept() if name.startswith(incomplete)))
    return list(found)


def _kept() -> list[str]:
    """Names in records and holds; whatever is wrong with those, a shell is not to hear of it."""
    try:
        state = State()
        if not state.check():
            return []
        kept = [record.identity for record in records.all_records(state)]
        kept += [hold.identity for hold in holds.all_holds(state, clock.wall())]
    except (LifelineError, OSError):
        return []
    found = (records.unseated(identity).name for identity in kept)
    return sorted({show(name) for name in found if name})


def timestamp(seconds: float) -> str:
    """Local time with its offset, to the second."""
    local = datetime.datetime.fromtimestamp(seconds).astimezone()
    return local.isoformat(" ", "seconds")


def say(line: str) -> None:
    """One line on stdout, whatever others have written into it."""
    typer.echo(printable(line))


def print_json(data: object) -> None:
    """`data` as one JSON document on stdout."""
    lines = json.dumps(data, indent=2, ensure_ascii=False).split("\n")
    sys.stdout.write("\n".join(map(_escaped, lines)) + "\n")


def print_json_line(data: object) -> None:
    """`data` as one line of JSON on stdout."""
    sys.stdout.write(_escaped(json.dumps(data, ensure_ascii=False)) + "\n")


def _escaped(line: str) -> str:
    """JSON that says the same, without what a terminal would obey: JSON itself lets most of it be.

    Such characters can only be in a string.
    """
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns for people; piped, the same columns without colour or lines, one row a line.

    A terminal that is too narrow for columns gets one field a line. What others have written into
    a cell does not get out of it.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and has_cursor():
        _draw_table([header, *rows])
        return
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _draw_table(rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from . import tables

    console = Console()
    widths = tables.widths(rows, console.width)
    if widths is None:
        sys.stdout.writelines(f"{line}\n" for line in tables.fields(rows))
        return
    columns = (
        Column(title, width=width, overflow="fold")
        for title, width in zip(rows[0], widths, strict=True)
    )
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    console.print(table)
