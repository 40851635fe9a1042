"""`lifeline config`: what a name stands for, and where each value comes from."""

import json as json_
import os
import sys
from collections.abc import Sized
from typing import Annotated, Any

import typer

from ..clock import show_duration
from ..config import checking, reading, schedule, values
from ..config.merging import DEFAULT, Value, merge
from ..config.reading import Entry
from ..errors import EXIT_USAGE, complain, show_words
from ..options import _CONVERT, _FLAGS, RunOptions
from ..processes.election import SETTLE
from . import common

SHOW_EXAMPLES = """Examples:

lifeline config show mailer

lifeline config show --json mailer"""

CHECK_EXAMPLES = """Examples:

lifeline config check

lifeline config check --config /srv/app/lifeline.toml"""

SCHEMA_EXAMPLES = """Examples:

lifeline config schema

lifeline config schema >lifeline.schema.json"""

app = typer.Typer(
    name="config",
    help="Look at lifeline.toml, pyproject.toml or the Procfile.",
    epilog="Examples:\n\nlifeline config check\n\nlifeline config show mailer",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("show", epilog=SHOW_EXAMPLES)
def show(
    name: Annotated[str, typer.Argument(help="Which one.", autocompletion=common.complete_names)],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what `lifeline run NAME` would do, and where each value comes from.

    Secrets are not shown: of URLs only the host, of variables only the name.
    """
    config = reading.needed()
    entry = config.entry(name)
    _leave_if_wrong(checking.problems_of(config, name))
    rows = _rows(entry, merge(entry, {}, os.environ))
    if json:
        common.print_json(
            [{"key": key, "value": value, "origin": origin} for key, value, origin in rows]
        )
    else:
        common.print_table(("KEY", "VALUE", "FROM"), rows)


def _rows(entry: Entry, merged: dict[str, Value]) -> list[tuple[str, str, str]]:
    words = [os.fsencode(word) for word in values.command(entry)]
    rows = [("command", show_words(words, 1000), entry.where("command"))]
    rows.append(("cwd", values.directory(entry), _from(entry, "cwd")))
    rows += [("env_file", path, entry.where("env_file")) for path in values.env_files(entry)]
    for variable in values.environment(entry):
        own = variable in values.variables(entry)
        rows.append((f"env.{variable}", "(set)", entry.where("env" if own else "env_file")))
    key = "cron" if "cron" in entry.keys else "every"
    rows.append(("cron", schedule.fields(entry) or "false", _from(entry, key)))
    for option in (*_CONVERT, *sorted(_FLAGS)):
        value = merged.get(option)
        if value is not None:
            rows.append((option, checking.shown(option, value.raw), value.origin))
        else:
            rows.append((option, _default(option), DEFAULT))
    return rows


def _from(entry: Entry, key: str) -> str:
    return entry.where(key) if key in entry.keys else DEFAULT


def _default(option: str) -> str:
    """As one would write it."""
    value: Any = SETTLE if option == "settle" else getattr(RunOptions, option)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "..".join(map(show_duration, value))
    if isinstance(value, float):
        return show_duration(value)
    if option == "log_size":
        return f"{value // 10**6}MB"
    return str(value) if value or value == 0 else "-"


@app.command("check", epilog=CHECK_EXAMPLES)
def check() -> None:
    """Look for mistakes: each on a line, with its file and line. Exit code 2 if there is one.

    What may be meant otherwise than it is taken is told as well, and is none.
    """
    config = reading.needed()
    _leave_if_wrong(checking.problems(config) + checking.scaler_problems(config))
    for line in checking.literal(config):
        complain(line)
    counted = [_counted(config.entries, "lifeline")]
    counted += [_counted(config.scalers, "scaler")] if config.scalers else []
    typer.echo(f"{config.path}: {', '.join(counted)}, all sound")


def _leave_if_wrong(wrong: list[str]) -> None:
    for line in wrong:
        complain(line)
    if wrong:
        raise typer.Exit(EXIT_USAGE)


def _counted(things: Sized, word: str) -> str:
    return f"{len(things) or 'no'} {word if len(things) == 1 else word + 's'}"


@app.command("schema", epilog=SCHEMA_EXAMPLES)
def schema() -> None:
    """Print the JSON schema of lifeline.toml, for editors."""
    from ..config.schema import schema as make_schema

    sys.stdout.write(json_.dumps(make_schema(), indent=2) + "\n")
