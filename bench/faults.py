"""Two hosts, one lease, a fault: rounds, overlaps, and how long it takes until the other works.

    python -m bench.faults [--rounds 10] [--store redis …] [--fault "kill all" …] [--json]

Terms: ttl 4 s, grace 0.5 s. Judged from what the jobs wrote down, never from lifeline's own words.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

if TYPE_CHECKING:
    from support.faulting import Outcome


def main() -> None:
    from support.faulting import FAULTS, GRACE, STAGES, TTL, play_all

    parser = argparse.ArgumentParser(prog="python -m bench.faults")
    parser.add_argument("--rounds", type=int, default=1, help="of each fault on each store")
    parser.add_argument("--store", action="append", choices=[*STAGES], help="only these")
    parser.add_argument("--fault", action="append", help="only these")
    parser.add_argument("--at-once", type=int, default=3 * (os.cpu_count() or 2))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rounds = [
        (store, fault)
        for _ in range(asked.rounds)
        for store in asked.store or STAGES
        for fault in FAULTS[store]
        if not asked.fault or fault in asked.fault
    ]
    print(f"{len(rounds)} rounds, ttl {TTL:g} s, grace {GRACE:g} s", file=sys.stderr)
    outcomes = []
    for number, outcome in enumerate(play_all(rounds, asked.at_once), 1):
        outcomes.append(outcome)
        if sys.stderr.isatty():
            print(f"\r{number} of {len(rounds)}", end="", file=sys.stderr, flush=True)
    rows = [row(key, group) for key, group in grouped(outcomes)]
    if asked.json:
        json.dump(rows, sys.stdout, indent=2)
    else:
        show(rows)
    if any(each["overlaps"] or each["broken"] for each in rows):
        raise SystemExit(1)


def grouped(outcomes: Iterable[Outcome]) -> list[tuple[tuple[str, str], list[Outcome]]]:
    """Outcomes by store and fault, in the order of the first of each."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.store, outcome.fault), []).append(outcome)
    return sorted(groups.items())


def row(key: tuple[str, str], group: list[Outcome]) -> dict[str, object]:
    """One line of the table."""
    times = [each.takeover for each in group if each.takeover is not None]
    return {
        "store": key[0],
        "fault": key[1],
        "rounds": len(group),
        "overlaps": sum(bool(each.overlaps) for each in group),
        "late lines": sum(each.late for each in group),
        "late lines admitted": sum(each.admitted_late for each in group),
        "takeovers": len(times),
        "median": round(statistics.median(times), 2) if times else None,
        "worst": round(max(times), 2) if times else None,
        "notes": sorted({each.note for each in group if each.note}),
        "broken": sum(bool(each.broken) for each in group),
    }


def show(rows: list[dict[str, object]]) -> None:
    """The table in Markdown, as it stands in docs/leases.md."""
    print("| store | fault | rounds | overlaps | takeover median | worst |")
    print("|---|---|---|---|---|---|")
    for each in rows:
        late = f" ({each['late lines']} late lines refused)" if each["late lines"] else ""
        times = [f"{each[k]:.1f} s" if each[k] is not None else "-" for k in ("median", "worst")]
        cells = (each["store"], each["fault"], each["rounds"], f"{each['overlaps']}{late}", *times)
        print("| " + " | ".join(map(str, cells)) + " |")
        if each["notes"] or each["broken"]:
            print(f"  {each['broken']} broken; {each['notes']}", file=sys.stderr)


if __name__ == "__main__":
    main()
