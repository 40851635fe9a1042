"""The workers of a local pool: which run, how one is started and told to finish.

A worker is a `lifeline run --name POOL-NUMBER -- COMMAND`; the process table says which there are,
whoever started them. What was told to finish is written down, because many workers take the
second word for "at once" (RQ, Celery, Dramatiq), and a scaler may be a new process at each tick.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from subprocess import DEVNULL, STDOUT, Popen
from typing import TYPE_CHECKING

from .. import clock
from ..errors import CannotTell
from ..processes import lines, records, tree
from ..processes.identity import Identity, named
from ..processes.look import gather
from ..processes.state import SCALING, State
from ..processes.table import Process, Unseen, open_table, snapshot
from ..processes.twins import Candidate

if TYPE_CHECKING:
    from ..processes.table import Table

NUMBER = "{number}"  # in a command or a path: the worker's number
# What the runner would take for itself: its run is not this one's, and a lease is per machine here.
_NOT_PASSED_ON = frozenset(f"LIFELINE_{what}" for what in ("RUN", "LOCK", "NAME", "SLOT", "FENCE"))


@dataclass(frozen=True)
class Worker:
    """One that runs: its number, its runner, and its job, None while that is being started."""

    number: int
    runner: Process
    job: Process | None


class Crew:
    """The workers of the pool `name` on this machine, and of this user."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._table: Table = open_table()
        self._state = State()

    def title(self, number: int) -> str:
        """What a worker is called: the name of its lifeline."""
        return f"{self.name}-{number}"

    def find(self) -> list[Worker]:
        """All that run, by number. Raises CannotTell if a process cannot be judged."""
        needle = os.fsencode(self.name) + b"-"
        everybody = Identity((b"name", b""))
        seen = gather(self._table, self._state, everybody, self._table.candidates(needle))
        runners = dict(self._runners(seen))
        # What a runner has just forked shows its command line for a moment.
        processes = set(runners)
        tops = [each for each in seen if each.facts.process in processes]
        workers = [
            self._worker(runners[each.facts.process], each.facts.process)
            for each in tops
            if not processes.intersection(each.lineage)
        ]
        return sorted(workers, key=lambda worker: worker.number)

    def _runners(self, seen: Iterable[Candidate]) -> Iterable[tuple[Process, int]]:
        for each in seen:
            if each.user != os.geteuid() or not each.local or each.facts.is_dead:
                continue
            if each.identity is None:
                raise CannotTell(f"pid {each.facts.process.pid} cannot be judged: {each.unseen}")
            number = self._number(each.identity)
            if each.identity.runner and number is not None:
                yield each.facts.process, number

    def _number(self, identity: Identity) -> int | None:
        kind, word = identity.words[0], identity.words[-1]
        prefix, _, number = os.fsdecode(word).rpartition("-")
        fits = kind == b"name" and prefix == self.name and number.isascii() and number.isdigit()
        return int(number) if fits and str(int(number)) == number else None

    def _worker(self, number: int, runner: Process) -> Worker:
        identity = named(os.fsencode(self.title(number)))
        record = records.read(self._state, identity) if self._state.check() else None
        job = record.job if record and record.process == runner else None
        return Worker(number, runner, job or self._job_below(runner))

    def _job_below(self, runner: Process) -> Process | None:
        """The job of a runner that could write no record: it leads a session of its own."""
        everybody = snapshot(self._table)
        leaders = {facts.process for facts in everybody if facts.session == facts.process.pid}
        below = (each for each in tree.descendants(everybody, [runner]) if each in leaders)
        return next(below, None)

    # --- busy ---------------------------------------------------------------------------------

    def with_children(self, workers: Iterable[Worker]) -> frozenset[int]:
        """The numbers of those whose job has a child process: one that forks for each job."""
        parents = {facts.parent for facts in snapshot(self._table)}
        return frozenset(each.number for each in workers if each.job and each.job.pid in parents)

    # --- told to finish -----------------------------------------------------------------------

    def told(self, workers: Iterable[Worker]) -> dict[Worker, float]:
        """Those that were told to finish, and for how many seconds they have known."""
        if not self._state.check():
            return {}
        fields = lines.decode(self._state.read(SCALING, self._file) or b"") or {}
        if fields.get(b"boot") != [self._table.boot()]:
            return {}
        known = dict(_told(line) for line in fields.get(b"told", ()))
        now = clock.boottime()
        return {each: now - known[each.runner] for each in workers if each.runner in known}

    def tell(self, workers: Sequence[Worker], number: int, before: Mapping[Worker, float]) -> None:
        """Signal the job of each, which finishes what it does and ends; nobody twice.

        Only the job's main process: the runner would signal all that is below it, and so end the
        job that a worker's child is working on. It is written down first, so that whatever happens
        here, no worker hears it again. Raises StateUnusable if it cannot be.
        """
        now = clock.boottime()
        known = {**{each: now - ago for each, ago in before.items()}, **dict.fromkeys(workers, now)}
        told = [
            (b"told", b"%d %d %.3f" % (each.runner.pid, each.runner.start, at))
            for each, at in known.items()
        ]
        content = lines.encode([(b"boot", self._table.boot()), *told])
        self._state.write(SCALING, self._file, content)
        for each in workers:
            if each.job:
                tree.send(self._table, each.job, number)

    @property
    def _file(self) -> bytes:
        return b"pool-" + hashlib.sha256(os.fsencode(self.name)).hexdigest()[:32].encode()

    # --- starting -----------------------------------------------------------------------------

    def start(self, number: int, command: Sequence[str], log: str | None) -> Popen[bytes]:
        """The runner of a new worker. It outlives this process; nothing of it is kept open."""
        options = ["--name", self.title(number), "--leftovers", "count"]
        if log not in (None, "-"):
            options += ["--log", str(log).replace(NUMBER, str(number))]
        words = [word.replace(NUMBER, str(number)) for word in command]
        given = {k: v for k, v in os.environ.items() if k not in _NOT_PASSED_ON}
        own = None if log == "-" else DEVNULL
        return Popen(
            [sys.executable, "-m", "lifeline", "run", *options, "--", *words],
            env={**given, "LIFELINE_POOL": self.name, "LIFELINE_NUMBER": str(number)},
            stdin=DEVNULL,
            stdout=own,
            stderr=own if own is None else STDOUT,
            start_new_session=True,
        )

    def has_begun(self, number: int, runner: int) -> bool:
        """True once the runner with this pid has a job that has become the command."""
        if not self._state.check():
            return False
        record = records.read(self._state, named(os.fsencode(self.title(number))))
        if record is None or record.process.pid != runner or record.job is None:
            return False
        try:
            # In this order: until it has become the command, the job shows the runner's own line.
            before, shown = map(self._table.command_line, (runner, record.job.pid))
            return bool(before and shown) and before != shown
        except Unseen:
            return True  # it hides itself, which takes a program of its own


def _told(line: bytes) -> tuple[Process, float]:
    pid, start, at = line.split()
    return Process(int(pid), int(start)), float(at)


SIGNALS = {
    name: getattr(signal, "SIG" + name) for name in ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2")
}
