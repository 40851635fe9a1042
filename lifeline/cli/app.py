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
from typing import Annotated

import typer

from .. import __version__
from ..config import place
from ..errors import EXIT_USAGE, CannotTell, UsageError

EXAMPLES = """Examples:

* * * * *  lifeline run -- /srv/app/worker.py --queue mail

lifeline status"""

#: Each verb's module, and in there the name of its examples; a group of verbs is an `app` there.
_GROUP = ""
_VERBS = {
    "run": ("run", "EXAMPLES"),
    "status": ("status", "EXAMPLES"),
    "top": ("top", "EXAMPLES"),
    "explain": ("explain", "EXAMPLES"),
    "terminate": ("terminate", "EXAMPLES"),
    "history": ("history", "EXAMPLES"),
    "hold": ("hold", "HOLD_EXAMPLES"),
    "release": ("hold", "RELEASE_EXAMPLES"),
    "metrics": ("metrics", "EXAMPLES"),
    "doctor": ("doctor", "EXAMPLES"),
    "config": ("config", _GROUP),
    "cron": ("cron", _GROUP),
    "export": ("export", _GROUP),
    "scale": ("scale", _GROUP),
    "lock": ("lock", _GROUP),
    "signal": ("signal", "EXAMPLES"),
    "watch": ("watch", "EXAMPLES"),
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
        name, examples = _VERBS[verb]
        module = import_module(f".{name}", __package__)
        if examples == _GROUP:
            made.add_typer(module.app)
        else:
            usage = "[OPTIONS] -- CMD…" if verb == "run" else "[OPTIONS]"
            add = made.command(verb, epilog=getattr(module, examples), options_metavar=usage)
            add(getattr(module, verb))
    _let_flow(made)
    return made


def __getattr__(name: str) -> typer.Typer:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    whole = globals()["app"] = put_together(_VERBS)
    return whole


def _let_flow(part: typer.Typer) -> None:
    """Let the paragraphs of each help be broken where the terminal ends, not where the source does.

    typer keeps the line ends of a docstring, which come on top of those that a terminal needs.
    """
    for command in part.registered_commands:
        written = command.help or inspect.getdoc(command.callback) or ""
        command.help = "\n\n".join(" ".join(text.split()) for text in written.split("\n\n"))
    for group in part.registered_groups:
        if group.typer_instance:
            _let_flow(group.typer_instance)


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
        typer.Option(
            help="What NAMEs are: lifeline.toml, pyproject.toml or a Procfile; else the nearest."
        ),
    ] = None,
) -> None:
    pass  # main() has taken --config out, wherever it stood


def main(arguments: list[str]) -> int:
    """Run one verb; its exit code. Raises LifelineError for what a user can cause."""
    _prepare_streams()
    head, command = _split(arguments)
    if head[:1] != ["scale"]:  # its own CONFIG is an argument
        head = place.take_option(head)
    if head[:1] == ["run"] and not {"-h", "--help"} & set(head):
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
            raise UsageError(" ".join(error.format_message().split())) from None
        raise
    return int(code or 0)


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
