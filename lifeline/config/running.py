"""`lifeline run NAME`: the options and the command that a file has for a name.

On the way of every tick of such a lifeline, so little is imported; a `run` that has its command
after two dashes does not come here.
"""

from __future__ import annotations

import os
import sys

from ..errors import CannotTell, UsageError, show
from ..options import RunOptions, check_name, parse_run, read_values
from . import place, reading, values
from .merging import merge, run_options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reading import Entry


def named_run(words: list[str], *, first: bool = True) -> RunOptions:
    """The options of `lifeline run NAME …`; `words` is what follows `run`.

    `first` is false if something stands before `run`, too.

    This process then is where the lifeline's command is to run: in its directory, with its
    environment. Raises UsageError for a wrong call or file, CannotTell if one cannot be read.
    """
    left = place.take_option(words)
    if not left or left[0].startswith("-"):
        return _without_name(left)
    name = left[0]
    entry = _entry(name)
    given, _ = read_values(left[1:])
    merged = merge(entry, given, os.environ)
    called = check_name(str(merged["name"].raw))
    if not (first and words[0] == name and (called == name or "name" in given)):
        start_anew(words, [name, "--name", called, "--config", entry.path, *left[1:]])
    os.environ.update(values.environment(entry))
    options = run_options_of(entry, merged)  # before the directory changes: paths may be relative
    _enter(entry)
    return options


def _entry(name: str) -> Entry:
    dashes = f"unexpected {name!a}: write two dashes before the command, lifeline run -- CMD…"
    try:
        check_name(name)
    except UsageError as error:
        raise UsageError(f"{dashes}; it is no NAME: {error}") from None
    config = reading.here()
    if config is None:
        why = f"as a NAME it needs a {place.TOML}, and there is none here or above"
        raise UsageError(f"{dashes}; {why}")
    return config.entry(name)


def _without_name(words: list[str]) -> RunOptions:
    """Only options: a NAME that does not come first is told of."""
    config = reading.here() if any(not word.startswith("-") for word in words) else None
    for word in words if config else ():
        if config and word in config.entries:
            rest = " ".join(each for each in words if each != word)
            raise UsageError(f"the name comes first: lifeline run {word} {rest}")
    return parse_run(words)


def start_anew(words: list[str], better: list[str]) -> None:
    """Start this very program anew as `run` with words that show what it is to run.

    `words` are those that it was started with, at their end. Its command line is its flag: others
    recognise it by that (docs/election.md). Returns if this is not the `lifeline` command but a
    program that calls it.
    """
    before = len(sys.argv) - 1
    if sys.argv[1:][-len(words) :] != words:
        return
    program = sys.orig_argv[: len(sys.orig_argv) - before]
    sys.stdout.flush()
    os.execv(sys.executable, [*program, "run", *better])


def _enter(entry: Entry) -> None:
    directory = values.directory(entry)
    try:
        os.chdir(directory)
    except OSError as error:
        where = entry.where("cwd")
        shown = show(os.fsencode(directory))
        raise CannotTell(f"{where}: cwd: {shown}: {error.strerror}") from None
    os.environ["PWD"] = directory
