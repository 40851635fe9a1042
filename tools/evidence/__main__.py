"""Measure everything that lifeline claims in figures, and write docs/evidence.md.

    python tools/evidence [--only tick,faults] [--brief]

Each part is a bench or the model, run as anybody can run it; what it printed becomes a table, with
the command, the machine and the time beside it. `--only` leaves the other parts of the page as they
are. `--brief` measures less of each: to try this, not to be believed.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import machine
from parts import PARTS, Part

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "evidence.md"
BEGIN, END = "<!-- part: {} -->\n", "<!-- end: {} -->\n"
HEAD = """\
# Evidence

What a sceptical reader can run again. `invoke evidence` wrote this page: it runs each command below
in a checkout (`pip install --group dev -e .`) and puts down what came out, good or bad. Figures are
those of one machine; [figures](bench.md) tells how they are measured and what each line means.

Beside this, `make test` plays [the pitfalls](pitfalls.md), [the faults of one machine](faults.md),
those [of leases](lease-faults.md), and every exit code, each with real processes and real servers.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tools/evidence")
    parser.add_argument("--only", default="", help="parts by name, with commas between them")
    parser.add_argument("--brief", action="store_true", help="less of each")
    asked = parser.parse_args()
    wanted = set(asked.only.split(",")) - {""} or {part.name for part in PARTS}
    if unknown := wanted - {part.name for part in PARTS}:
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    before = PAGE.read_text() if PAGE.exists() else ""
    found = {part.name: _kept(before, part.name) for part in PARTS}
    for part in PARTS:
        if part.name in wanted:
            found[part.name] = _measured(part, asked.brief)
            PAGE.write_text(_page(found))  # each at once: the rest may take half an hour
    return 0


def _page(found: dict[str, str]) -> str:
    parts = [BEGIN.format(name) + body + END.format(name) for name, body in found.items()]
    return "\n".join([HEAD, *parts])


def _kept(before: str, name: str) -> str:
    """A part as it stands on the page, or that it is not there yet."""
    found = before.partition(BEGIN.format(name))[2].partition(END.format(name))[0]
    return found or _section(name, "Not measured yet.\n")


def _measured(part: Part, brief: bool) -> str:
    """Run a part; what to put down, also if there is nothing to run or it failed."""
    if missing := part.missing(ROOT):
        return _section(part.name, f"Not measured: {missing}.\n")
    words = [*part.words, *(part.brief if brief else part.full)]
    print(f"$ python {shlex.join(words)}", flush=True)
    conditions, began = machine.conditions(part.packages), time.monotonic()
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    spent = time.monotonic() - began
    told = (
        f"```console\n$ python {shlex.join(words)}\n```\n\n{conditions}; it took {spent:.0f} s.\n"
    )
    try:
        found = part.shown(done.stdout)
    except (ValueError, KeyError):
        found = f"It ended with exit code {done.returncode} and told nothing that can be shown.\n"
    failed = f"\n**Exit code {done.returncode}.**\n" if done.returncode else ""
    return _section(part.name, f"{part.claim}\n\n{told}\n{found}{failed}")


def _section(name: str, text: str) -> str:
    title = next(part.title for part in PARTS if part.name == name)
    return f"## {title}\n\n{text}"


if __name__ == "__main__":
    if not shutil.which("git", path="/usr/bin:/bin"):
        print("git is not here: the page will not say which commit it is of", file=sys.stderr)
    sys.exit(main())
