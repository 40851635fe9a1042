"""Ending processes: the exact ones that were found, whole trees, nothing else.

TERM, and CONT to those that are stopped; after the grace KILL; "ended" is said only when every
one is gone. A process is signalled through a pidfd that was opened before its start time was
checked, so that a pid used again is never hit (pidfd_open(2), Linux 5.3; elsewhere the check
comes right before the signal).
"""

import os
import time

from ..clock import boottime
from .identity import identify
from .places import ProcessPlace
from .table import Process, Unseen, lineage, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Collection, Iterable

    from .identity import Words
    from .table import Facts, Table
else:  # the module below `signal`, without its enums
    import _signal as signal

GRACE = 10.0  # seconds between TERM and KILL
_LAST_WORDS = 5.0  # seconds for a runner to report and clean up after its job was killed
_AFTER_KILL = 5.0  # seconds for the kernel to remove what was killed
_FIRST_PAUSE, _LONGEST_PAUSE, _KILLING_PAUSE = 0.002, 0.1, 0.01


class Ended:
    """One process that was ended: `signal` is the last that it got from here, TERM or KILL.

    None if it got none: whoever was told, its runner or its parent, has seen to its end, and how
    is not known here. `gone` is False for one that did not even go after KILL (it hangs in the
    kernel) or that may not be signalled; `reason` says which.
    """

    __slots__ = ("command", "gone", "process", "reason", "signal")

    def __init__(self, process: Process, command: "Words") -> None:
        self.process = process
        self.command = command
        self.signal: str | None = None
        self.gone = True
        self.reason = ""


def send(table: "Table", process: Process, number: int) -> bool:
    """Send a signal to that very process; False if it is gone. Raises PermissionError."""
    try:
        fd = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else -1
    except ProcessLookupError:
        return False
    except OSError:  # a kernel without pidfd
        fd = -1
    try:
        facts = visible(table, process.pid)
        if facts is None or facts.process != process:
            return False
        if fd < 0:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        if fd >= 0:
            os.close(fd)
    return True


def descendants(everybody: "Collection[Facts]", roots: "Iterable[Process]") -> "list[Process]":
    """Every process below `roots`, parents before children; the roots are not included.

    Nobody is below a root that is gone: its pid may be somebody else's by now, whose children are
    younger than the root as well.
    """
    alive = {facts.process for facts in everybody}
    children: dict[int, list[Process]] = {}
    for facts in everybody:
        children.setdefault(facts.parent, []).append(facts.process)
    found: list[Process] = []
    pending = [root for root in roots if root in alive]
    while pending:
        above = pending.pop(0)
        for child in children.get(above.pid, ()):
            if child.start >= above.start and child not in found:
                found.append(child)
                pending.append(child)
    return found


class Ending:
    """The end of everything that `find` finds, and goes on finding: TERM, CONT, grace, STOP, KILL.

    It goes step by step, so that a runner can do other things in between. `find` is asked at each
    step, so that what is forked meanwhile is ended too. Each process gets TERM once, but these,
    for which there is KILL only:

    * those in `told`, who have been told already, and with `aloof` everybody, until `tell` says
      that this was not enough;
    * what is below a runner (those in `runners`, and what shows to be one), or below one of
      `tellers`, for as long as that is there: it passes TERM on, in its own way;
    * `helpers` of those `runners`, and what these and they start from now on: they report the end,
      and once the runners have gone by themselves they are nobody's concern;
    * what somebody has started since he was told to end, for as long as he is there: a cleanup.

    `runners` and `helpers` get KILL `LAST_WORDS` seconds after the others. `since` is when TERM
    was sent to those in `told`, in the unit of start times; that is coarse, so those in `before`,
    who were seen by then, have started before it whatever their start times say.
    """

    def __init__(
        self,
        table: "Table",
        find: "Callable[[], list[Process]]",
        grace: float = GRACE,
        told: "frozenset[Process]" = frozenset(),
        since: "int | None" = None,
        *,
        before: "frozenset[Process]" = frozenset(),
        aloof: bool = False,
        runners: "frozenset[Process]" = frozenset(),
        tellers: "frozenset[Process]" = frozenset(),
        helpers: "frozenset[Process]" = frozenset(),
    ) -> None:
        self._table = table
        self._find = find
        self._told = set(told)
        self._since = since  # before the first TERM there are no cleanups
        self._before = before
        self._aloof = aloof
        self._reporting = runners
        self._tellers = {*runners, *tellers}
        self._helpers = set(helpers)
        self._last = {*runners, *helpers}
        self._kill_at = boottime() + grace
        self._ended: dict[Process, Ended] = {}
        self._first: set[Process] | None = None  # who was there at the first step
        self._termed: set[Process] = set()
        self._halted: set[Process] = set()
        self.living: list[Process] = []

    @property
    def kill_in(self) -> float:
        """Seconds until KILL; negative once that has come."""
        return self._kill_at - boottime()

    def kill_now(self) -> None:
        """Let the next step be KILL."""
        self.kill_within(0)
        self._last.clear()

    def kill_within(self, seconds: float) -> None:
        """Let KILL come in `seconds`, or earlier if it would."""
        self._kill_at = min(self._kill_at, boottime() + seconds)

    def tell(self) -> None:
        """Let TERM be the next step for all who had none from here."""
        self._told.clear()
        self._aloof = False

    def step(self) -> bool:
        """Do what is due; True once nobody is left, or nobody who can be ended."""
        self.living = [process for process in self._find() if self._table.is_alive(process)]
        began = self._table.now()
        living = {process.pid: process for process in self.living}
        fresh = [process for process in self.living if process not in self._ended]
        for process in fresh:  # all command lines first: the first signal may end several
            self._take_in(process, living)
        if self._first is None:
            self._first = set(fresh)
        if self._is_reported():
            self.living = [process for process in self.living if process not in self._helpers]
        doomed = [process for process in self.living if self._is_doomed(process)]
        for process in self.living:
            if process in doomed:
                continue
            if not self._is_spared(process, living):
                self._termed.add(process)
                if self._attempt(process, signal.SIGTERM):
                    self._ended[process].signal = "TERM"
                self._attempt(process, signal.SIGCONT)
            elif process in fresh:
                self._attempt(process, signal.SIGCONT)
        if self._since is None and not self._aloof:
            self._since = began
        self._kill(doomed)
        return not self.living or self.is_hopeless()

    def _take_in(self, process: Process, living: "dict[int, Process]") -> None:
        words = shown(self._table, process)
        self._ended[process] = Ended(process, words)
        if _is_runner(self._table, process, words):
            self._tellers.add(process)
        if self._is_new(process) and self._parent(process, living) in self._last:
            self._helpers.add(process)
            self._last.add(process)

    def _is_reported(self) -> bool:
        """True once the runners are gone, and not by KILL: they have ended all that was theirs."""
        return bool(self._reporting) and not any(
            each in self.living or (each in self._ended and self._ended[each].signal == "KILL")
            for each in self._reporting
        )

    def _is_spared(self, process: Process, living: "dict[int, Process]") -> bool:
        """True if a process gets no TERM now: it had one, or is one of those who get none."""
        if self._aloof or process in self._told or process in self._termed:
            return True
        if process in self._helpers or (
            # One that did not survive TERM has started nothing after it: what it had just started
            # is nobody's now.
            self._is_new(process) and self._parent(process, living)
        ):
            return True
        facts = visible(self._table, process.pid) if self._tellers else None
        return facts is not None and not self._tellers.isdisjoint(lineage(self._table, facts))

    def _is_new(self, process: Process) -> bool:
        """True if a process started after TERM was sent."""
        return (
            self._since is not None and process.start >= self._since and process not in self._before
        )

    def _parent(self, process: Process, living: "dict[int, Process]") -> "Process | None":
        """Whoever is above a process, if that is one of those who are ended."""
        facts = visible(self._table, process.pid)
        return living.get(facts.parent) if facts and facts.process == process else None

    def _is_doomed(self, process: Process) -> bool:
        return self.kill_in + (_LAST_WORDS if process in self._last else 0) <= 0

    def _kill(self, doomed: "list[Process]") -> None:
        """Stop each of them, and kill it in the step after, which has seen its last children.

        One that is killed right after it has forked leaves a child that is below nobody.
        """
        for process in doomed:
            if process not in self._halted:
                self._halted.add(process)
                self._attempt(process, signal.SIGSTOP)
            elif self._ended[process].signal != "KILL":
                self._ended[process].signal = "KILL"
                self._attempt(process, signal.SIGKILL)

    def is_hopeless(self) -> bool:
        """True if those left may not be signalled, or did not go after KILL."""
        barred = [self._ended[process].reason for process in self.living]
        return (bool(barred) and all(barred)) or self.kill_in < -(_AFTER_KILL + _LAST_WORDS)

    def result(self) -> "list[Ended]":
        """One entry for each process that was there, in the order found.

        Not for helpers of a runner that ended by themselves, nor for what came later and went
        again without a signal from here.
        """
        for process in self.living:
            entry = self._ended[process]
            entry.gone = False
            entry.reason = entry.reason or "hangs in the kernel and did not go after KILL"
        first = (self._first or set()) - self._helpers
        return [
            entry
            for process, entry in self._ended.items()
            if process in first or entry.signal or not entry.gone
        ]

    def _attempt(self, process: Process, number: int) -> bool:
        """Send a signal; True if that very process got it."""
        try:
            return send(self._table, process, number)
        except PermissionError:
            self._ended[process].reason = "may not be signalled by this user"
            return False


def end(ending: Ending) -> "list[Ended]":
    """See an ending through; what it ended."""
    pause = _FIRST_PAUSE
    while not ending.step():
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE if ending.kill_in > 0 else _KILLING_PAUSE)
    return ending.result()


def _is_runner(table: "Table", process: Process, words: "Words") -> bool:
    """True if its argument list shows a `lifeline run`."""
    if b"run" not in words:
        return False
    try:
        return identify(words, ProcessPlace(table, process.pid)).runner
    except Unseen:
        return False


def shown(table: "Table", process: Process) -> "Words":
    """The argument list of a process; nothing if it may not be seen, or is gone."""
    try:
        return table.command_line(process.pid) or ()
    except Unseen:
        return ()
