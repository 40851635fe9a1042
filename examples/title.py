"""A program that rewrites its title, as many servers do: `ps` shows nothing of its command line.

`lifeline run` is found all the same, because it keeps its own. For cron:

* * * * * lifeline run -- python3 /srv/app/title.py
"""

import os
import signal
import sys
import time

try:
    from setproctitle import setproctitle
except ImportError:  # an ordinary program, then

    def setproctitle(title: str) -> None:
        pass


setproctitle("app: working")
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with open(__file__ + ".log", "a", buffering=1) as log:
    log.write(f"{os.getpid()} start\n")
    try:
        while True:
            time.sleep(0.1)  # the work
            log.write(f"{os.getpid()} alive\n")
    finally:
        log.write(f"{os.getpid()} end\n")
