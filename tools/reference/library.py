"""The library, from the docstrings of what `lifeline` exports."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import lifeline

HEAD = """\
# Library

Everything that `from lifeline import …` gives. [In a program](../library.md) shows how it is used,
[leases](../leases.md) what a lease promises. Durations are seconds. Importing `lifeline` loads next
to nothing: each name is loaded when it is first used.
"""
#: What a class has for other parts of lifeline.
INSIDE = {"Lock": ("candidate", "leave"), "Holding": ("end", "tell_lost")}


def page() -> str:
    """Functions, then classes, then errors."""
    public = {name: getattr(lifeline, name) for name in lifeline.__all__}
    functions = {name: each for name, each in public.items() if not inspect.isclass(each)}
    errors = {n: e for n, e in public.items() if n not in functions and issubclass(e, Exception)}
    classes = {n: e for n, e in public.items() if n not in functions and n not in errors}
    parts = [HEAD, "## Functions\n", *(_function(*each) for each in functions.items())]
    parts += ["## What they return\n", *(_class(*each) for each in classes.items())]
    parts += ["## Errors\n", *(_error(*each) for each in errors.items())]
    return "\n".join(parts)


def _function(name: str, function: Any) -> str:
    return f"### {name}\n\n{_fenced(_call(name, function))}\n{_text(function)}"


def _class(name: str, made: type) -> str:
    """A class; how it is made only if that is what callers do."""
    parts = [f"### {name}\n\n{_text(made)}"]
    for member, value in _members(made):
        if member in INSIDE.get(name, ()):
            continue
        asked: Any = value.fget if isinstance(value, property) else value
        what = f"`{name}.{member}`"
        if asked is value:
            what = f"`{_call(f'{name}.{member}', value, method=True)}`"
        if told := _text(asked).strip():
            parts.append(f"{what}\n:   {textwrap.indent(told, '    ').strip()}\n")
    return "\n".join(parts)


def _members(made: type) -> list[tuple[str, Any]]:
    """Public methods and properties, in the order in which they were written."""
    return [
        (name, value)
        for home in reversed(made.__mro__)
        if home.__module__.startswith("lifeline.")
        for name, value in vars(home).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    ]


def _error(name: str, error: type[Exception]) -> str:
    base = error.__bases__[0]
    told = f", a {base.__name__}" if base.__module__.startswith("lifeline.") else ""
    code = getattr(error, "exit_code", None)
    told += f", exit code {code}" if code is not None else ""
    return f"### {name}\n\n{_text(error).strip()} *({told.removeprefix(', ')})*\n"


def _call(name: str, function: Callable[..., Any], method: bool = False) -> str:
    """How it is called: names and defaults, without types."""
    words: list[str] = []
    starred = False
    parameters = list(inspect.signature(function).parameters.values())[1 if method else 0 :]
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and not starred:
            words.append("*")
        starred = starred or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        mark = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(each.kind.name, "")
        default = "" if each.default is each.empty else f"={each.default!r}"
        words.append(f"{mark}{each.name}{default}")
    return f"{name}({', '.join(words)})"


def _fenced(call: str) -> str:
    """A signature; of what is told apart by how it is called, that says the text."""
    return f"```text\n{textwrap.fill(call, 96, subsequent_indent='    ')}\n```\n"


def _text(documented: Any) -> str:
    return (inspect.cleandoc(_own_doc(documented)) + "\n") if _own_doc(documented) else ""


def _own_doc(documented: Any) -> str:
    """Its own docstring, and none that it inherits."""
    own = documented.__dict__.get("__doc__") if inspect.isclass(documented) else documented.__doc__
    return own or ""
