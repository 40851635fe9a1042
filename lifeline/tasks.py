"""invoke tasks for a lifeline, so that `invoke appname.lifeline` is a crontab's line.

from invoke import Collection
from lifeline import define_lifeline_tasks

ns = Collection(define_lifeline_tasks("appname", body))
"""

import os
import signal
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import Task, task

from . import clock
from .embed import Claim, claim_or_exit, tell_end
from .ending import end_below, end_running
from .errors import LifelineError, complain, show_words
from .overview import overview
from .processes import records
from .processes.identity import Identity
from .processes.state import State
from .processes.table import open_table
from .program import own_command


def define_lifeline_tasks(
    name: str, body: Callable[[Context], object], pre: "Iterable[Task[Any]]" = ()
) -> Collection:
    """A collection `name` with the tasks lifeline, run, terminate and status around `body`.

    `lifeline` runs the body unless a twin does, quietly: the line for cron. `run` is the same for
    a person, and says so if a twin runs; the two are twins of each other. `pre` tasks are run
    first, and only if the body is going to run. A TERM ends what the body started, too.
    """
    pre = list(pre)

    @task
    def claim_quietly(_context: Context) -> None:
        _end_children_on_term(claim_or_exit(records.TASK))

    @task
    def claim_aloud(_context: Context) -> None:
        _end_children_on_term(claim_or_exit(records.TASK, aloud=True))

    @task(name="lifeline", pre=[claim_quietly, *pre])
    def lifeline_(context: Context) -> object:
        return body(context)

    @task(pre=[claim_aloud, *pre])
    def run(context: Context) -> object:
        return body(context)

    @task
    def terminate(_context: Context) -> None:
        _terminate(name)

    @task
    def status(_context: Context) -> None:
        _status(name)

    lifeline_.__doc__ = f"Run {name} unless it runs already: the line for cron."
    run.__doc__ = f"Run {name} here, unless it runs already."
    terminate.__doc__ = f"End {name} and everything that it started."
    status.__doc__ = f"Show whether {name} runs."
    return Collection(name, lifeline_, run, terminate, status)


def _sibling(name: str) -> Identity:
    """The `run` task beside the task that this process was asked for."""
    _, directory, *words = own_command().words
    asked = next(
        (word for word in words if word.rpartition(b".")[2] in (b"terminate", b"status")),
        os.fsencode(f"{name}.run"),
    )
    prefix, dot, _ = asked.replace(b"_", b"-").rpartition(b".")
    return Identity((b"invoke", directory, prefix + dot + b"run"))


def _terminate(name: str) -> None:
    try:
        ended = end_running(open_table(), State(), _sibling(name))
    except LifelineError as error:
        complain(error)
        raise SystemExit(error.exit_code) from None
    for each in ended:
        word = "ended" if each.gone else "still there"
        print(f"{word} pid {each.process.pid}  {show_words(each.command, 80)}")
    if not ended:
        print(f"{name} was not running")
    if not all(each.gone for each in ended):
        raise SystemExit(1)


def _status(name: str) -> None:
    running = overview(_sibling(name))
    for each in running:
        age = clock.show_duration(clock.wall() - each.since)
        print(f"{name} runs: pid {each.process.pid}, for {age}")
    if not running:
        print(f"{name} does not run")
        raise SystemExit(3)


def _end_children_on_term(claim: Claim) -> None:
    """On TERM, end everything below this process, then die of the same signal.

    invoke by itself leaves what `c.run` started behind.
    """

    def on_term(number: int, _frame: "FrameType | None") -> None:
        signal.signal(number, signal.SIG_IGN)
        end_below(open_table())
        tell_end(claim)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, on_term)
