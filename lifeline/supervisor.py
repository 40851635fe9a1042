"""`lifeline run`: look, claim, start, keep, pass the exit status on.

Reads top to bottom. Everything that outlives the start is small: this process stays resident
for as long as the job runs, so it imports neither psutil nor typer nor subprocess.
"""

import os
import time

from . import clock, events
from .errors import EXIT_SIGNAL_BASE, CannotTell, DiskFull, StateUnusable, complain
from .options import RunOptions
from .processes import holds, markers, records, twins
from .processes.election import SETTLE, check_flag, elect
from .processes.places import meant
from .processes.state import State
from .processes.table import me, open_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from .processes.identity import Identity
    from .processes.table import Table
    from .supervision.job import Job
    from .supervision.leased import Leased
else:
    import _signal as signal


def run(options: RunOptions) -> int:
    """Run the command unless a twin does; the exit code, as docs/exit-codes.md has it."""
    command = meant(options.name, options.command)
    table, state = open_table(), State()
    if options.lock is not None:
        from .leasing import check

        check(options)  # a mistake is told before anything is ended or waited for
    if os.getpid() == 1:
        # The kernel keeps from PID 1 what it does not catch: stopping a container would take KILL.
        signal.signal(signal.SIGTERM, _leave)
    if options.log is not None:
        from .supervision.logfile import LogFile

        LogFile(options.log, options.log_size, options.log_keep).close()
    if options.per_host != 1:
        return _run_beside(table, state, command, options)
    check_flag(table, command, "it has to be started as lifeline run")
    if options.on_running == "replace":
        _replace(table, state, command, options)
    verdict = _win(table, state, command, options)
    if options.jitter and verdict.kind == twins.ALONE and options.on_running != "replace":
        # Only who has won lets it pass. Its flag stays up, so that later ticks leave at once: each
        # with a jitter of its own would keep the others from starting. Then it looks once more,
        # for a plain process of the command that has come meanwhile.
        _let_jitter_pass(options)
        verdict = _win(table, state, command, options)
    # MINE: the job itself asks for its own command, which would start itself for ever.
    if verdict.kind in (twins.RUNNING, twins.MINE):
        pid = twins.foremost(verdict).pid
        events.append(state, events.STAND_DOWN, command, syslog=options.syslog, pid=pid)
        return options.exit_code_if_running
    # The hold is read after the flag went up: whoever holds and then looks will see this process.
    if _is_held(state, command, options):
        return 0
    # Leftovers end before the record is written, or a crash in between would lose their proof.
    if verdict.leftovers:
        from .ending import end_leftovers

        left = [each.candidate.process for each in verdict.leftovers]
        end_leftovers(table, left, options.grace)
    if options.exec:
        return _become(table, state, command, options)
    return _supervise(table, state, command, options)


def _run_beside(table: "Table", state: State, command: "Identity", options: RunOptions) -> int:
    """Run although twins of this command may run on this host: `--per-host` says how many."""
    from .seats import dead_runs, take_seat

    seat = take_seat(state, command, options) if options.per_host else None
    if options.per_host and seat is None:
        events.append(state, events.STAND_DOWN, command, syslog=options.syslog)
        return options.exit_code_if_running
    _let_jitter_pass(options)
    if _is_held(state, command, options):
        return 0
    left = dead_runs(table, state, command)
    if left:
        from .ending import end_leftovers

        end_leftovers(table, left, options.grace)
    try:
        return _supervise(table, state, command, options)
    finally:
        if seat:
            seat.close()


def _is_held(state: State, command: "Identity", options: RunOptions) -> bool:
    """True if an operator does not want it started; says so."""
    hold = holds.read(state, command, clock.wall()) if state.check() else None
    if hold:
        complain(holds.sentence(hold, clock.wall()))
        events.append(state, events.HELD, command, syslog=options.syslog)
    return hold is not None


def _let_jitter_pass(options: RunOptions) -> None:
    if options.jitter:
        time.sleep(options.jitter * int.from_bytes(os.urandom(4), "big") / 2**32)


def _leave(number: int, _frame: object) -> None:
    """End this process before it has started anything."""
    os._exit(EXIT_SIGNAL_BASE + number)


def _win(table: "Table", state: State, command: "Identity", options: RunOptions) -> "twins.Verdict":
    """Stand for election until this process is alone, or is to stand down."""
    settle = SETTLE if options.settle is None else options.settle
    count = options.leftovers == "count"
    myself = me(table).process
    while True:
        verdict = elect(table, state, command, settle=settle, count_leftovers=count)
        if verdict.kind == twins.CANNOT_TELL:
            raise CannotTell(f"{twins.why_unknown(verdict)}; not started")
        if verdict.kind != twins.RUNNING or options.on_running != "wait":
            return verdict
        markers.lower(state, table, command, myself)
        _await_turn(table, state, command, verdict)
        markers.raise_again(state, table, command, myself)


def _await_turn(
    table: "Table", state: State, command: "Identity", verdict: "twins.Verdict"
) -> None:
    """Return once one of those that keep this process from running has gone or become passive.

    A process that has run or stood down may live on for long. No event tells of its marker; that
    is one file to look for each second.
    """
    from .terminals import tell_person
    from .waiting import wait_for_end

    tell_person(f"waiting for the end of pid {twins.foremost(verdict).pid}, which runs it")
    keepers = [each.candidate.process for each in verdict.judged]
    if verdict.holder:
        keepers.append(verdict.holder.process)
    while not any(markers.is_passive(state, table, command, keeper) for keeper in keepers):
        if wait_for_end(table, keepers, timeout=1.0):
            return


def _replace(table: "Table", state: State, command: "Identity", options: RunOptions) -> None:
    """End what runs already; other starters are met in the election."""
    from .ending import end_running

    if options.jitter:
        # What runs goes on meanwhile; should it end, others may start it without waiting for this.
        myself = me(table).process
        markers.lower(state, table, command, myself)
        _let_jitter_pass(options)
        markers.raise_again(state, table, command, myself)
    settle = SETTLE if options.settle is None else options.settle
    youth = table.now() - table.ticks(settle)

    def is_starter(judged: "twins.Judged") -> bool:
        # Two that replaced each other's starters would leave nobody.
        return judged.standing == twins.CONTENDER and judged.candidate.process.start > youth

    for ended in end_running(table, state, command, spare=is_starter):
        if not ended.gone:
            raise CannotTell(f"pid {ended.process.pid} {ended.reason}; not replaced")


# --- starting ---------------------------------------------------------------------------------


def _become(table: "Table", state: State, command: "Identity", options: RunOptions) -> int:
    """Become the job. The record comes first: after exec it may be all that tells."""
    from .supervision.job import execute, why_not_executed

    records.write_own(state, table, command, records.EXEC, options.command, clock.wall())
    pid, syslog = os.getpid(), options.syslog
    events.append(state, "start", command, syslog=syslog, pid=pid, job=pid)
    try:
        execute(options.command)
    except OSError as error:
        records.withdraw(state, command, me(table).process)
        failed = why_not_executed(options.command[0], error.errno or 0)
        events.append(state, "end", command, syslog=syslog, pid=pid, code=failed.exit_code)
        raise failed from None


def _supervise(table: "Table", state: State, command: "Identity", options: RunOptions) -> int:
    from .supervision.reports import Reports
    from .supervision.runner import Runner
    from .supervision.streams import reserve_standard_streams

    reserve_standard_streams()
    reports = Reports(state, command, options)
    leased = _lease(table, state, command, options)
    if isinstance(leased, str):
        reports.event(events.STAND_DOWN, pid=os.getpid(), reason=f"the lease is with {leased}")
        _tidy(table, state, command)
        return options.exit_code_if_running
    shares = leased is not None and options.per_host != 1
    recorded = records.seated(command, leased.slot) if leased and shares else command

    def register(job: "Job", run: str) -> None:
        argv, process = options.command, job.process(table)
        past = (reports.restarts, reports.last_exit)
        try:
            records.write_own(
                *(state, table, recorded, records.RUN, argv, clock.wall(), process),
                *(run.encode(), *past),
            )
        except DiskFull as error:  # the table still shows this runner and its job
            reports.complain_once(f"no run record: {error.reason}; the process table must do")

    runner = None
    try:
        runner = Runner(table, state, command, options, reports, register, leased)
        return runner.run()
    finally:
        _tidy(table, state, recorded)
        if leased:
            if leased.is_lost:
                reports.event(events.LOST, pid=os.getpid())
            leased.release(gone=runner is None or not runner.has_children())


def _lease(
    table: "Table", state: State, command: "Identity", options: RunOptions
) -> "Leased | str | None":
    """The lease that was asked for, None if none was, or who has it."""
    if options.lock is None:
        return None
    from .leasing import obtain

    if options.wait and options.per_host == 1:
        # While this process stands by, ticks see it at their first look.
        records.write_own(state, table, command, records.RUN, options.command, clock.wall())
    return obtain(options, command)


def _tidy(table: "Table", state: State, command: "Identity") -> None:
    """Take the record along. What the job's exit code says counts more than that it worked."""
    try:
        records.withdraw(state, command, me(table).process)
        markers.sweep(state, table)
    except StateUnusable as error:
        complain(error)
