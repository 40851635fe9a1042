"""lifeline(): exit 0 if a twin runs."""

import sys

from lifeline import lifeline

lifeline()
print("running", flush=True)
sys.stdin.read()
sys.exit(3)
