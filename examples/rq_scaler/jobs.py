"""Jobs for the queue that lifeline.toml beside this looks at: `python jobs.py 20` adds twenty."""

import os
import sys
import time
from pathlib import Path


def send(number: int) -> None:
    """The work."""
    time.sleep(0.5)
    with Path(__file__).with_name("sent.log").open("a") as log:
        log.write(f"{number}\n")


if __name__ == "__main__":
    from redis import Redis
    from rq import Queue

    queue = Queue("mail", connection=Redis.from_url(os.environ["REDIS_URL"]))
    numbers = range(int(sys.argv[1]))
    queue.enqueue_many([Queue.prepare_data("jobs.send", (number,)) for number in numbers])
