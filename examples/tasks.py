"""A lifeline as invoke tasks. For cron:

* * * * * cd /srv/app && invoke appname.lifeline

`invoke --list` shows the others: appname.run, appname.status and appname.terminate.
"""

import os
import time
from pathlib import Path

from invoke import Collection, Context

from lifeline import define_lifeline_tasks


def work(context: Context) -> None:
    """What is kept running."""
    with Path(__file__).with_name("tasks.py.log").open("a", buffering=1) as log:
        log.write(f"{os.getpid()} start\n")
        try:
            while True:
                time.sleep(0.1)  # the work
                log.write(f"{os.getpid()} alive\n")
        finally:
            log.write(f"{os.getpid()} end\n")


ns = Collection(define_lifeline_tasks("appname", work))
