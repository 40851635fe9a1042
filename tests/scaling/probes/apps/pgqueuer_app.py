"""PgQueuer: jobs now, of other priority, for later, of another entrypoint, and one that fails."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

import jobs
import psycopg
from pgqueuer import PgQueuer
from pgqueuer.db import PsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries


async def connected() -> PsycopgDriver:
    return PsycopgDriver(await psycopg.AsyncConnection.connect(jobs.URL, autocommit=True))


async def enqueue() -> None:
    queries = Queries(await connected())
    await queries.install()
    for number in range(2):
        await queries.enqueue("stay", str(number).encode())
    await queries.enqueue("stay", b"2", priority=7)
    await queries.enqueue("stay", b"3", execute_after=timedelta(days=1))
    await queries.enqueue("other", b"4")
    await queries.enqueue("fail", None, priority=9)


async def work() -> None:
    workers = PgQueuer(await connected())

    @workers.entrypoint("stay")
    async def stay(job: Job) -> None:
        await asyncio.to_thread(jobs.stay, int(job.payload or b"0"))

    @workers.entrypoint("fail")
    async def fail(_job: Job) -> None:
        jobs.fail()

    await workers.run(batch_size=1, max_concurrent_tasks=2, dequeue_timeout=timedelta(seconds=1))


if __name__ == "__main__":
    asyncio.run(enqueue() if sys.argv[1] == "enqueue" else work())
