"""pid: a lock on a pid file, and a look whether that pid is alive."""

import sys

from pid import PidFile, PidFileError

try:
    with PidFile("bench", piddir=sys.argv[1]):
        print("running", flush=True)
        sys.stdin.read()
        sys.exit(3)
except PidFileError:
    sys.exit(9)
