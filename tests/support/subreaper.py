"""Runs a server whose daemons come back to this process and not to the tests': `subreaper.py CMD…`.

RabbitMQ starts an epmd that leaves its parent; it does so again whenever it finds the first one
slow to answer, in the middle of whatever test runs then.
"""

import ctypes
import os
import signal
import subprocess
import sys

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None)

LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
server = subprocess.Popen(
    sys.argv[1:],
    preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 -- one thread
)
signal.signal(signal.SIGTERM, lambda number, _: server.send_signal(number))
signal.signal(signal.SIGINT, signal.SIG_IGN)
pid, status = 0, 0
while pid != server.pid:
    pid, status = os.wait()  # daemons, too
sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
