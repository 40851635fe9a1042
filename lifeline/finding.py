"""Finding twins, for people who build on it."""

import os

from . import clock
from .errors import CannotTell, UsageError, show
from .options import check_name
from .processes import twins
from .processes.election import look
from .processes.look import gather, needle
from .processes.places import meant
from .processes.state import State
from .processes.table import open_table
from .program import own_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .processes.identity import Identity
    from .processes.records import Record
    from .processes.table import Process, Table


class Twin:
    """A live process that is the command.

    `since` is wall seconds, `how` says how it was found ("record", "runner", "command line"),
    `argv` is its argument list, `job_pid` the supervised process of a runner if it is known.
    """

    __slots__ = ("argv", "how", "job_pid", "process", "since", "stopped")

    def __init__(
        self,
        process: "Process",
        *,
        argv: "tuple[str, ...]",
        since: float,
        how: str,
        stopped: bool,
        job_pid: "int | None",
    ) -> None:
        self.process = process
        self.argv = argv
        self.since = since
        self.how = how
        self.stopped = stopped
        self.job_pid = job_pid

    @property
    def pid(self) -> int:
        return self.process.pid

    def __repr__(self) -> str:
        return f"Twin(pid={self.pid}, how={self.how!r}, argv={self.argv!r})"


def find_twins(
    command: "Sequence[str | bytes] | None" = None, *, name: "str | None" = None
) -> "list[Twin]":
    """Every live twin of `command` (an argument list), of `name`, or of this very program.

    Read-only; never this process, its ancestors or its descendants. Raises CannotTell if a
    process cannot be judged.
    """
    table = open_table()
    verdict = look(table, State(), wanted(command, name))
    return twins_of(table, verdict)


def wanted(command: "Sequence[str | bytes] | None", name: "str | None") -> "Identity":
    """The identity that a command or a name stands for; this program's own without either."""
    if name is not None and command is not None:
        raise UsageError("give a command or a name, not both")
    if name is not None:
        return meant(os.fsencode(check_name(name)), ())
    if command is not None:
        return meant(None, _words(command))
    return own_command()


def _words(command: "Sequence[str | bytes]") -> "tuple[bytes, ...]":
    if isinstance(command, (str, bytes)):
        raise UsageError(f"a command is a list of words, not one text: {command[:80]!r}")
    words = tuple(os.fsencode(word) for word in command)
    if not words or not words[0]:
        raise UsageError("the command's first word is missing or empty")
    if any(b"\0" in word for word in words):
        raise UsageError("no word of a command can hold a NUL")
    return words


def twins_of(table: "Table", verdict: "twins.Verdict") -> "list[Twin]":
    """The twins that a verdict rests on. Raises CannotTell if it rests on an unknown."""
    if verdict.kind == twins.CANNOT_TELL:
        raise CannotTell(twins.why_unknown(verdict))
    if verdict.kind == twins.MINE:
        return []
    found = [_seen(table, each, verdict.holder) for each in verdict.judged]
    holder = verdict.holder
    if holder and all(twin.process != holder.process for twin in found):
        found.insert(0, _recorded(table, holder))
    return found


def twin_of(table: "Table", verdict: "twins.Verdict") -> "Twin | None":
    """The one twin to name: the recorded run if there is one, else the oldest."""
    found = twins_of(table, verdict)
    return min(found, key=lambda twin: (twin.how != "record", twin.since), default=None)


def since(table: "Table", process: "Process") -> float:
    """When a process started, in wall seconds."""
    return clock.wall() - (table.now() - process.start) / table.ticks(1)


def standing_by(table: "Table", state: State, command: "Identity") -> "list[Process]":
    """Runners that wait for the end of what runs `command`, to start it then."""
    seen = gather(table, state, command, table.candidates(needle(command)))
    return [
        each.process
        for each in seen
        if each.passive
        and each.identity
        and each.identity.runner
        and each.user == os.geteuid()
        and not each.facts.is_dead
    ]


def _seen(table: "Table", judged: "twins.Judged", holder: "Record | None") -> Twin:
    candidate = judged.candidate
    recorded = holder is not None and holder.process == candidate.process
    runner = candidate.identity is not None and candidate.identity.runner
    return Twin(
        candidate.process,
        argv=tuple(show(word) for word in candidate.argv),
        since=since(table, candidate.process),
        how="record" if recorded else "runner" if runner else "command line",
        stopped=candidate.facts.is_stopped,
        job_pid=holder.job.pid if recorded and holder and holder.job else None,
    )


def _recorded(table: "Table", holder: "Record") -> Twin:
    facts = table.facts(holder.process.pid)
    return Twin(
        holder.process,
        argv=tuple(show(word) for word in holder.argv),
        since=since(table, holder.process),
        how="record",
        stopped=facts is not None and facts.is_stopped,
        job_pid=holder.job.pid if holder.job else None,
    )
