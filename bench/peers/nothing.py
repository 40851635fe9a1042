"""The script that the others guard: it works until its standard input ends."""

import sys

print("running", flush=True)
sys.stdin.read()
sys.exit(3)
