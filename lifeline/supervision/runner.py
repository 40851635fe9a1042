"""The resident runner: one job, everything that can happen to it, and its end.

It waits in one place (`loop`), never polls where the kernel tells, and keeps to these rules:

* The job is over when its process and everything below it is gone. Orphans come back to this
  process (it is their subreaper), so "gone" is seen, not guessed.
* TERM or INT ends the job: that signal to its process group, TERM to what has left the group,
  CONT to what is stopped, KILL after the grace. A second one is KILL now. All other signals are
  passed on to the group. With `--signal-to main` all that goes to the main process alone, and
  what that leaves gets TERM then.
* A terminal's stop (Ctrl-Z) stops the job, then this process; `fg` continues both.
"""

import os

from .. import clock, events
from ..errors import (
    EXIT_CANNOT_TELL,
    EXIT_LOST,
    EXIT_SIGNAL_BASE,
    CommandFailed,
    StateUnusable,
    complain,
)
from ..processes import holds
from ..processes.look import RUN_ID
from . import restarts
from .guards import Guards
from .job import Job
from .kernel import adopt_orphans
from .loop import Loop, forwardable
from .memory import children_of
from .output import Output
from .shutdown import Shutdown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from ..options import RunOptions
    from ..processes.identity import Identity
    from ..processes.state import State
    from ..processes.table import Table
    from .calls import Calls
    from .leased import Leased
    from .reports import Reports
else:
    import _signal as signal

_REAPED_AT_ONCE = 100  # children, before other events have their turn


class Runner:
    """Runs the command until it is over, and again if it is to be restarted.

    `register` is called with each new job and the id of its run, before it is told to go.
    """

    def __init__(
        self,
        table: "Table",
        state: "State",
        command: "Identity",
        options: "RunOptions",
        reports: "Reports",
        register: "Callable[[Job, str], None]",
        leased: "Leased | None" = None,
    ) -> None:
        self._state = state
        self._command = command
        self._options = options
        self._reports = reports
        self._register = register
        self._leased = leased
        self._job: Job | None = None
        self._status: int | None = None  # the job's wait status, once it has ended
        self._reason: tuple[str, int] | None = None  # why it was ended from here, and the code
        self._stopping = 0  # the signal that asked for the end of it all
        self._asked = 0  # how often that was
        adopt_orphans()
        # A shell that became this runner may have left it children: none of the job's.
        reports.helpers.update(children_of(os.getpid()))
        self._forwarded = forwardable()
        self._loop = Loop({*self._forwarded, signal.SIGCHLD}, self._on_signal)
        self._shutdown = Shutdown(table, self._loop, options, reports.helpers)
        self._output = Output(self._loop, options)
        self._guards = Guards(self._loop, options, reports, self._end)
        self._calls: Calls | None = None
        if leased:
            reports.lease = leased.environment
            leased.watch(self._loop, self._on_lost)
            if options.on_signal is not None or options.forward_signals:
                from . import calls

                self._calls = calls.Calls(options, reports, self._is_running, self._signal_job)
                leased.hear(self._calls)

    def run(self) -> int:
        """All runs, one after the other; the exit code of the last.

        Raises CommandFailed if the command cannot be executed the first time, StateUnusable or
        OSError if it cannot be started then.
        """
        try:
            return self._run()
        except BaseException:
            # A fault in here. The keeper sees to the job, or, with nobody to see to the lease
            # either, what is below this process gets TERM from the kernel: too little here.
            if self._job and self._is_lost():
                self._shutdown.kill_all()
            raise

    def _run(self) -> int:
        backoff = restarts.Backoff(*self._options.backoff)
        while True:
            began = clock.boottime()
            code = self._reports.last_exit = self._run_once()
            if (
                self._is_lost()
                or self._stopping
                or not restarts.is_wanted(self._options.restart, code)
            ):
                return code  # whoever asked for the end gets the job's own answer
            chance = int.from_bytes(os.urandom(4), "big") / 2**32
            number = self._wait(backoff.delay(clock.boottime() - began, chance))
            if number:
                return EXIT_SIGNAL_BASE + number
            if self._is_lost():
                return EXIT_LOST
            hold = self._hold()
            if hold:
                complain(holds.sentence(hold, clock.wall()))
                self._reports.event(events.HELD)
                return code
            self._reports.restarts += 1

    def _hold(self) -> "holds.Hold | None":
        try:
            if self._state.check():
                return holds.read(self._state, self._command, clock.wall())
        except StateUnusable:
            pass  # nor will the job start then, and that is told
        return None

    # --- one run ------------------------------------------------------------------------------

    def _run_once(self) -> int:
        self._status = self._reason = None
        self._shutdown.begin(None)
        run, began = new_run_id(), clock.boottime()
        try:
            self._start(run)
        except CommandFailed as failed:
            self._output.finish(failed=True, hurry=self._is_hurried)
            self._reports.not_started(run, failed)
            self._see_helpers_out(self._reports.patience)
            if not self._reports.restarts:
                raise
            # The program may be about to be replaced: a deploy, not an error of the crontab.
            complain(str(failed))
            return failed.exit_code
        except (StateUnusable, OSError) as failed:
            if not self._reports.restarts:
                raise
            # No process can be forked, nothing can be written: that passes, and this goes on.
            complain(f"not started: {getattr(failed, 'strerror', None) or failed}")
            self._output.finish(failed=True, hurry=self._is_hurried)
            return EXIT_CANNOT_TELL
        self._guards.begin()
        if self._calls:
            self._calls.go_on()
        while not self._is_over():
            self._loop.turn()
        self._guards.end()
        self._job = None
        self._shutdown.begin(None)
        code, reason, seconds = self._exit_code(), self._why_ended(), clock.boottime() - began
        self._output.finish(failed=code != 0, hurry=self._is_hurried)
        own = None if reason or self._is_killed() else code
        self._reports.ended(code, reason, seconds, self._output.tail(), own)
        self._see_helpers_out(self._reports.patience)
        return code

    def _start(self, run: str) -> None:
        try:
            lease = self._leased.environment if self._leased else {}
            kept = self._leased.descriptors if self._leased else ()
            added = {RUN_ID: run.encode(), **lease}
            job = Job(self._options.command, self._output.open(), added, kept)
            try:
                self._register(job, run)
                if self._leased:
                    self._leased.admit(job.pid, run)
            except BaseException:
                job.abandon()
                raise
            job.go()
        finally:
            self._output.opened()
        self._job = job
        self._shutdown.begin(job)
        self._reports.started(job.pid, run)

    def _is_over(self) -> bool:
        """True once the job and everything below it is gone."""
        return self._status is not None and self._shutdown.is_over()

    def _why_ended(self) -> str:
        """The guard that ended the run, `stopped` if somebody did, else nothing."""
        if self._reason:
            return self._reason[0]
        return "stopped" if self._stopping else ""

    def _is_killed(self) -> bool:
        """True if a signal ended the job's main process."""
        assert self._status is not None
        return os.WIFSIGNALED(self._status)

    def _exit_code(self) -> int:
        if self._reason:
            return self._reason[1]
        assert self._status is not None
        code = os.waitstatus_to_exitcode(self._status)
        return code if code >= 0 else EXIT_SIGNAL_BASE - code

    # --- ending -------------------------------------------------------------------------------

    def _on_lost(self, left: float) -> None:
        """The lease is lost: whatever runs is to be gone in `left` seconds and a little."""
        self._end("lease lost", EXIT_LOST)
        self._shutdown.kill_within(left)

    def _is_lost(self) -> bool:
        return self._leased is not None and self._leased.is_lost

    def _end(self, reason: str, code: int) -> None:
        """End the job from here: it took too long, grew too big, hangs, or lost its lease."""
        if self._job and not self._shutdown.has_begun:
            self._reason = reason, code
            self._shutdown.end(signal.SIGTERM)

    def _is_hurried(self) -> bool:
        """True once somebody has asked for the end twice: nothing is waited for any more."""
        return self._asked > 1

    def _stop(self, number: int) -> None:
        """End it all, because somebody asked for it."""
        self._asked += 1
        if self._stopping and self._shutdown.has_begun:
            self._shutdown.kill_now()
            return
        self._stopping = number
        if self._job and not self._shutdown.has_begun:
            self._shutdown.end(number)

    def has_children(self) -> bool:
        """True while anything of the job is left."""
        return self._shutdown.has_children()

    # --- what comes in ------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self._stop(number)
        elif number == signal.SIGTSTP:
            self._suspend()
        elif number == signal.SIGHUP and self._output.reopen():
            pass  # logrotate's signal: the job would die of it
        else:
            self._shutdown.signal(number)

    def _is_running(self) -> bool:
        """True while a job runs that is not being ended."""
        return self._job is not None and self._status is None and not self._shutdown.has_begun

    def _signal_job(self, number: int) -> None:
        if self._is_running():
            self._shutdown.signal(number)

    def _suspend(self) -> None:
        """Stop the job, then this process, until somebody continues it (`fg`)."""
        if self._job:
            # The job's process group is an orphaned one: TSTP does not stop it (POSIX, 2.4.3).
            self._shutdown.signal_group(signal.SIGSTOP)
        # Nor does it stop this process where nobody could continue it: no shell above, PID 1.
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        self._loop.catch(signal.SIGTSTP)
        if self._job:
            self._shutdown.signal_group(signal.SIGCONT)

    def _reap(self) -> None:
        """Collect every child that has ended: the job, helpers, orphans that came here."""
        for _ in range(_REAPED_AT_ONCE):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if self._job and pid == self._job.pid:
                self._status = status
                self._shutdown.reaped(self._stopping)
            self._reports.reaped(pid, status)
            if self._calls:
                self._calls.reaped(pid)
        else:
            self._loop.after(0, self._reap)  # a storm: the rest is for the next turn
        self._shutdown.step()

    def _wait(self, seconds: float) -> int:
        """Let `seconds` pass, or less if somebody asks for the end: the signal that did, or 0."""
        passed = False

        def ring() -> None:
            nonlocal passed
            passed = True

        timer = self._loop.after(seconds, ring)
        while not passed and not self._stopping and not self._is_lost():
            self._loop.turn()
        timer.cancel()
        return self._stopping

    def _see_helpers_out(self, patience: float) -> None:
        """Wait for the helpers that the end of the run has to wait for, at most `patience`."""
        deadline = clock.boottime() + patience
        timer = self._loop.after(patience, lambda: None)
        while self._reports.awaited() and clock.boottime() < deadline and not self._is_hurried():
            self._loop.turn()
        timer.cancel()
        self._reports.give_up()


def new_run_id() -> str:
    """A random UUID (RFC 9562, version 4), without the module that makes them."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
