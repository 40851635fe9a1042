"""tendo: a lock on a file that it unlinks at its end."""

import sys

from tendo.singleton import SingleInstance, SingleInstanceException

try:
    me = SingleInstance(lockfile=sys.argv[1])
except SingleInstanceException:
    sys.exit(9)
print("running", flush=True)
sys.stdin.read()
sys.exit(3)
