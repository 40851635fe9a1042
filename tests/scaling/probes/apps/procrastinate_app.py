"""Procrastinate: jobs now, past due, for later, failed, to be retried, and with a lock."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, timezone

import jobs
from procrastinate import App, PsycopgConnector, RetryStrategy

app = App(connector=PsycopgConnector(conninfo=jobs.URL))


@app.task(name="stay")
def stay(number: int) -> None:
    jobs.stay(number)


@app.task(name="fail")
def fail() -> None:
    jobs.fail()


@app.task(name="again", retry=RetryStrategy(max_attempts=2, wait=86400))
def again() -> None:
    jobs.fail()


def enqueue() -> None:
    now = datetime.now(timezone.utc)
    with app.open():
        app.schema_manager.apply_schema()
        fail.defer()
        again.defer()
    app.run_worker(wait=False)
    with app.open():
        for number in range(2):
            stay.defer(number=number)
        stay.configure(priority=5).defer(number=2)
        stay.configure(schedule_at=now - timedelta(seconds=90)).defer(number=3)
        stay.configure(schedule_at=now + timedelta(days=1)).defer(number=4)
        for number in range(3):
            stay.configure(lock="one at a time").defer(number=5 + number)
        stay.configure(queue="mail").defer(number=8)


if __name__ == "__main__":
    enqueue() if sys.argv[1] == "enqueue" else app.run_worker(concurrency=1, queues=["default"])
