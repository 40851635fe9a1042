"""SAQ: three jobs now, one due, one for later, two that failed."""

from __future__ import annotations

import asyncio
import sys
import time

import jobs
from saq import Queue, Worker

queue = Queue.from_url(jobs.URL)


async def stay(_context: object, *, number: int) -> None:
    await asyncio.to_thread(jobs.stay, number)


async def fail(_context: object) -> None:
    jobs.fail()


async def sweep(*_: object) -> list[str]:
    """Nothing. A worker's own sweep at its start may abort the job that it has just taken."""
    return []


async def enqueue() -> None:
    await queue.connect()
    await queue.enqueue("fail", retries=1)
    await queue.enqueue("fail", retries=2, retry_delay=86400)
    worker = Worker(queue, [fail])
    for _ in range(2):
        await worker.process()
    for number in range(3):
        await queue.enqueue("stay", number=number, timeout=0)
    await queue.enqueue("stay", number=3, scheduled=int(time.time()) - 60)
    await queue.enqueue("stay", number=4, scheduled=int(time.time()) + 86400)


if __name__ == "__main__":
    if sys.argv[1] == "enqueue":
        asyncio.run(enqueue())
    else:
        # It never moves what is due: that is how a probe finds it when no worker lives.
        worker = Worker(queue, [stay], concurrency=1, timers={"schedule": 3600})
        queue.sweep = sweep  # type: ignore[method-assign]
        asyncio.run(worker.start())
