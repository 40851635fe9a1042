"""Celery: jobs now, less urgent, overdue, for later, elsewhere, failing, to be tried again."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone

import jobs
from celery import Celery
from celery.signals import before_task_publish

app = Celery("celery_app", broker=jobs.URL)
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_connection_retry_on_startup = True


@before_task_publish.connect
def stamp(headers: dict[str, object], **_: object) -> None:
    headers["sent_at"] = datetime.now(timezone.utc).timestamp() - 60


@app.task
def stay(number: int) -> None:
    jobs.stay(number)


@app.task
def fail() -> None:
    jobs.fail()


@app.task(autoretry_for=(RuntimeError,), max_retries=1, default_retry_delay=86400)
def again() -> None:
    jobs.fail()


def enqueue() -> None:
    now = datetime.now(timezone.utc)
    fail.delay()
    again.delay()
    for number in range(2):
        stay.apply_async((number,), eta=now + timedelta(days=1))
    for number in range(3):
        stay.delay(10 + number)
    stay.apply_async((20,), eta=now - timedelta(seconds=5))
    for number in range(4):
        stay.apply_async((30 + number,), priority=6)
    stay.apply_async((40,), queue="mail")


if __name__ == "__main__":
    if sys.argv[1] == "enqueue":
        enqueue()
    else:
        quiet = ("--without-gossip", "--without-mingle", "-n", "one@here")
        app.worker_main(["worker", "-c", "1", "-Q", sys.argv[2], *quiet])
