"""One look at the process table: gather what `twins` judges.

The order is what makes it safe: every command line is read first, then the passive marker of
each candidate, then the run record. A winner writes its record before it may change its command
line (by `--exec` or by rewriting its title), so a look that no longer recognises it finds the
record. A passive process takes its marker away before it looks, so a look that finds the marker
precedes that process's own.
"""

import os

from . import markers, records, twins
from .identity import Identity, identify
from .places import ProcessPlace
from .table import Facts, Process, Unseen, lineage, me, snapshot, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .identity import Words
    from .records import Record
    from .state import State
    from .table import Table


def needle(command: Identity) -> bytes:
    """Bytes that every command line of `command` must contain, however it is spelled."""
    kind, *words = command.words
    if kind == b"invoke":
        return b"inv"  # inv or invoke; task names have more than one spelling
    if kind == b"run" and words:
        # A directory (`python .` runs its __main__) has spellings that do not hold its name.
        words[0] = b"" if os.path.isdir(words[0]) else os.path.basename(words[0])
    return max(words, key=len, default=b"")


def gather(
    table: "Table", state: "State", command: Identity, pids: "Iterable[tuple[int, Words]]"
) -> "list[twins.Candidate]":
    """The candidates among `pids` as `twins` judges them; those already gone are left out."""
    found = []
    for pid, argv in pids:
        identity, unseen = _identify(table, pid, argv)
        try:
            # After it: what went away meanwhile shows as gone, not as unseen.
            facts = table.facts(pid)
        except Unseen as error:
            facts, identity, unseen = _hidden(pid), None, str(error)
        if facts is not None:
            found.append(_candidate(table, state, command, facts, argv, identity, unseen))
    return found


def _identify(table: "Table", pid: int, argv: "Words") -> "tuple[Identity | None, str]":
    if not argv:
        return None, "its command line stays empty: it hangs in the middle of exec"
    try:
        return identify(argv, ProcessPlace(table, pid)), ""
    except Unseen as error:
        return None, str(error)


def _hidden(pid: int) -> "Facts":
    """What stands for the facts of a process that may not be seen."""
    return Facts(Process(pid, 0), "?", 0, 0, 0, kernel=False, threads=1, name=b"")


def _candidate(
    table: "Table",
    state: "State",
    command: Identity,
    facts: "Facts",
    argv: "Words",
    identity: "Identity | None",
    unseen: str,
) -> "twins.Candidate":
    pid = facts.process.pid
    parent = visible(table, facts.parent)
    same = identity is not None and identity.same_command(command)
    # Before the user is asked for: the marker of one that went away meanwhile may be swept, and
    # without it that one would count as a starter. This way it shows as gone.
    passive = same and markers.is_passive(state, table, command, facts.process)
    return twins.Candidate(
        facts,
        argv,
        identity,
        user=table.user(pid),
        local=table.is_local(pid),
        lineage=tuple(lineage(table, facts)),
        parent_session=parent.session if parent else None,
        passive=passive,
        unseen=unseen,
    )


class Traces:
    """What a run's processes are known by: the job, its session, the id in their environment.

    `session` is the number of a session, 0 for none; `mark` is what the kernel calls it.
    """

    __slots__ = ("job", "mark", "run", "session")

    def __init__(self, job: "Process | None", session: int, mark: bytes, run: bytes) -> None:
        self.job = job
        self.session = session
        self.mark = mark
        self.run = run


def traces(record: "Record") -> Traces:
    """What the run on record is known by: a session only if it was made for its job alone."""
    session = record.session if record.own_session else 0
    return Traces(record.job, session, record.mark, record.run)


def left_behind(table: "Table", record: "Record") -> "dict[Process, str]":
    """What the dead run on record provably left, under whatever title: process and proof.

    Three things prove it: to be the recorded job, to be in the session that was made for it, to
    have been started with the run's id in the environment.
    """
    dead = f"the dead run (pid {record.process.pid})"
    return of_run(table, snapshot(table), traces(record), dead)


def of_run(
    table: "Table",
    everybody: "list[Facts]",
    of: Traces,
    called: str,
    known: "Collection[Process]" = (),
) -> "dict[Process, str]":
    """Whatever of `everybody` belongs to a run, of which some are `known`: process and proof."""
    found: dict[Process, str] = {}
    members = in_session(table, everybody, of, known)
    for facts in everybody:
        if facts.process == of.job:
            found[facts.process] = f"the job of {called}"
        elif facts.process in members:
            found[facts.process] = f"in the session that {called} made for its job"
        elif of.run and table.variable(facts.process.pid, RUN_ID) == of.run:
            found[facts.process] = f"started by {called}, by its environment"
    return found


RUN_ID = b"LIFELINE_RUN"  # in the environment of all that a runner starts


def in_session(
    table: "Table", everybody: "list[Facts]", of: Traces, known: "Collection[Process]" = ()
) -> "set[Process]":
    """Those of `everybody` who are in the session of a run; nobody if that may be another by now.

    A session's number is given again once its leader is reaped and nobody is in it. Then a daemon
    that forked twice looks just like what the run has left: its leader is gone, too, and it is
    younger than the run. So somebody has to vouch for the number: the recorded job, as long as it
    is not reaped, or a member of which something else tells that it is of the run. One of them is
    enough, for while it is in there the number is not given again, and whoever is below it is of
    the run as well. It vouches for what was looked at before it was.
    """
    members = {facts.process for facts in everybody if facts.session == of.session != 0}
    leader = visible(table, of.session) if members else None
    if leader is not None and leader.process == of.job:
        return members
    for process in members:
        if _is_of(table, process, of, known):
            facts = visible(table, process.pid)
            if facts is not None and (facts.process, facts.session) == (process, of.session):
                return members
    return set()


def _is_of(table: "Table", process: Process, of: Traces, known: "Collection[Process]") -> bool:
    """True if a process in the session of a run's number is known to be of that run.

    The kernel's name of the session tells so of programs that rewrite their title, too, and their
    environment with it (setproctitle), whose parent has gone.
    """
    if process in known or (of.mark and table.session_mark(process.pid) == of.mark):
        return True
    return bool(of.run) and table.variable(process.pid, RUN_ID) == of.run


def not_seen(
    table: "Table",
    state: "State",
    command: Identity,
    left: "Iterable[Process]",
    seen: "list[twins.Candidate]",
) -> "list[twins.Candidate]":
    """Candidates for what was left and does not show the command's argument list."""
    known = {candidate.process for candidate in seen}
    lines = []
    for process in left:
        if process not in known:
            try:
                argv = table.command_line(process.pid)
            except Unseen:
                argv = ()
            if argv is not None:
                lines.append((process.pid, argv))
    return gather(table, state, command, lines)


def question(
    table: "Table",
    state: "State",
    command: Identity,
    *,
    settle: float,
    count_leftovers: bool = False,
) -> "twins.Question":
    """What this process asks. Reads the run record: call it after the candidates were read."""
    mine = me(table)
    record = records.read(state, command) if state.check() else None
    here = record is not None and record.is_of(table)
    alive = record is not None and record.names_living(table)
    return twins.Question(
        command,
        mine.process,
        user=os.geteuid(),
        ancestors=tuple(lineage(table, mine)),
        now=table.now(),
        settle=table.ticks(settle),
        record=record,
        alive=alive,
        here=here,
        left=left_behind(table, record) if record is not None and here and not alive else {},
        count_leftovers=count_leftovers,
        session_used_again=record is not None and here and not alive and _used_again(table, record),
    )


def _used_again(table: "Table", record: "Record") -> bool:
    """True if those who are in a session of the recorded number are, or may be, another's."""
    if record.own_session or record.mark:
        everybody = snapshot(table)
        of = Traces(record.job, record.session, record.mark, record.run)
        is_empty = all(facts.session != record.session for facts in everybody)
        return not is_empty and not in_session(table, everybody, of)
    # A session that was not made for the run, and nothing but its number is known of it.
    leader = visible(table, record.session)
    return leader is not None and leader.process.start > record.process.start
