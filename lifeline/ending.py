"""Ending what runs a command: the runner, its job, the whole tree below."""

import os

from .clock import parse_duration
from .errors import CannotTell, LifelineError, complain
from .finding import wanted
from .options import read_values
from .processes import records, tree, twins
from .processes.election import look
from .processes.look import in_session, traces
from .processes.state import State
from .processes.table import me, open_table, snapshot
from .processes.tree import GRACE, Ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .processes.identity import Identity
    from .processes.records import Record
    from .processes.table import Process, Table


def terminate(
    command: "Sequence[str | bytes] | None" = None,
    *,
    name: "str | None" = None,
    grace: "float | None" = None,
) -> "list[Ended]":
    """End every twin of `command` (an argument list), of `name`, or of this very program.

    TERM to each runner and its tree, CONT to what is stopped, KILL after `grace` seconds, or
    those that the runner was started with if they are fewer; without `grace` after the runner's, 10
    at least. Only the processes that were found. Returns one entry for each, but not for what a
    runner started and ended meanwhile; an empty list if nothing ran. Raises CannotTell if a process
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
    tellers = _tellers(verdict.holder)
    return tree.end(
        tree.Ending(table, find, grace, runners=runners, tellers=tellers, helpers=helpers)
    )


def _family(
    table: "Table", roots: "list[Process]", record: "Record | None"
) -> "Callable[[], list[Process]]":
    """Finds `roots`, all below them, and all in the session that the run made for its job.

    It remembers: what was once below a root belongs to it, wherever its parent's death moves it.
    """
    known: dict[Process, None] = dict.fromkeys(roots)
    run = {record.process} if record else set()  # a root may be a twin from anywhere

    def find() -> "list[Process]":
        everybody = snapshot(table)
        known.update(dict.fromkeys(tree.descendants(everybody, list(known))))
        if record:
            run.update(tree.descendants(everybody, run))
            run.update(in_session(table, everybody, traces(record), run))
            known.update(dict.fromkeys(run))
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


def _tellers(record: "Record | None") -> "frozenset[Process]":
    """A recorded invoke task: on TERM it ends what is below it, before itself."""
    return frozenset({record.process} if record and record.how == records.TASK else ())


def _helpers(
    table: "Table", runners: "frozenset[Process]", record: "Record | None"
) -> "frozenset[Process]":
    """What runs beside the recorded runner's job: hooks, pings, the keeper of its lease."""
    if record is None or record.job is None or record.process not in runners:
        return frozenset()  # it cannot be told which child is the job
    everybody = snapshot(table)
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
        below = tree.descendants(snapshot(table), [myself, *known])
        known.update(dict.fromkeys(below))
        return list(known)

    return tree.end(tree.Ending(table, find, grace))


def end_leftovers(table: "Table", processes: "list[Process]", grace: float = GRACE) -> None:
    """End what was proved to be left over from a dead run, and say so on stderr.

    It has `grace` seconds, that of the run that is about to start: what it cleans up may be what
    that one needs.
    """
    find = _family(table, processes, None)
    for ended in tree.end(tree.Ending(table, find, grace)):
        if not ended.gone:
            raise CannotTell(f"a leftover, pid {ended.process.pid}, {ended.reason}; not started")
        how = f" ({ended.signal})" if ended.signal else ""
        complain(f"ended pid {ended.process.pid}, left over from a dead run{how}")
