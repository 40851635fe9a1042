"""A script that keeps itself single. For cron:

* * * * * python3 /srv/app/worker.py
"""

import os
import signal
import sys
import time

from lifeline import lifeline

lifeline()  # goes on only if this script, with these arguments, does not run already

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with open(__file__ + ".log", "a", buffering=1) as log:
    log.write(f"{os.getpid()} start\n")
    try:
        while True:
            time.sleep(0.1)  # the work
            log.write(f"{os.getpid()} alive\n")
    finally:
        log.write(f"{os.getpid()} end\n")
