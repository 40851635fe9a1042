"""Write docs/lifeline.1 from the same tables as `--help`; `--check` tells whether it is that.

groff's man macros: man(7), groff_man(7).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from lifeline import __version__
from lifeline.cli.app import app

PAGE = Path(__file__).parents[1] / "docs" / "lifeline.1"
EXIT_CODES = (
    ("0", "done; a twin is running, or it is held: cron stays quiet"),
    ("the job's own", "it ran and ended; 128+n if signal n ended it"),
    ("1", "a lookup or an end found something wrong"),
    ("2", "wrong use of the command line or of a file"),
    ("3", "status: nothing runs"),
    ("75", "cannot tell, or a store cannot be reached; nothing was started"),
    ("76", "the lease was lost and the job was ended"),
    ("124", "--timeout or --heartbeat-timeout ended the job"),
    ("126, 127", "the command cannot be executed, was not found"),
)
VARIABLES = (
    ("LIFELINE_STATE_DIR", "where records, holds and the history are"),
    ("LIFELINE_CONFIG", "the file that NAMEs come from"),
    ("LIFELINE_LOCK", "the store of leases"),
    ("NO_COLOR", "no colours on a terminal"),
)


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    lines = [
        '.\\" Written by `invoke man`: change the help of the verbs, not this file.',
        f'.TH LIFELINE 1 "" "lifeline {__version__}" "User Commands"',
        *section("NAME", f"lifeline \\- {escaped(sentence(root.help))}"),
        *section("SYNOPSIS", "\\fBlifeline\\fR \\fIVERB\\fR [\\fIOPTIONS\\fR]"),
        ".PP",
        "\\fBlifeline run\\fR [\\fIOPTIONS\\fR] \\fB\\-\\-\\fR \\fICOMMAND\\fR…",
        *section("OPTIONS"),
        *options(root),
        ".SH VERBS",
    ]
    for words, command in verbs(root):
        lines += verb(words, command)
    lines += [*section("EXIT STATUS"), *items(EXIT_CODES)]
    lines += [*section("ENVIRONMENT"), *items(VARIABLES)]
    lines += section("SEE ALSO", "\\fBcrontab\\fR(1), \\fBcrontab\\fR(5), \\fBflock\\fR(1)")
    return "\n".join(lines) + "\n"


def verbs(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb that does something, with the words that lead to it."""
    for name, below in getattr(command, "commands", {}).items():
        if getattr(below, "commands", None):
            yield from verbs(below, (*words, name))
        else:
            yield (*words, name), below


def verb(words: tuple[str, ...], command: Any) -> list[str]:
    """One verb: what it does, its arguments and options, its examples."""
    given = [each for each in command.params if not dashed(each) and not each.hidden]
    names = [f"[\\fI{escaped(placeholder(each))}\\fR]" for each in given]
    if words == ("run",):
        names = ["\\fB\\-\\-\\fR \\fICOMMAND\\fR… | \\fINAME\\fR [\\fIOPTIONS\\fR]"]
    head = " ".join([f"\\fBlifeline {escaped(' '.join(words))}\\fR", "[\\fIOPTIONS\\fR]", *names])
    lines = [f'.SS "{head}"']
    for paragraph in (command.help or "").split("\n\n"):
        lines += [".PP", text(paragraph)]
    lines += options(command)
    examples = [line for line in (command.epilog or "").split("\n\n")[1:] if line.strip()]
    if examples:
        lines += [".PP", "Examples:", ".PP", ".RS 4", ".nf", *map(text, examples), ".fi", ".RE"]
    return lines


def options(command: Any) -> list[str]:
    """Arguments first, then options, each with what it means."""
    found = [each for each in command.params if not each.hidden]
    found.sort(key=dashed)
    return items((spelled(each), (each.help or "").replace("\\[", "[")) for each in found)


def spelled(each: Any) -> str:
    """`--name TEXT` or `NAME`."""
    if not dashed(each):
        return placeholder(each)
    names = ", ".join(each.opts)
    return names if getattr(each, "is_flag", False) else f"{names} {placeholder(each)}"


def placeholder(each: Any) -> str:
    return str(each.metavar or ("VALUE" if dashed(each) else str(each.name).upper()))


def dashed(each: Any) -> bool:
    return str(each.opts[0]).startswith("-")


def items(found: Any) -> list[str]:
    """A list of terms, each with its text below."""
    lines = []
    for term, meaning in found:
        lines += [".TP", f"\\fB{escaped(term)}\\fR", text(meaning)]
    return lines


def section(title: str, *body: str) -> list[str]:
    return [f".SH {title}", *body]


def sentence(paragraphs: str | None) -> str:
    return (paragraphs or "").split("\n")[0].rstrip(".").lower()


def escaped(words: str) -> str:
    """Nothing in it means anything to troff; a dash is the one that can be copied."""
    return words.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")


def text(words: str) -> str:
    """A line of text: one that begins like a request does not become one."""
    line = escaped(" ".join(words.split("\n")))
    return f"\\&{line}" if line.startswith((".", "'")) else line


def main(arguments: list[str]) -> int:
    made = page()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == made:
            return 0
        print(f"docs/{PAGE.name} is not what the help says: invoke man", file=sys.stderr)
        return 1
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
