"""alock(): the asynchronous twin of lock(), with the same kernel and the same keeper.

The verbs of the store run in a small pool of threads; waiting is the event loop's. A task that is
cancelled while it stands for a slot does not have it afterwards.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any

from .. import clock
from .candidate import Candidate
from .holding import Holding
from .lock import Turn, at_the_end, deadline_of
from .port import Granted, Seen
from .shared import SharedStore
from .standing import Ask, give_up, let_go, standing
from .terms import TTL

_THREADS = 4  # verbs take turns in each store anyway
_pool: ThreadPoolExecutor | None = None


class AsyncLock(Turn):
    """At most `slots` holders of `name`; as Lock, for tasks of an event loop."""

    def _begin(self) -> None:
        super()._begin()
        self._turn = asyncio.Lock()  # of the tasks that share this object

    async def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take a slot; false if none is free, or none was within `timeout` seconds."""
        deadline = deadline_of(blocking, timeout)
        self._after_fork()
        if not await self._take_turn(deadline, blocking):
            return False
        try:
            self._holding = await _stand(self.store, self.candidate(), deadline)
        finally:
            if self._holding is None:
                self._turn.release()
        return self._holding is not None

    async def _take_turn(self, deadline: float | None, blocking: bool) -> bool:
        if self._turn.locked() and not blocking:
            return False
        left = None if deadline is None else max(deadline - clock.boottime(), 0)
        if not self._turn.locked():
            left = None
        try:
            await asyncio.wait_for(self._turn.acquire(), left)
        except asyncio.TimeoutError:
            return False
        return True

    async def release(self) -> None:
        """Free the slot; as Lock.release."""
        holding = self._handed_over()
        try:
            await asyncio.shield(_in_thread(partial(let_go, holding)))
        finally:
            self._turn.release()

    async def locked(self) -> bool:
        """True if every slot is held by somebody. Asks the store."""
        return len(await self.holders()) >= self.slots

    async def holders(self) -> list[Seen]:
        """Who holds a slot. Asks the store."""
        found: list[Seen] = await _in_thread(partial(self.store.holders, self.name))
        return found

    async def __aenter__(self) -> Holding:
        await self.acquire()
        assert self._holding is not None, "acquire() without a limit returns with the lease"
        return self._holding

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with at_the_end(error is not None):
            await self.release()


def alock(
    name: str,
    store: str | None = None,
    slots: int = 1,
    ttl: float = TTL,
    grace: float | None = None,
) -> AsyncLock:
    """The asynchronous twin of `lock`: `async with alock("name", URL) as lease`."""
    return AsyncLock(name, store, slots=slots, ttl=ttl, grace=grace)


async def _stand(
    store: SharedStore, candidate: Candidate, deadline: float | None
) -> Holding | None:
    """Drive the waiting loop in this event loop."""
    steps, answer = standing(store, candidate, deadline), None
    try:
        while True:
            step, answer = steps.send(answer), None
            if isinstance(step, Ask):
                answer = await _asked(store, candidate, step)
            else:
                await _wait_for(step.fd, step.seconds)
    except StopIteration as stopped:
        holding: Holding | None = stopped.value
        return holding
    finally:
        steps.close()


async def _asked(store: SharedStore, candidate: Candidate, step: Ask) -> Any:
    """The answer of a verb; if this task is cancelled meanwhile, what it grants is given back."""
    sent = clock.boottime()
    asked = _threads().submit(step.call)
    try:
        return await asyncio.shield(asyncio.wrap_future(asked))
    except asyncio.CancelledError:

        def give_back(done: Future[Any]) -> None:
            with suppress(Exception):
                granted = done.result()
                if isinstance(granted, Granted):
                    give_up(store, candidate, granted, sent)

        asked.add_done_callback(give_back)
        raise


async def _wait_for(fd: int | None, seconds: float) -> None:
    if fd is None:
        await asyncio.sleep(seconds)
        return
    loop = asyncio.get_running_loop()
    readable = loop.create_future()

    def wake() -> None:
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(fd, wake)
    try:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(readable, seconds)
    finally:
        loop.remove_reader(fd)


async def _in_thread(call: Any) -> Any:
    return await asyncio.wrap_future(_threads().submit(call))


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="lifeline verb")
    return _pool


def _after_fork() -> None:
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_after_fork)
