"""`lifeline cron`: the lines that tick the lifelines of a configuration."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from .. import cron, crontab
from ..config import checking, place, reading
from ..errors import EXIT_NOT_RUNNING, UsageError, complain
from . import common

SHOW_EXAMPLES = """Examples:

lifeline cron show

lifeline cron show | grep mailer"""

INSTALL_EXAMPLES = """Examples:

lifeline cron install --dry-run

lifeline cron install --config /srv/app/lifeline.toml"""

REMOVE_EXAMPLES = """Examples:

lifeline cron remove --dry-run

lifeline cron remove --all"""

app = typer.Typer(
    name="cron",
    help="The lines in your crontab that keep named lifelines running.",
    epilog="Examples:\n\nlifeline cron install --dry-run\n\nlifeline cron remove",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print what would change, as a diff.")
]


@app.command("show", epilog=SHOW_EXAMPLES)
def show() -> None:
    """Show the lines that are installed. Exit code 3 if none are."""
    now = crontab.read()
    block = cron.installed(now)
    if not block:
        complain("nothing is installed; what would be: lifeline cron install --dry-run")
        raise typer.Exit(EXIT_NOT_RUNNING)
    _print(block)
    path = place.find()
    if path is not None and cron.changed(now, path, cron.lines(reading.read(path))) != now:
        complain(f"{path} says otherwise by now: lifeline cron install")


@app.command("install", epilog=INSTALL_EXAMPLES)
def install(dry_run: _DryRun = False) -> None:
    """Put a line for each lifeline of the configuration into your crontab, or bring it up to date.

    The lines stand between two markers; the rest of the crontab stays as it is, to the byte.
    """
    config = reading.needed()
    wrong = checking.problems(config)
    if wrong:
        raise UsageError(f"{wrong[0]}; nothing was installed")
    for name in config.entries:
        cron.check_found(config.entry(name))
    part = cron.lines(config)
    if not part:
        raise UsageError(f"{config.path} has no lifeline for cron")
    common.tell_left_behind("cron")
    _change(lambda now: cron.changed(now, config.path, part), dry_run)


@app.command("remove", epilog=REMOVE_EXAMPLES)
def remove(
    dry_run: _DryRun = False,
    all_: Annotated[bool, typer.Option("--all", help="What was installed from any file.")] = False,
) -> None:
    """Take the lines of the configuration out of your crontab. What runs goes on running."""
    if all_:
        _change(cron.without, dry_run)
        return
    path = place.find(may_be_gone=True)  # whoever deletes the project first has its lines still
    if path is None:
        raise UsageError("there is no configuration here; of any file: lifeline cron remove --all")
    _change(lambda now: cron.changed(now, path, []), dry_run)


def _change(change: Callable[[bytes], bytes], dry_run: bool) -> None:
    if dry_run:
        now = crontab.read()
        _print_diff(now, change(now))
        return
    with crontab.turn():
        now = crontab.read()
        wanted = change(now)
        if wanted == now:
            typer.echo("the crontab is as it should be")
            return
        crontab.write(wanted)
    block = cron.installed(wanted)
    count = sum(not line.startswith(b"#") for line in block.splitlines())
    typer.echo(f"the crontab has {count} {'line' if count == 1 else 'lines'} of lifeline now")


def _print_diff(now: bytes, wanted: bytes) -> None:
    """The change as a unified diff; nothing if there is none."""
    import difflib

    found = difflib.diff_bytes(
        difflib.unified_diff,
        now.splitlines(keepends=True),
        wanted.splitlines(keepends=True),
        b"crontab",
        b"crontab (new)",
    )
    _print(b"".join(line if line.endswith(b"\n") else line + b"\n" for line in found))


def _print(content: bytes) -> None:
    sys.stdout.write(content.decode("utf-8", "backslashreplace"))
