"""A pool of workers on this machine: lifelines, so many as there is work for.

    target = { kind = "pool", name = "mail", command = ["/srv/app/worker"], busy = "children" }

What `read` tells is how many of them take work, from the process table: one that was told to finish
takes none and does not count, though it is there until its job is done. None is killed: a worker is
told once, finishes its job, however long that takes, and ends. Idle ones are told first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, islice
from subprocess import Popen

from ...ending import terminate
from ...errors import LifelineError, UsageError
from ...options import check_name
from .. import checking
from ..bounded import TIMEOUT, Bounded, Deadline
from ..busyness import Busy, busy_of
from ..checking import BadOption
from ..errors import TargetError
from ..options import Options
from ..workers import NUMBER, SIGNALS, Crew, Worker

SETS = {"name": None}
_OPTIONS = ("name", "command", "busy", "signal", "grace", "log", "timeout")
_ROUNDS = 3  # of starting, where some numbers are held or still in use
_PAUSE = 0.01  # seconds
_SOON = 10.0  # seconds: a worker that fails before has not worked
_AFTER_GRACE = 2.0  # seconds from TERM to KILL for a worker whose grace is over


def make(options: Mapping[str, object]) -> Pool:
    """The target that `options` describe. Raises UsageError."""
    checking.known(options, _OPTIONS, "option of pool")
    read = Options(options, "pool")
    try:
        name = check_name(read.text("name"))
    except UsageError as error:
        raise BadOption(("name",), str(error)) from None
    return Pool(
        name,
        read.words("command"),
        busy=busy_of(options["busy"], name) if "busy" in options else None,
        signal=checking.one_of(*SIGNALS)("signal", options.get("signal", "TERM")),
        grace=read.seconds("grace", 0) if "grace" in options else None,
        log=_log(options, read),
        timeout=read.seconds("timeout", TIMEOUT),
    )


def _log(options: Mapping[str, object], read: Options) -> str | None:
    if "log" not in options:
        return None
    log = read.text("log")
    if log != "-" and NUMBER not in log:
        raise BadOption(("log",), f"log needs {NUMBER}, or all workers would rotate the same file")
    return log


class Pool(Bounded):
    """Workers `name`-1, `name`-2, … that run `command`, each in a lifeline of its own.

    `{number}` in a word of the command is the worker's number, and so is LIFELINE_NUMBER in its
    environment. `signal` asks a worker to finish: it goes to its main process, once. After `grace`
    seconds `tend` ends it with all below it; None waits for as long as it takes. `log` is a file,
    or "-" for this process's own output.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        busy: Busy | None = None,
        signal: str = "TERM",
        grace: float | None = None,
        log: str | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(timeout)
        self._crew = Crew(name)
        self._command = tuple(command)
        self._is_busy = busy
        self._signal = SIGNALS[signal]
        self._grace = grace
        self._log = log
        self._children: list[_Child] = []
        self._failed = ""
        if busy:
            self.busy = self._count_busy
        if grace is not None:
            self.tend = self._end_overdue

    busy: Callable[[], int] | None = None  # without a way to tell, nobody is said to be idle
    tend: Callable[[], None] | None = None  # without a grace, nobody is ended

    def read(self) -> int:
        """How many workers take work. Raises TargetError."""
        self._reap()
        with self._translated():
            workers = self._crew.find()
            return len(workers) - len(self._crew.told(workers))

    def write(self, n: int) -> None:
        """Start workers or tell some to finish, so that `n` will take work. Raises TargetError."""
        deadline = self.deadline()
        self._reap()
        with self._translated():
            workers = self._crew.find()
            told = self._crew.told(workers)
            there = [each for each in workers if each not in told]
            if n > len(there):
                self._start(n - len(there), {each.number for each in workers}, deadline)
            elif n < len(there):
                self._let_go(len(there) - n, there, told, deadline)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TargetError:
            raise
        except LifelineError as error:  # the state directory, a process that cannot be judged
            raise TargetError(f"pool {self._crew.name}: {error}") from None

    # --- fewer --------------------------------------------------------------------------------

    def _let_go(
        self,
        many: int,
        workers: Sequence[Worker],
        told: Mapping[Worker, float],
        deadline: Deadline,
    ) -> None:
        there = [each for each in workers if each.job]
        if not there:
            return
        busy = self._numbers_of_busy(there, deadline)
        # The highest number first among those that are as idle as each other.
        there.sort(key=lambda each: (each.number in busy, -each.number))
        self._crew.tell(there[:many], self._signal, told)
        for child in self._children:
            child.told |= any(each.runner.pid == child.process.pid for each in there[:many])

    def _end_overdue(self) -> None:
        """End those that were told to finish longer than their grace ago. Raises TargetError."""
        deadline = self.deadline()
        with self._translated():
            for each, seconds in self._crew.told(self._crew.find()).items():
                if self._grace is not None and seconds > self._grace and not deadline.has_passed():
                    terminate(name=self._crew.title(each.number), grace=_AFTER_GRACE)

    def _numbers_of_busy(self, workers: Sequence[Worker], deadline: Deadline) -> set[int]:
        if not self._is_busy:
            return set()
        return set(self._is_busy(workers, deadline.left_for("asking which workers are busy")))

    def _count_busy(self) -> int:
        """How many workers are at work. Raises TargetError if that cannot be told."""
        with self._translated():
            return len(self._numbers_of_busy(self._crew.find(), self.deadline()))

    # --- more ---------------------------------------------------------------------------------

    def _start(self, many: int, taken: set[int], deadline: Deadline) -> None:
        """Start `many` with the lowest free numbers. One that stands down leaves its number."""
        codes: dict[int, int] = {}
        for _ in range(_ROUNDS):
            numbers = list(islice((n for n in count(1) if n not in taken), many))
            ended = self._see_start([self._begin(each, deadline) for each in numbers], deadline)
            taken.update(numbers)
            codes.update(ended)
            many = len(ended)
            if not many or any(ended.values()):
                break
        if many:
            number, code = next((each for each in sorted(codes.items()) if each[1]), (0, 0))
            why = "what they left, or a hold, is in the way"
            told = f"{self._crew.title(number)} ended with exit code {code}" if number else why
            raise TargetError(f"{many} workers were not started: {told}")
        self._reap()  # one that was about to end as it was counted
        if self._failed:
            failed, self._failed = self._failed, ""
            raise TargetError(failed)  # so that the scaler takes its time

    def _begin(self, number: int, deadline: Deadline) -> _Child:
        title = self._crew.title(number)
        deadline.left_for(f"starting {title}")
        try:
            process = self._crew.start(number, self._command, self._log)
        except OSError as error:
            raise TargetError(f"{title} cannot be started: {error.strerror}") from None
        child = _Child(number, process)
        self._children.append(child)
        return child

    def _see_start(self, children: Sequence[_Child], deadline: Deadline) -> dict[int, int]:
        """The exit codes of those that did not begin; the others have, or are slow."""
        pending, ended = list(children), {}
        while pending and not deadline.has_passed():
            for child in tuple(pending):
                if self._crew.has_begun(child.number, child.process.pid):
                    pending.remove(child)
                elif child.process.poll() is not None:
                    ended[child.number] = child.process.returncode
                    pending.remove(child)
                    self._children.remove(child)
            if pending:
                time.sleep(_PAUSE)
        return ended

    def _reap(self) -> None:
        """Take note of those that this process started and that have ended."""
        for child in tuple(self._children):
            code = child.process.poll()
            if code is None:
                continue
            self._children.remove(child)
            lived = time.monotonic() - child.began
            if code and lived < _SOON and not child.told:
                self._failed = (
                    f"{self._crew.title(child.number)} ended with exit code {code} after less than "
                    f"{lived + 1:.0f} s; another was started"
                )


class _Child:
    """A runner that this process has started; `told` once its worker was told to finish."""

    def __init__(self, number: int, process: Popen[bytes]) -> None:
        self.number = number
        self.process = process
        self.began = time.monotonic()
        self.told = False
