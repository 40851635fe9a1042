"""The Ruby gem lifeline's way, https://github.com/nytimes/lifeline, in Python: the lines of ps.

No lock; two that start at once both leave, and a `ps` that cuts its lines makes others equal.
"""

import os
import re
import subprocess
import sys

listing = subprocess.run(
    ["ps", "ax", "-o", "pid,command"], stdout=subprocess.PIPE, text=True, check=True
)
lines = (re.match(r"^\s*(\d+)\s(.+)$", line) for line in listing.stdout.splitlines())
commands = {int(line[1]): line[2] for line in lines if line}
mine = commands.pop(os.getpid())
if mine in commands.values():
    sys.exit(9)
print("running", flush=True)
sys.stdin.read()
sys.exit(3)
