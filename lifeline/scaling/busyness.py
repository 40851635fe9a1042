"""Which workers are at work: by their child processes, by files that they keep, by a command."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence

from .checking import BadOption
from .commands import run
from .errors import TargetError
from .options import Options
from .workers import NUMBER, Crew, Worker

# The numbers of those that are busy, found within so many seconds. Raises TargetError.
Busy = Callable[[Sequence[Worker], float], Collection[int]]

_CHILDREN, _FILE = "children", "file:"


def busy_of(value: object, pool: str) -> Busy:
    """The way to tell that the option `busy` of a pool asks for. Raises BadOption."""
    if isinstance(value, (list, tuple)):
        return _by_command(Options({"busy": list(value)}, "pool").words("busy"), pool)
    if value == _CHILDREN:
        return by_children(pool)
    path = value.removeprefix(_FILE) if isinstance(value, str) else ""
    if path != value and path.startswith("/") and NUMBER in path:
        return by_file(path)
    raise BadOption(
        ("busy",),
        f'busy is "{_CHILDREN}", "{_FILE}/a/path-{NUMBER}" or a command as a list of words, '
        f"not {value!r:.60}",
    )


def by_children(pool: str) -> Busy:
    """A worker is busy while its job has a child: RQ and others fork one for each job."""
    crew = Crew(pool)
    return lambda workers, _seconds: crew.with_children(workers)


def by_file(path: str) -> Busy:
    """A worker is busy while the file at `path` exists, with its number for {number}."""

    def find(workers: Sequence[Worker], _seconds: float) -> frozenset[int]:
        numbers = (each.number for each in workers)
        return frozenset(n for n in numbers if os.path.exists(path.replace(NUMBER, str(n))))

    return find


def _by_command(command: Sequence[str], pool: str) -> Busy:
    ask = busy_names(command)

    def find(workers: Sequence[Worker], seconds: float) -> frozenset[int]:
        names = ask(seconds)
        numbers = (each.number for each in workers)
        return frozenset(n for n in numbers if names & {f"{pool}-{n}", str(n)})

    return find


def busy_names(command: Sequence[str]) -> Callable[[float], frozenset[str]]:
    """Asks `command`, within so many seconds, for the names of busy workers: words on stdout.

    What is made raises TargetError unless the command ends with 0 in time: without an answer
    every worker may be busy.
    """

    def ask(seconds: float) -> frozenset[str]:
        try:
            return frozenset(run(command, seconds, TargetError).split())
        except TargetError as error:
            raise TargetError(f"it cannot be told which workers are busy: {error}") from None

    return ask
