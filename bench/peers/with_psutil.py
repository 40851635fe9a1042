"""The loop over psutil that everybody writes: no lock; two that start at once both leave."""

import os
import sys

import psutil

mine = psutil.Process().cmdline()
for process in psutil.process_iter(["pid", "cmdline"]):
    if process.info["cmdline"] == mine and process.info["pid"] != os.getpid():
        sys.exit(9)
print("running", flush=True)
sys.stdin.read()
sys.exit(3)
