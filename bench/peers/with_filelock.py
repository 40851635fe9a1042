"""filelock: a lock on a file that stays."""

import sys

from filelock import FileLock, Timeout

try:
    with FileLock(sys.argv[1]).acquire(blocking=False):
        print("running", flush=True)
        sys.stdin.read()
        sys.exit(3)
except Timeout:
    sys.exit(9)
