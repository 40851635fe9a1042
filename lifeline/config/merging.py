"""Where each value comes from: command line, environment, file, default, in this order."""

from __future__ import annotations

from .. import options as run_options
from ..errors import UsageError
from ..options import RunOptions
from . import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .reading import Entry
    from .values import Raw

COMMAND_LINE, DEFAULT = "command line", "default"


class Value:
    """One option's value as it was written, and its `origin` for people."""

    __slots__ = ("origin", "raw")

    def __init__(self, raw: Raw, origin: str) -> None:
        self.raw = raw
        self.origin = origin

    def __repr__(self) -> str:
        return f"Value(…, {self.origin!r})"  # the value may be a secret


def merge(
    entry: Entry, given: Mapping[str, object], environ: Mapping[str, str]
) -> dict[str, Value]:
    """The options of a lifeline that are not at their default.

    `given` is what the command line gave. Raises UsageError with the origin of what is wrong.
    """
    entry.check_keys()
    from_file, from_environment = values.file_options(entry), values.environment_options(environ)
    merged: dict[str, Value] = {}
    for name in (*run_options._CONVERT, *sorted(run_options._FLAGS)):
        written = given.get(name)
        if isinstance(written, (str, bool)):
            merged[name] = Value(written, COMMAND_LINE)
        elif name in from_environment:
            origin = f"environment ({values.variable(name)})"
            merged[name] = Value(from_environment[name], origin)
        elif name in from_file:
            merged[name] = Value(from_file[name], entry.where(name))
    merged.setdefault("name", Value(entry.name, entry.where()))
    return merged


def run_options_of(entry: Entry, merged: Mapping[str, Value]) -> RunOptions:
    """What `lifeline run` is asked to do. The lifeline's environment has to be in place."""
    for name, value in merged.items():
        values.check_option(name, value.raw, value.origin)
    words = tuple(word.encode("utf-8", "surrogateescape") for word in values.command(entry))
    try:
        return RunOptions(words, **{name: value.raw for name, value in merged.items()})
    except UsageError as error:  # what does not go together
        raise UsageError(f"{entry.where()}: {entry.name}: {error}") from None
