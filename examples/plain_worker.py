"""A worker that runs in as many copies as you like; one of them has the ticker as well.

    export LIFELINE_LOCK=redis://localhost
    python3 plain_worker.py &
    python3 plain_worker.py &
    lifeline signal ticker 'hi ho silver!'

End the one that ticks, and another one does.
"""

import os
import signal
import sys
import time

from lifeline import exclusive


def tick(lease):
    lease.watch(lambda payload: print(f"{os.getpid()} heard {payload.text}", flush=True))
    while lease.sleep(1):
        print(f"{os.getpid()} ticks", flush=True)


signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # an end in order hands over at once
exclusive(tick, name="ticker", ttl=15)
print(f"{os.getpid()} works", flush=True)
while True:
    time.sleep(1)  # the work
