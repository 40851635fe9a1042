"""arq: four jobs now, one of them long due, one for later, two that fail before."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import jobs
from arq import Retry, Worker, create_pool
from arq.connections import RedisSettings

settings = RedisSettings.from_dsn(jobs.URL)


async def stay(_context: object, number: int) -> None:
    await asyncio.to_thread(jobs.stay, number)


async def fail(_context: object) -> None:
    jobs.fail()


async def again(_context: object) -> None:
    raise Retry(defer=86400)


async def enqueue() -> None:
    pool = await create_pool(settings)
    for name in ("fail", "again"):
        await pool.enqueue_job(name, _defer_by=timedelta(seconds=-100))
    for number in range(3):
        await pool.enqueue_job("stay", number)
    await pool.enqueue_job("stay", 3, _defer_by=timedelta(seconds=-90))
    await pool.enqueue_job("stay", 4, _defer_by=timedelta(days=1))


if __name__ == "__main__":
    if sys.argv[1] == "enqueue":
        asyncio.run(enqueue())
    else:
        Worker([stay, fail, again], redis_settings=settings, max_jobs=2).run()
