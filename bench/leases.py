"""What a lease costs, and how soon it is somebody else's.

    python -m bench.leases [--quick] [--json] [--check]

Starts a PostgreSQL and two Valkeys of its own, and measures acquiring and releasing beside the bare
driver with the same statements and beside the peers that are installed, takeovers after a clean
release and after a kill, a process with a thousand leases, and what one who stands by asks.
docs/bench.md tells what each line means. `--check` exits with 1 if a target was missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
from concurrent.futures import Future, ThreadPoolExecutor

from bench import _lease_idle as idle
from bench import _lease_pairs as pairs
from bench import _lease_takeover as takeover
from bench._lease_servers import Missing, Servers, started
from bench.measure import Row, end_on_term, tell

Section = tuple[str, str, list[Row]]
SHORT, DEFAULT = 4.0, 30.0  # seconds: the ttl of many takeovers, and of one


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured. `window` is in seconds."""

    seconds: float = 12.0
    handed_over: int = 15
    commands: int = 5
    killed: int = 5
    window: float = 25.0


QUICK = Sizes(seconds=3.0, handed_over=5, commands=2, killed=2, window=20.0)


def measured(servers: Servers, sizes: Sizes) -> list[Section]:
    """All sections. What takes time but hardly any CPU comes last, and all at once."""
    sections = pairs.measured(servers, sizes.seconds)
    sections.append(takeover.after_release(servers, sizes.handed_over, sizes.commands))
    return sections + waited_for(servers, sizes)


def waited_for(servers: Servers, sizes: Sizes) -> list[Section]:
    """Takeovers after a kill, a thousand leases, and standing by."""
    killed: dict[tuple[str, float], Future[list[float]]] = {}
    with ThreadPoolExecutor(20) as threads:
        processes = {"PostgreSQL": servers.postgresql.pid, "Redis": servers.valkey.pid}
        many = {
            label: threads.submit(idle.kept, url, processes[label], sizes.window)
            for label, url in servers.stores().items()
            if label in processes
        }
        standing_by = threads.submit(idle.standby, servers, sizes.window)
        for ttl, rounds in ((SHORT, sizes.killed), (DEFAULT, 1)):
            for label, url in servers.stores().items():
                killed[label, ttl] = threads.submit(takeover.after_kill, url, servers, ttl, rounds)
        found = {label: future.result() for label, future in many.items()}
        return [
            _killed({key: future.result() for key, future in killed.items()}),
            *idle.rows_of_many(found),
            ("asked by one who stands by", "in 5 s", standing_by.result()),
        ]


def _killed(taken: dict[tuple[str, float], list[float]]) -> Section:
    rows = []
    for (label, ttl), times in taken.items():
        target = ttl + takeover.BEYOND
        if len(times) > 1:
            rows.append(Row(f"{label}, ttl {ttl:g} s, median", statistics.median(times)))
        worst = "once" if len(times) == 1 else f"worst of {len(times)}"
        rows.append(Row(f"{label}, ttl {ttl:g} s, {worst}", max(times), target=target))
    return "takeover after kill -9 of runner, keeper and job", "s", rows


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.leases",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a minute, and less to be trusted")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    asked = parser.parse_args()
    end_on_term()
    try:
        with started() as servers:
            sections = measured(servers, QUICK if asked.quick else Sizes())
    except Missing as missing:
        print(f"nothing is measured: {missing}", file=sys.stderr)
        return 1
    return tell(sections, as_json=asked.json, check=asked.check)


if __name__ == "__main__":
    sys.exit(main())
