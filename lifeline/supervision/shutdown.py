"""The end of a run: the job and everything below the runner, until the kernel knows of nobody.

Step by step, at a timer and at every child that ends, so that the runner does other things in
between. The runner's own helpers (hooks, pings) are let be.
"""

import os

from ..errors import complain
from ..processes import tree
from ..processes.table import me, snapshot, visible
from .memory import children_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from ..options import RunOptions
    from ..processes.table import Process, Table
    from .job import Job
    from .loop import Loop, Timer
else:
    import _signal as signal

_STEP_AFTER_KILL = 0.02  # seconds


class Shutdown:
    """Signals the job, and ends its tree: one run after the other.

    `helpers` are the pids of the runner's own children, whose sessions are none of the job's.
    """

    def __init__(
        self, table: "Table", loop: "Loop", options: "RunOptions", helpers: "set[int]"
    ) -> None:
        self._table = table
        self._loop = loop
        self._grace = options.grace
        self._is_main_alone = options.signal_to == "main"
        self._helpers = helpers
        self._job: Job | None = None
        self._is_reaped = False  # the job's main process
        self._ending: tree.Ending | None = None
        self._next_step: Timer | None = None

    def begin(self, job: "Job | None") -> None:
        """From now on it is about this job; None: there is none."""
        self._job = job
        self._is_reaped = False
        self._ending = None

    @property
    def has_begun(self) -> bool:
        """True if the run is being ended."""
        return self._ending is not None

    # --- signals ------------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Pass a signal on to the job, as `--signal-to` wants it."""
        if self._job is None:
            return
        if not self._is_main_alone or number == signal.SIGCONT:  # which undoes a STOP to all
            self.signal_group(number)
        elif not self._is_reaped:  # else its pid may be somebody else's by now
            self._job.signal_main(number)

    def signal_group(self, number: int) -> None:
        """Send a signal to the job's process group in one stroke, if there still is one."""
        if self._job and self._has_group(self._job.pid):
            self._job.signal(number)

    def end(self, number: int) -> None:
        """Pass on what is to end the job; the rest of the tree gets TERM, or will get it."""
        if self._is_main_alone:
            self.signal(number)
            self._end_tree(aloof=True)
            return
        before = frozenset(facts.process for facts in snapshot(self._table))
        since = self._table.now()
        self.signal(number)
        leader = self._job.pid if self._job else 0
        group = (f.process for f in snapshot(self._table) if f.group == leader)
        # Any other can have heard nothing: somebody has started it since.
        told = frozenset(each for each in group if each in before or each.start < since)
        self._end_tree(told, since, before)

    def reaped(self, by: int) -> None:
        """The job's main process has ended; `by` is the signal that asked for it, or 0."""
        self._is_reaped = True
        # A shell's background processes ignore INT: POSIX sh, 2.11.
        if self._ending and (self._is_main_alone or by == signal.SIGINT):
            self._ending.tell()

    def kill_now(self) -> None:
        """Wait no longer for those who were told to end."""
        if self._ending:
            self._ending.kill_now()
            self.step()

    def kill_all(self) -> None:
        """KILL what there is, without a grace."""
        if self._ending is None:
            self._end_tree()
        self.kill_now()

    def kill_within(self, seconds: float) -> None:
        """Wait that long for them, at most."""
        if self._ending:
            self._ending.kill_within(seconds)
            self.step()

    # --- the tree -----------------------------------------------------------------------------

    def is_over(self) -> bool:
        """True once nobody is left, or nobody who can be ended; whatever is left is being ended."""
        if self._ending is None:
            if not self._below() and not self.has_children():
                return True
            self._end_tree()
        ending = self._ending
        if ending is None or ((ending.living or self.has_children()) and not ending.is_hopeless()):
            return False
        for left in ending.result():
            if not left.gone:
                complain(f"pid {left.process.pid} {left.reason}")
        if not ending.living and self.has_children():
            complain("processes that start each other over and over could not be ended")
        return True

    def step(self) -> None:
        """Take the ending a step on, if there is one, and see to it that the next one comes."""
        ending = self._ending
        if ending is None:
            return
        if self._next_step:
            self._next_step.cancel()
        ending.step()
        if ending.kill_in <= 0:
            self.signal_group(signal.SIGKILL)  # nothing in it can fork its way out
        if ending.living or self.has_children():
            delay = max(ending.kill_in, _STEP_AFTER_KILL)
            self._next_step = self._loop.after(delay, self.step)

    def has_children(self) -> bool:
        """True while the kernel knows of a child that is the job's, dead or alive.

        Exact, where a look at the table is not: what forks and exits over and over slips through
        that, but until its zombie is reaped here, its orphan is on the list.
        """
        for pid in children_of(os.getpid()):
            facts = visible(self._table, pid)
            if pid not in self._helpers and (facts is None or facts.session not in self._helpers):
                return True
        return False

    def _end_tree(
        self,
        told: "frozenset[Process]" = frozenset(),
        since: "int | None" = None,
        before: "frozenset[Process]" = frozenset(),
        *,
        aloof: bool = False,
    ) -> None:
        self._ending = tree.Ending(
            self._table, self._below, self._grace, told, since, before=before, aloof=aloof
        )
        self.step()

    def _has_group(self, leader: int) -> bool:
        """True if the group of that number is the job's, and not somebody else's by now.

        The number is given again once the leader is reaped, here, and nobody is in the group. A
        group is within one session, so where one of it is below this process, all are of the job.
        """
        if not self._is_reaped:
            return True
        below = set(self._below())
        return any(f.group == leader and f.process in below for f in snapshot(self._table))

    def _below(self) -> "list[Process]":
        """Everything below this process, but its own helpers."""
        everybody = snapshot(self._table)
        # Each helper leads a session of its own, and what it starts stays in there; one that was
        # forked in this moment is only about to make it.
        others = [f for f in everybody if not {f.session, f.process.pid} & self._helpers]
        return tree.descendants(others, [me(self._table).process])
