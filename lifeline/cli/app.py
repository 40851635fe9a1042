"""The verbs, put together. What follows two dashes is a command and never seen by typer.

Only the verb that is asked for is imported: all of them together cost more than typer does.
"""

from __future__ import annotations

import inspect
import io
import os
import signal
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from .. import __version__
from ..config import place
from ..errors import EXIT_USAGE, CannotTell, UsageError

EXAMPLES = """Examples:

* * * * *  lifeline run -- /srv/app/worker.py --queue mail

lifeline status"""

#: Each verb's module, in there the name of its examples, and what the list of verbs says of it; a
#: group of verbs is an `app` there.
_GROUP = ""
_VERBS = {
    "run": ("run", "EXAMPLES", "Run a command, unless it runs already: for cron."),
    "status": ("status", "EXAMPLES", "Show what runs, and what is held."),
    "top": ("top", "EXAMPLES", "Watch what runs, with keys to hold, release and end it."),
    "explain": ("explain", "EXAMPLES", "Show every process that was considered, and why."),
    "terminate": ("terminate", "EXAMPLES", "End a lifeline and everything below it."),
    "history": ("history", "EXAMPLES", "Show starts, ends, restarts and holds."),
    "hold": ("hold", "HOLD_EXAMPLES", "Keep a lifeline from being started for a while."),
    "release": ("hold", "RELEASE_EXAMPLES", "End a hold."),
    "metrics": ("metrics", "EXAMPLES", "Print metrics for Prometheus."),
    "doctor": ("doctor", "EXAMPLES", "Find out what is wrong with cron or this machine."),
    "config": ("config", _GROUP, "Look at the file of named lifelines."),
    "cron": ("cron", _GROUP, "Write the lines of your crontab for named lifelines."),
    "export": ("export", _GROUP, "Write a lifeline for systemd, Kubernetes or supervisord."),
    "scale": ("scale", _GROUP, "Run as many workers as there is work."),
    "lock": ("lock", _GROUP, "See who holds leases over several machines, and where."),
    "signal": ("signal", "EXAMPLES", "Send a message to whoever holds a lease."),
    "watch": ("watch", "EXAMPLES", "Hold a lease, and print the messages to it."),
}


def put_together(verbs: Iterable[str]) -> typer.Typer:
    """The command with these verbs."""
    made = typer.Typer(
        name="lifeline",
        help="Keep a command running, exactly once, from a single cron line.",
        epilog=EXAMPLES,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        callback=_lifeline,
    )
    for verb in verbs:
        name, examples, short = _VERBS[verb]
        module = import_module(f".{name}", __package__)
        if examples == _GROUP:
            made.add_typer(module.app, short_help=short)
        else:
            usage = "[OPTIONS] -- CMD…" if verb == "run" else "[OPTIONS]"
            add = made.command(
                verb,
                cls=getattr(module, "Command", None),
                epilog=getattr(module, examples),
                short_help=short,
                options_metavar=usage,
            )
            add(getattr(module, verb))
    _polish(made)
    return made


def __getattr__(name: str) -> typer.Typer:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    whole = globals()["app"] = put_together(_VERBS)
    return whole


class _Flags:
    """Help that shows no value behind a flag: some versions of typer have `<bool>` there."""

    def get_params(self, context: Any) -> Any:
        """The parameters, as typer asks for them."""
        found = super().get_params(context)  # type: ignore[misc]
        for each in found:
            if getattr(each, "is_flag", False):
                each.metavar = ""
        return found


def _flagless(kind: type[TyperCommand]) -> type[TyperCommand]:
    """That kind of command, with such a help."""
    return type(kind.__name__, (_Flags, kind), {})


class _GroupOfVerbs(_Flags, TyperGroup):
    pass


def _polish(part: typer.Typer) -> None:
    """What is the same for the help of every verb.

    Paragraphs are broken where the terminal ends, not where the source does: typer keeps the line
    ends of a docstring, which come on top of those that a terminal needs.
    """
    part.info.cls = _GroupOfVerbs
    for command in part.registered_commands:
        command.cls = _flagless(command.cls or TyperCommand)
        written = command.help or inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(text.split()) for text in written.split("\n\n"))
    for group in part.registered_groups:
        if group.typer_instance:
            _polish(group.typer_instance)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lifeline {__version__}")
        raise typer.Exit


def _lifeline(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where NAMEs are looked up, if not in the nearest file."),
    ] = None,
) -> None:
    pass  # main() has taken --config out, wherever it stood


def main(arguments: list[str]) -> int:
    """Run one verb; its exit code. Raises LifelineError for what a user can cause."""
    _prepare_streams()
    head, command = _split(arguments)
    if head[:1] != ["scale"]:  # its own CONFIG is an argument
        head = place.take_option(head)
    if head[:1] == ["run"] and not {"-h", "--help", "--help-all"} & set(head):
        from .run import run_anyway

        return run_anyway(head[1:], command)
    if head[:1] == ["terminate"]:
        from .terminate import attach_hold

        head = attach_hold(head)
    # Help, completion, a mistake: about all of them.
    app = put_together(head[:1] if head and head[0] in _VERBS else _VERBS)
    try:
        code = app(head, prog_name="lifeline", standalone_mode=False, obj=command)
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        raise CannotTell(f"standard output cannot be written ({error.strerror})") from None
    except typer.Abort:
        return 130
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            if str(error):  # newer ones have printed the help themselves
                sys.stderr.write(f"{error}\n")
            return EXIT_USAGE
        if hasattr(error, "format_message"):  # typer's own usage errors
            raise UsageError(_told(error)) from None
        raise
    return int(code or 0)


def _told(error: Any) -> str:
    """What typer says of a mistake, on one line; older ones do not say which verb comes nearest."""
    import difflib
    import re

    said = " ".join(error.format_message().split())
    verbs = getattr(getattr(error.ctx, "command", None), "commands", {})
    word = re.fullmatch(r"No such command '(.*)'\.", said)
    near = difflib.get_close_matches(word[1], verbs, 1) if word else []
    return f"{said} Did you mean '{near[0]}'?" if near else said


def _prepare_streams() -> None:
    """Output like that of any other tool, whatever the caller did to it."""
    if sys.stdout is None:  # closed
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for the rest of the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough ends us


def _split(arguments: list[str]) -> tuple[list[str], tuple[bytes, ...] | None]:
    """What is before the first `--`, and the command after it; None without `--`."""
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    return arguments[:at], tuple(os.fsencode(word) for word in arguments[at + 1 :])
