"""RQ: three jobs now, one due, one for later, one that waits for another, one that failed."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone

import jobs
from redis import Redis
from rq import Queue, Retry, SimpleWorker, Worker

connection = Redis.from_url(jobs.URL)


def enqueue() -> None:
    queue, now = Queue(connection=connection), datetime.now(timezone.utc)
    queue.enqueue(jobs.fail)
    queue.enqueue(jobs.fail, retry=Retry(max=1, interval=3600))
    SimpleWorker([queue], connection=connection).work(burst=True)
    first, *_ = [queue.enqueue(jobs.stay, number) for number in range(3)]
    queue.enqueue(jobs.stay, 4, depends_on=first)
    queue.enqueue_at(now - timedelta(seconds=90), jobs.stay, 5)
    queue.enqueue_at(now + timedelta(days=1), jobs.stay, 6)
    Queue("mail", connection=connection).enqueue(jobs.stay, 7)


def retry() -> None:
    Queue(connection=connection).enqueue(jobs.stay, 1, retry=Retry(max=3))


def empty() -> None:
    queue = Queue(connection=connection)
    queue.enqueue(jobs.stay, 1)
    (jobs.HERE / "go").touch()
    SimpleWorker([queue], connection=connection).work(burst=True)


if __name__ == "__main__":
    if sys.argv[1] == "work":
        Worker(["default"], connection=connection).work()
    else:
        {"enqueue": enqueue, "empty": empty, "retry": retry}[sys.argv[1]]()
