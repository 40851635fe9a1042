"""Dramatiq: three messages now, one whose delay is over, one for later, two that fail."""

from __future__ import annotations

import sys

import dramatiq
import jobs
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=jobs.URL))


@dramatiq.actor
def stay(number: int) -> None:
    jobs.stay(number)


@dramatiq.actor(max_retries=0)
def fail() -> None:
    jobs.fail()


@dramatiq.actor(max_retries=1, min_backoff=86_400_000)
def again() -> None:
    jobs.fail()


def enqueue() -> None:
    for number in range(3):
        stay.send(number)
    stay.send_with_options(args=(3,), delay=1)
    stay.send_with_options(args=(4,), delay=86_400_000)


if __name__ == "__main__":
    if sys.argv[1] == "enqueue":
        enqueue()
    else:
        fail.send()
        again.send()
