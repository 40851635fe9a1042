"""`lifeline run`: the help. Real runs are read by `options.parse_run`, without typer."""

import copy
import inspect
import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..config import texts
from ..config.running import named_run, start_anew
from ..options import RunOptions, parse_run, with_lock
from ..tick import tick
from . import common

EXAMPLES = """Examples:

* * * * *  lifeline run -- /srv/app/worker.py --queue mail

lifeline run --name mailer --timeout 1h --log mail.log -- python -m app.mailer"""

# (name, value) of each option, by the part of the whole help that has it; a flag has no value.
_OPTIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "Starting": (
        ("name", "TEXT"),
        ("exec", ""),
        ("on_running", "HOW"),
        ("exit_code_if_running", "N"),
        ("settle", "TIME"),
        ("leftovers", "HOW"),
        ("jitter", "TIME"),
        ("restart", "WHEN"),
        ("backoff", "A..B"),
    ),
    "Over several machines": (
        ("lock", "URL"),
        ("slots", "N"),
        ("wait", "[TIME]"),
        ("ttl", "TIME"),
        ("per_host", "N"),
        ("on_signal", "TEXT"),
        ("forward_signals", "USR1,HUP"),
    ),
    "Ending": (
        ("grace", "TIME"),
        ("signal_to", "WHOM"),
        ("timeout", "TIME"),
        ("max_memory", "SIZE"),
        ("heartbeat", "PATH"),
        ("heartbeat_timeout", "TIME"),
    ),
    "Output, and telling others": (
        ("log", "PATH"),
        ("log_size", "SIZE"),
        ("log_keep", "N"),
        ("timestamps", ""),
        ("quiet", ""),
        ("ping", "URL"),
        ("ping_every", "TIME"),
        ("on_start", "TEXT"),
        ("on_exit", "TEXT"),
        ("syslog", ""),
    ),
}
# What `--help` shows: the options that most people need, each on one line of 80 columns.
_MOST = {
    "name": "Recognise it by this, not by its command.",
    "on_running": "A twin: skip, wait or replace (skip).",
    "restart": "never, on-failure or always (never).",
    "timeout": "End it after so long: 90s, 1h30m.",
    "grace": "Time to end, from TERM to KILL (10s).",
    "log": "Append output to it, rotated by size.",
    "quiet": "Show output only if the run failed.",
    "ping": "Tell a monitor (healthchecks.io).",
    "lock": "One of a fleet: with a lease there.",
    "slots": "So many of the fleet (1).",
    "wait": "Stand by for a slot; without: leave.",
    "help_all": "Show all options, in whole sentences.",
}


class Command(TyperCommand):
    """`run`, with a help that fits a screen, and a whole one."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        """The options of `_MOST`; all of them after `--help-all`."""
        if _ALL in ctx.meta:
            return super().format_help(ctx, formatter)
        short = copy.copy(self)
        found = {str(each.name): copy.copy(each) for each in self.params}
        for name, text in _MOST.items():
            found[name].help, found[name].rich_help_panel = text, None  # type: ignore[attr-defined]
        short.params = [found["lifeline"], *(found[name] for name in _MOST)]
        return super(Command, short).format_help(ctx, formatter)


_ALL = f"{__name__}.all"


def _show_all(context: typer.Context, wanted: bool) -> None:
    if wanted:
        context.meta[_ALL] = True
        typer.echo(context.get_help())
        raise typer.Exit


def _parameters() -> "Iterator[inspect.Parameter]":
    """What typer is to take for the parameters of `run`."""
    kind = inspect.Parameter.KEYWORD_ONLY
    yield inspect.Parameter("context", kind, annotation=typer.Context)
    lifeline = typer.Argument(
        metavar="| NAME [OPTIONS]", hidden=True, autocompletion=common.complete_names
    )
    yield inspect.Parameter(
        "lifeline", kind, default=None, annotation=Annotated[str | None, lifeline]
    )
    for panel, options in _OPTIONS.items():
        for name, value in options:
            # Defaults stand in the text: typer would give each a line of its own.
            option = typer.Option(
                "--" + name.replace("_", "-"),
                help=texts.OPTIONS[name],
                rich_help_panel=panel,
                metavar=value or None,
                show_default=False,
            )
            annotation = Annotated[str | None, option] if value else Annotated[bool, option]
            default = None if value else False
            yield inspect.Parameter(name, kind, default=default, annotation=annotation)
    whole = typer.Option(
        "--help-all", help="Show every option and exit.", callback=_show_all, is_eager=True
    )
    yield inspect.Parameter("help_all", kind, default=False, annotation=Annotated[bool, whole])


def run(context: typer.Context, **_given: object) -> None:
    """For cron: run the command after --, or a NAME, unless a twin of it runs. A twin:
    the same program or script, the same arguments, the same user.

    Exit codes: the job's own (128+n if signal n ended it), 0 if a twin runs or it is held, 2 wrong
    use, 75 cannot tell, 76 lease lost, 124 timeout, 126 cannot be executed, 127 not found.
    """
    given = {
        name: value
        for name, value in context.params.items()
        # A default is nobody's wish: it contradicts nothing.
        if name not in ("lifeline", "help_all") and _is_given(context, name)
    }
    raise typer.Exit(tick(RunOptions(context.obj or (), **with_lock(given))))


run.__signature__ = inspect.Signature(list(_parameters()))  # type: ignore[attr-defined]


def run_anyway(words: list[str], command: "tuple[bytes, ...] | None") -> int:
    """`lifeline --config FILE run …`: what does not begin with `run` comes this way.

    Others recognise a runner only by a call that does, so it is started anew as one.
    """
    if command is None:
        return tick(named_run(words, first=False))
    dashed = ["--", *map(os.fsdecode, command)]
    options = parse_run([*words, *dashed])  # a mistake is told by the call that made it
    start_anew(dashed, [*words, *dashed])
    return tick(options)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
