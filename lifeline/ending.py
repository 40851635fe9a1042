"""Ending what runs a command: the runner, its job, the whole tree below."""

import os

from .clock import parse_duration
from .errors import CannotTell, LifelineError, complain
from .finding import wanted
from .options import read_values
from .processes import records, tree, twins
from .processes.election import look
from .processes.state import State
from .processes.table import me, open_table
from .processes.tree import GRACE, Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .processes.identity import Identity
    from .processes.records import Record
    from .processes.table import Process, Table

_LEFTOVER_GRACE = 2.0  # seconds


def terminate(
    command: "Sequence[str | bytes] | None" = None,
    *,
    name: "str | None" = None,
    grace: "float | None" = None,
) -> "list[Ended]":
    """End every twin of `command` (an argument list), of `name`, or of this very program.

    TERM to each runner and its tree, CONT to what is stopped, KILL after `grace` seconds; without
    it after those that the runner was started with, 10 at least. Only the processes that were
    found. Returns one entry for each; an empty list if nothing ran. Raises CannotTell if a process
    cannot be judged.
    """
    table, state = open_table(), State()
    return end_running(table, state, wanted(command, name), grace)


def end_running(
    table: "Table",
    state: State,
    command: "Identity",
    grace: "float | None" = None,
    spare: "Callable[[twins.Judged], bool] | None" = None,
) -> "list[Ended]":
    """End all that runs `command`, and what a dead run of it left behind.

    Starters count as running: one of them may have decided in this moment. Those for which
    `spare` is true are let go.
    """
    verdict = look(table, state, command)
    if verdict.kind == twins.CANNOT_TELL:
        raise CannotTell(twins.why_unknown(verdict))
    if verdict.kind == twins.MINE:
        raise LifelineError("this process is part of that run, so it does not end it")
    judged = [each for each in verdict.judged if not (spare and spare(each))]
    roots = [each.candidate.process for each in (*judged, *verdict.leftovers)]
    if verdict.holder and verdict.holder.process not in roots:
        roots.insert(0, verdict.holder.process)
    runners = _runners(verdict)
    helpers = _helpers(table, runners, verdict.holder)
    if grace is None:
        grace = _given_grace(table, runners)
    find = _family(table, roots, verdict.holder)
    return tree.end(tree.Ending(table, find, grace, runners=runners, helpers=helpers))


def _family(
    table: "Table", roots: "list[Process]", record: "Record | None"
) -> "Callable[[], list[Process]]":
    """Finds `roots`, all below them, and all in the session that the run made for its job.

    It remembers: what was once below a root belongs to it, wherever its parent's death moves it.
    """
    known: dict[Process, None] = dict.fromkeys(roots)
    session = record.session if record and record.own_session else None
    session_start = record.job.start if record and record.job else 0

    def find() -> "list[Process]":
        everybody = tree.snapshot(table)
        for process in tree.descendants(everybody, list(known)):
            known.setdefault(process)
        for facts in everybody:
            # Session ids are pids and can be used again, but not by somebody older than the job.
            if session and facts.session == session and facts.process.start >= session_start:
                known.setdefault(facts.process)
        return list(known)

    return find


def _runners(verdict: "twins.Verdict") -> "frozenset[Process]":
    """The supervising runners among those to be ended."""
    found = {
        each.candidate.process
        for each in verdict.judged
        if each.candidate.identity and each.candidate.identity.runner
    }
    record = verdict.holder
    if record and record.how == records.RUN and record.job:
        found.add(record.process)
    return frozenset(found)


def _helpers(
    table: "Table", runners: "frozenset[Process]", record: "Record | None"
) -> "frozenset[Process]":
    """What runs beside the recorded runner's job: hooks, pings, the keeper of its lease."""
    if record is None or record.job is None or record.process not in runners:
        return frozenset()  # it cannot be told which child is the job
    everybody = tree.snapshot(table)
    first = [
        facts.process
        for facts in everybody
        if facts.parent == record.process.pid
        and facts.session == facts.process.pid
        and facts.process != record.job
    ]
    return frozenset([*first, *tree.descendants(everybody, first)])


def _given_grace(table: "Table", runners: "frozenset[Process]") -> float:
    """The longest grace that one of the runners was started with."""
    given = [GRACE]
    for runner in runners:
        words = [os.fsdecode(word) for word in tree.shown(table, runner)]
        try:
            values, _ = read_values(words[words.index("run") + 1 :])
            given.append(parse_duration(str(values["grace"])))
        except (KeyError, ValueError, LifelineError):
            pass  # without, or it shows something else
    return max(given)


def end_below(table: "Table", grace: float = GRACE) -> "list[Ended]":
    """End every descendant of this process."""
    myself = me(table).process
    known: dict[Process, None] = {}

    def find() -> "list[Process]":
        below = tree.descendants(tree.snapshot(table), [myself, *known])
        known.update(dict.fromkeys(below))
        return list(known)

    return tree.end(tree.Ending(table, find, grace))


def end_leftovers(table: "Table", processes: "list[Process]") -> None:
    """End what was proved to be left over from a dead run, and say so on stderr."""
    find = _family(table, processes, None)
    for ended in tree.end(tree.Ending(table, find, _LEFTOVER_GRACE)):
        if not ended.gone:
            raise CannotTell(f"a leftover, pid {ended.process.pid}, {ended.reason}; not started")
        complain(f"ended pid {ended.process.pid}, left over from a dead run ({ended.signal})")
