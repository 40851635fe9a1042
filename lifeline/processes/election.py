"""The election: flag, then look. Two starters in the same instant give exactly one runner.

1. My flag is up: my command line has been in the process table since exec.
2. Look at every process (`look`), judge each (`twins.judge`), draw the conclusion
   (`twins.decide`).
3. Only younger contenders were seen: each of them will see me, older, and stand down. Wait for
   exactly those to go, or to be shown decided, at most `settle` seconds from the last one that
   went. Newcomers need no waiting: they look after my flag was up. One that stays had decided
   before my flag went up.
"""

import os
import time

from ..errors import CannotTell
from . import records, twins
from .identity import identify
from .look import gather, needle, not_seen, question
from .places import ProcessPlace
from .table import Unseen, me

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .identity import Identity
    from .state import State
    from .table import Process, Table

SETTLE = 10.0  # seconds; fifty starters on one loaded core need about five
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


def check_flag(table: "Table", command: "Identity", remedy: str) -> None:
    """Refuse to stand for election as `command` if others cannot recognise this process as that.

    They would neither stand down for it nor be waited for. Raises CannotTell; `remedy` says what
    would show it.
    """
    pid = os.getpid()
    try:
        shown = identify(table.command_line(pid) or (), ProcessPlace(table, pid))
    except Unseen as error:
        raise CannotTell(f"others cannot recognise this process: {error}") from None
    if not shown.same_command(command):
        raise CannotTell(f"others cannot recognise this process by its command line: {remedy}")


def look(
    table: "Table",
    state: "State",
    command: "Identity",
    *,
    settle: float = SETTLE,
    count_leftovers: bool = False,
    only: "tuple[Process, ...] | None" = None,
) -> "twins.Verdict":
    """One look over all processes, or over exactly those in `only`."""
    if only is None:
        seen = gather(table, state, command, table.candidates(needle(command)))
    else:
        lines = ((each.pid, table.after_exec(each.pid)) for each in only)
        seen = gather(
            table, state, command, ((pid, line) for pid, line in lines if line is not None)
        )
        seen = [candidate for candidate in seen if candidate.process in only]
    asked = question(table, state, command, settle=settle, count_leftovers=count_leftovers)
    if only is None:
        seen += not_seen(table, state, command, asked.left, seen)
    return twins.decide((twins.judge(candidate, asked) for candidate in seen), asked)


def elect(
    table: "Table",
    state: "State",
    command: "Identity",
    *,
    settle: float = SETTLE,
    count_leftovers: bool = False,
) -> "twins.Verdict":
    """Whether this process is to run `command`: ALONE, MINE, RUNNING or CANNOT_TELL."""
    first = look(table, state, command, settle=settle, count_leftovers=count_leftovers)
    if first.kind != twins.WAIT:
        return first
    deadline, pause, verdict = time.monotonic() + settle, _FIRST_PAUSE, first
    while verdict.kind == twins.WAIT:
        if time.monotonic() > deadline:
            return twins.Verdict(twins.RUNNING, verdict.judged, first.leftovers)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
        pending = tuple(each.candidate.process for each in verdict.judged)
        verdict = look(table, state, command, settle=settle, only=pending)
        if len(verdict.judged) < len(pending):
            deadline = time.monotonic() + settle  # many leave one by one where the machine is busy
    return twins.Verdict(verdict.kind, verdict.judged, first.leftovers, verdict.holder)


def still_mine(table: "Table", state: "State", command: "Identity") -> bool:
    """True if this very process is the one on record."""
    record = records.read(state, command)
    return record is not None and record.process == me(table).process
