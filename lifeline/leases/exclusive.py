"""exclusive(): code that runs in the background of at most N processes of a fleet."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from ..errors import UsageError
from . import prefork
from .holding import Holding
from .lock import Lock
from .runner import Runner, abandon_all
from .terms import TTL

Value = TypeVar("Value")
_SETTLE = 0.25  # seconds: a child that is forked to become another program has done so by then


class Exclusive:
    """What `exclusive` gives: a place in the queue of a name, in this process.

    In a forked worker that begins by itself, the same object is the worker's own.
    """

    def __init__(self, fn: Callable[[Holding], object], lock: Lock, forks: bool | None) -> None:
        self._fn = fn
        self._lock = lock
        self._runner: Runner | None = None
        where = prefork.place(forks)
        if where == prefork.HERE:
            self._begin(0.0)
        elif where == prefork.FORKED:
            prefork.when_forked(lambda: self._begin(_SETTLE))

    def _begin(self, delay: float) -> None:
        self._runner = Runner(self._fn, self._lock, delay)
        self._runner.start()

    @property
    def name(self) -> str:
        return self._lock.name

    @property
    def lease(self) -> Holding | None:
        """What this process holds now, or None."""
        return self._runner.holding if self._runner else None

    def wait(self, timeout: float | None = None) -> Holding | None:
        """Wait until it is this process's turn: its lease.

        None if that was not within `timeout` seconds, once it is stopped, and at once in a process
        that does not stand by: a master, a forked child.
        """
        return self._runner.wait(timeout) if self._runner else None

    def stop(self, timeout: float | None = None) -> bool:
        """Stand by no more: the lease's `alive` turns false, so that `fn` returns.

        Returns true once it has and the lease is released, false if that took more than `timeout`
        seconds. Until then the lease is renewed. Called by `fn` itself, it does not wait.
        """
        return self._runner.end(timeout) if self._runner else True

    def __repr__(self) -> str:
        return f"<exclusive {self.name!r}: {self.lease or 'holds nothing'}>"


@overload
def exclusive(
    fn: Callable[[Holding], object],
    *,
    name: str,
    store: str | None = None,
    slots: int = 1,
    background: Literal[True] = True,
    ttl: float = TTL,
    grace: float | None = None,
    forks: bool | None = None,
) -> Exclusive: ...
@overload
def exclusive(
    fn: Callable[[Holding], Value],
    *,
    name: str,
    store: str | None = None,
    slots: int = 1,
    background: Literal[False],
    ttl: float = TTL,
    grace: float | None = None,
) -> Value: ...


def exclusive(
    fn: Callable[[Holding], Any],
    *,
    name: str,
    store: str | None = None,
    slots: int = 1,
    background: bool = True,
    ttl: float = TTL,
    grace: float | None = None,
    forks: bool | None = None,
) -> Any:
    """Have `fn(lease)` run in at most `slots` processes of all that call this with the same name.

    Returns at once; `fn` runs in a thread when it is this process's turn, and the lease is held
    for as long as the process lives, also when `fn` has returned. Who has no slot stands by and
    takes over. When the lease is lost, `fn` is told (`lease.alive`, `lease.check()`,
    `lease.on_lost()`); once it has returned, this process stands by again. If `fn` raises, that is
    logged, the lease is released, and this process stands by again after a rest of 1 to 60 s.

    With `background=False` it waits for its turn, calls `fn(lease)` once in this thread under the
    lease and returns what that returns. LeaseLost is raised at the end if the lease was lost.

    `forks=True` says that this process forks workers and that these are to run `fn`, not itself.
    The masters of gunicorn and uWSGI are recognised without it; `forks=False` prevents that.

    `store`, `ttl` and `grace` are those of `lock`. Raises UsageError if they cannot be kept.
    """
    if not callable(fn):
        raise UsageError(f"exclusive() calls a function, and {fn!a} is none")
    if inspect.iscoroutinefunction(fn):
        raise UsageError("exclusive() calls an ordinary function, in a thread; this is a coroutine")
    lock = Lock(name, store, slots=slots, ttl=ttl, grace=grace)
    if background:
        return Exclusive(fn, lock, forks)
    if forks is not None:
        raise UsageError("forks= is for the background: in the foreground, who calls it runs it")
    with lock as lease:
        return fn(lease)


def _after_fork() -> None:
    abandon_all()
    prefork.begin_in_child()


os.register_at_fork(after_in_child=_after_fork)
