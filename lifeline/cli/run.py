"""`lifeline run`: the help. Real runs are read by `options.parse_run`, without typer."""

import inspect
import os
from collections.abc import Iterator
from typing import Annotated

import typer

from ..config.running import named_run
from ..options import RunOptions, parse_run
from ..tick import tick
from . import common

EXAMPLES = """Examples:

* * * * *  lifeline run -- /srv/app/worker.py --queue mail

lifeline run --name mailer --timeout 1h --log mail.log -- python -m app.mailer"""

# (name, value, text) of each option, by the part of the help that has it; a flag has no value.
_OPTIONS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Starting": (
        ("name", "TEXT", "Its identity instead of the command."),
        ("exec", "", "Become the command; only these apply."),
        ("on_running", "HOW", "A twin: skip, wait or replace (skip)."),
        ("exit_code_if_running", "N", "The exit code if a twin runs (0)."),
        ("settle", "TIME", "Wait for younger starters to go (10s)."),
        ("leftovers", "HOW", "Of a dead run: end or count (end)."),
        ("jitter", "TIME", "Start late by up to so much (0s)."),
        ("restart", "WHEN", "never, on-failure or always (never)."),
        ("backoff", "A..B", "Delays before that (1s..60s)."),
    ),
    "Over several machines": (
        ("lock", "URL|env:NAME|file:", "Run under a lease there."),
        ("slots", "N", "So many may run at once (1)."),
        ("wait", "[TIME]", "Stand by for a slot, or exit 0."),
        ("ttl", "TIME", "A dead host's lease ends (30s)."),
        ("per_host", "N", "Slots for one host, 0: any (1)."),
        ("on_signal", "TEXT", "For the shell, at each signal."),
        ("forward_signals", "USR1,HUP", "Payload SIGUSR1 signals the job."),
    ),
    "Ending": (
        ("grace", "TIME", "From TERM to KILL (10s)."),
        ("signal_to", "WHOM", "Signals go to its group or main (group)."),
        ("timeout", "TIME", "End the run after so long; exit 124."),
        ("max_memory", "SIZE", "End it if its tree holds more; exit 137."),
        ("heartbeat", "PATH", "A file that the job touches …"),
        ("heartbeat_timeout", "TIME", "… or is ended as hung; exit 124."),
    ),
    "Output, and telling others": (
        ("log", "PATH", "Append output to it; HUP opens it anew."),
        ("log_size", "SIZE", "Rotate it at (10MB)."),
        ("log_keep", "N", "Keep so many old ones (5)."),
        ("timestamps", "", "Put the time before each line."),
        ("quiet", "", "Show output only if the run failed."),
        ("ping", "URL|env:NAME", "Tell a monitor (healthchecks.io)."),
        ("ping_every", "TIME", "… also while it runs."),
        ("on_start", "TEXT", "For the shell, at each start."),
        ("on_exit", "TEXT", "For the shell, at each end."),
        ("syslog", "", "Events go to syslog, too."),
    ),
}


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
        for name, value, text in options:
            # Defaults stand in the text: typer would give each a line of its own.
            option = typer.Option(
                "--" + name.replace("_", "-"),
                help=text,
                rich_help_panel=panel,
                metavar=value or None,
                show_default=False,
            )
            annotation = Annotated[str | None, option] if value else Annotated[bool, option]
            default = None if value else False
            yield inspect.Parameter(name, kind, default=default, annotation=annotation)


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
        if name != "lifeline" and _is_given(context, name)
    }
    raise typer.Exit(tick(RunOptions(context.obj or (), **given)))


run.__signature__ = inspect.Signature(list(_parameters()))  # type: ignore[attr-defined]


def run_anyway(words: list[str], command: "tuple[bytes, ...] | None") -> int:
    """`lifeline --config FILE run …`: what does not begin with `run` comes this way."""
    if command is None:
        return tick(named_run(words, first=False))
    return tick(parse_run([*words, "--", *map(os.fsdecode, command)]))


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
