"""Huey, on the storage that the environment names: tasks now, soon, for later, failing."""

from __future__ import annotations

import os
import sys

import jobs
from huey import PostgresHuey, PriorityRedisHuey, RedisHuey, SqliteHuey

NAME = "my.queue-x"
STORAGES = {
    "redis": lambda: RedisHuey(NAME, url=jobs.URL),
    "priority": lambda: PriorityRedisHuey(NAME, url=jobs.URL),
    "sqlite": lambda: SqliteHuey(NAME, filename=jobs.URL.removeprefix("sqlite:")),
    "postgres": lambda: PostgresHuey(NAME, dsn=jobs.URL),
}
huey = STORAGES[os.environ["STORAGE"]]()


@huey.task()
def stay(number: int) -> None:
    jobs.stay(number)


@huey.task()
def fail() -> None:
    jobs.fail()


@huey.task(retries=1, retry_delay=86400)
def again() -> None:
    jobs.fail()


def enqueue() -> None:
    # Where there are priorities, the order of equals is left to chance.
    first = {} if os.environ["STORAGE"] == "redis" else {"priority": 9}
    huey.enqueue(fail.s(**first))
    huey.enqueue(again.s(**first))
    stay.schedule((5,), delay=86400)
    stay.schedule((4,), delay=3)
    for number in range(3):
        stay(number)


if __name__ == "__main__":
    enqueue() if sys.argv[1] == "enqueue" else huey.create_consumer(workers=1).run()
