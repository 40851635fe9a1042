"""Everything that runs under lifelines for this user: records first, then the process table."""

import os
from typing import TYPE_CHECKING

from .finding import since
from .processes import records, tree, twins
from .processes.election import look
from .processes.identity import Identity
from .processes.look import gather
from .processes.state import State
from .processes.table import Process, lineage, open_table, snapshot, visible

if TYPE_CHECKING:
    from .processes.table import Facts, Table


class Running:
    """One lifeline that runs.

    `argv` as it was written, `since` wall seconds, `how` it was found ("record", "runner" or
    "command line"), `job` the supervised process, `job_ended` if it had one that is gone and may
    start another, `memory` the bytes resident in the whole tree, None where that cannot be seen;
    `standby` if it waits for its lease; `restarts` by its runner, and the exit code of the run
    before, as the record has it: the history may know of a newer one.
    """

    def __init__(
        self,
        identity: Identity,
        process: Process,
        *,
        argv: tuple[bytes, ...],
        since: float,
        how: str,
        stopped: bool,
        standby: bool = False,
        job: Process | None = None,
        job_ended: bool = False,
        memory: int | None = None,
        restarts: int = 0,
        last_exit: int | None = None,
    ) -> None:
        self.identity = identity
        self.process = process
        self.argv = argv
        self.since = since
        self.how = how
        self.stopped = stopped
        self.standby = standby
        self.job = job
        self.job_ended = job_ended
        self.memory = memory
        self.restarts = restarts
        self.last_exit = last_exit


def overview(wanted: Identity | None = None) -> list[Running]:
    """All lifelines of this user, oldest first; with `wanted`, only those of that command."""
    table, state = open_table(), State()
    found = _recorded(table, state)
    if wanted is not None:
        found = [each for each in found if each.identity.same_command(wanted)]
        found += _looked_for(table, state, wanted)
    else:
        found += _runners(table, state)
    found = _without_starters(table, found)
    seen: dict[Process, Running] = {}
    for each in found:
        seen.setdefault(each.process, each)
    # What a runner started and what a job forked look like the command, too.
    tops = [each for each in seen.values() if not _is_below(table, each.process, seen)]
    everybody = snapshot(table) if tops else []  # once: each takes a pass over all processes
    for each in tops:
        each.memory = _memory(each.process, everybody)
    return sorted(tops, key=lambda each: each.since)


def _is_below(table: "Table", process: Process, others: dict[Process, Running]) -> bool:
    """True if one of the `others` that is the same command is above a process."""
    facts = visible(table, process.pid)
    above = lineage(table, facts) if facts else []
    mine = others[process].identity
    return any(each in others and others[each].identity.same_command(mine) for each in above)


def _recorded(table: "Table", state: State) -> list[Running]:
    found = []
    for record in records.all_records(state) if state.check() else []:
        if record.names_living(table):
            facts = table.facts(record.process.pid)
            # Its record names the job that it has started last, until the next one.
            works = record.job is not None and table.is_alive(record.job)
            found.append(
                Running(
                    records.unseated(record.identity),
                    record.process,
                    argv=record.argv,
                    since=since(table, record.process),
                    how="record",
                    stopped=facts is not None and facts.is_stopped,
                    standby=record.how == records.RUN and record.job is None,
                    job=record.job if works else None,
                    job_ended=record.job is not None and not works,
                    restarts=record.restarts,
                    last_exit=record.last_exit,
                )
            )
    return found


def _looked_for(table: "Table", state: State, wanted: Identity) -> list[Running]:
    verdict = look(table, state, wanted)
    return [
        _from_table(table, each.candidate) for each in verdict.judged if each.candidate.identity
    ]


def _runners(table: "Table", state: State) -> list[Running]:
    """Every `lifeline run` of this user, whatever it runs."""
    seen = gather(table, state, Identity((b"name", b"")), table.candidates(b"lifeline"))
    return [
        _from_table(table, candidate)
        for candidate in seen
        if candidate.identity
        and candidate.identity.runner
        and candidate.user == os.geteuid()
        and candidate.local
        and not candidate.facts.is_dead
    ]


def _without_starters(table: "Table", found: list[Running]) -> list[Running]:
    """A runner that has neither record nor child is a starter, and may leave."""
    if all(each.how != "runner" for each in found):
        return found
    parents = {facts.parent for facts in snapshot(table)}
    return [each for each in found if each.how != "runner" or each.process.pid in parents]


def _from_table(table: "Table", candidate: twins.Candidate) -> Running:
    assert candidate.identity is not None
    runner = candidate.identity.runner
    argv = candidate.argv
    if runner and b"--" in argv:  # `run NAME` has its command from a file
        argv = argv[argv.index(b"--") + 1 :]
    return Running(
        candidate.identity,
        candidate.process,
        argv=argv,
        since=since(table, candidate.process),
        how="runner" if runner else "command line",
        stopped=candidate.facts.is_stopped,
    )


def _memory(process: Process, everybody: "list[Facts]") -> int | None:
    """Bytes resident in the tree below and including `process`."""
    import psutil

    total = 0
    for each in (process, *tree.descendants(everybody, [process])):
        try:
            total += psutil.Process(each.pid).memory_info().rss
        except psutil.Error:
            continue  # it ended meanwhile, or may not be seen
    return total or None
