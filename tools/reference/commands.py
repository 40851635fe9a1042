"""The command line, from the tree of its verbs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main
from table import code, table

from lifeline.cli.app import app

HEAD = """\
# Command line

What follows two dashes is a command, and never read by lifeline itself. A NAME is that of a
[lifeline in a file](../config.md), or one that was given with `--name`. `lifeline VERB --help` says
the same in the terminal, `man lifeline` once it is installed; `lifeline --install-completion`
teaches the shell verbs, options and names. [Exit codes](../exit-codes.md).
"""


def page() -> str:
    """Every verb, with its arguments, options and examples."""
    root = typer.main.get_command(app)
    parts = [HEAD, _options([each for each in root.params if "completion" not in each.name])]
    for words, command in _verbs(root):
        parts += [_verb(words, command)]
    return "\n".join(parts)


def _verbs(command: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb, those that only have others below them too, in the order of the help."""
    for name, below in getattr(command, "commands", {}).items():
        yield (*above, name), below
        yield from _verbs(below, (*above, name))


def _verb(words: tuple[str, ...], command: Any) -> str:
    parts = [f"{'#' * (len(words) + 1)} lifeline {' '.join(words)}\n", _text(command.help)]
    if hasattr(command, "commands"):
        return "\n".join(parts)
    shown = [each for each in command.params if not each.hidden]
    usage = [command.options_metavar or "", *(_wanted(e) for e in shown if not _is_option(e))]
    parts.insert(1, f"`lifeline {' '.join([*words, *filter(None, usage)])}`\n")
    for panel in dict.fromkeys(getattr(each, "rich_help_panel", None) for each in shown):
        of_panel = [each for each in shown if getattr(each, "rich_help_panel", None) == panel]
        parts.append((f"**{panel}**\n\n" if panel else "") + _options(of_panel))
    parts.append(_examples(command.epilog))
    return "\n".join(filter(None, parts))


def _options(given: list[Any]) -> str:
    if not given:
        return ""
    given = sorted(given, key=_is_option)
    rows = [[code(_spelled(each)), _default(each), _plain(each.help)] for each in given]
    if any(default for _, default, _ in rows):
        return table(("", "default", ""), rows)
    return table(("", ""), [(name, text) for name, _, text in rows])


def _spelled(each: Any) -> str:
    if not _is_option(each):
        return _placeholder(each)
    names = ", ".join(each.opts)
    return names if each.is_flag else f"{names} {_placeholder(each)}"


def _placeholder(each: Any) -> str:
    return str(each.metavar or each.name.rstrip("_").upper())


def _wanted(each: Any) -> str:
    """An argument as the usage has it."""
    return _placeholder(each) if each.required else f"[{_placeholder(each)}]"


def _default(each: Any) -> str:
    """What it is if it is not given; those of `run` stand in the text."""
    told = each.default if getattr(each, "show_default", False) else None
    plain = isinstance(told, (str, int, float)) and not isinstance(told, bool) and told != ""
    return code(str(told)) if plain else ""


def _is_option(each: Any) -> bool:
    return str(each.opts[0]).startswith("-")


def _plain(text: str | None) -> str:
    return (text or "").replace("\\[", "[").replace("<", "&lt;")


def _text(text: str | None) -> str:
    """The paragraphs of a help."""
    return _plain(text).replace("\f", "").strip() + "\n"


def _examples(epilog: str | None) -> str:
    lines = [line.strip() for line in (epilog or "").split("\n\n")[1:] if line.strip()]
    return "```\n" + "\n".join(lines) + "\n```\n" if lines else ""
