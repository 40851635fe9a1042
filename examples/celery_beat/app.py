"""Celery beat on two hosts, and one of them runs it. In each host's crontab:

* * * * * cd /srv/app && lifeline run --name beat --lock env:LOCK_URL --wait -- celery -A app beat

The name makes it one lifeline, wherever celery is installed. The other host stands by and takes
over; a tick that finds its own host standing by leaves. `lifeline lock holders --lock env:LOCK_URL`
says who has it. LOCK_URL may be the broker's Redis, or any other store.
"""

import os

from celery import Celery

app = Celery("app", broker=os.environ["BROKER_URL"])


@app.task
def remind(fence: int) -> None:
    """The work, on whichever worker takes it. An older fence than the last one came too late."""


app.conf.beat_schedule = {
    "remind": {
        "task": "app.remind",
        "schedule": 1.0,
        "args": [int(os.environ.get("LIFELINE_FENCE", "0"))],
    },
}
