"""How soon a holder hears a signal, how many in a row, and how soon after a restart.

    python -m bench.signals [--runs N] [--row N] [--json] [--check]

The holder is another process. The time is that of its clock when its code has the payload, less
that of the sender before it sends; both are CLOCK_BOOTTIME of one host. `--check` exits with 1 if a
target was missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from subprocess import PIPE, Popen

from bench._lease_servers import Missing, Servers, started
from bench.measure import Row, end_on_term, tell
from lifeline import signal
from lifeline.clock import boottime
from lifeline.errors import StoreError
from support.servers import Server, postgres, valkey

_HOLDER = """
import sys
from lifeline import lock
from lifeline.clock import boottime
with lock("bench", sys.argv[1], ttl=60) as lease:
    came = lease.signals()
    print("holds", flush=True)
    for payload in came:
        print(payload.text, boottime(), flush=True)
"""
TARGETS = {"file": 5.0, "PostgreSQL": 20.0, "PostgreSQL, mode=lease": 20.0, "Redis": 20.0}
_RESTART = 2.0  # seconds
Section = tuple[str, str, list[Row]]
_SPACE = 0.02  # seconds between two signals whose time is taken


class Holder:
    """A process that holds the lease and says what it hears, and when."""

    def __init__(self, url: str) -> None:
        self._process = Popen(
            [sys.executable, "-c", _HOLDER, url], stdout=PIPE, text=True, bufsize=1 << 20
        )
        assert self._process.stdout is not None
        self._lines = self._process.stdout
        self._lines.readline()

    def next(self) -> tuple[str, float]:
        text, when = self._lines.readline().split()
        return text, float(when)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._lines.close()


def latencies(url: str, runs: int) -> list[float]:
    """Milliseconds from sending to the code that has it, one signal at a time."""
    taken = []
    with closing(Holder(url)) as holder:
        for number in range(runs + 5):
            time.sleep(_SPACE)
            sent = boottime()
            assert signal("bench", str(number), url, wait=30) == 1
            text, heard = holder.next()
            assert text == str(number)
            taken.append((heard - sent) * 1000)
    return taken[5:]  # the first ones make connections


def in_a_row(url: str, count: int) -> tuple[int, float]:
    """How many of so many signals, one after the other, are missing or out of order; seconds."""
    got: list[str] = []
    with closing(Holder(url)) as holder:
        reader = threading.Thread(
            target=lambda: got.extend(holder.next()[0] for _ in range(count)), daemon=True
        )
        reader.start()
        began = boottime()
        for number in range(count):
            signal("bench", str(number), url, wait=30)
        took = boottime() - began
        reader.join(60)
    return sum(one != str(number) for number, one in enumerate(got)) + count - len(got), took


def after_restart(server: Server, url: str) -> float:
    """Seconds from the moment a restarted server answers until its listener hears again."""
    with closing(Holder(url)) as holder:
        assert signal("bench", "before", url, wait=30) == 1
        holder.next()
        server.kill()
        time.sleep(1.0)
        server.start()
        began = boottime()
        while not _is_heard(url):
            time.sleep(0.01)
        return boottime() - began


def _is_heard(url: str) -> bool:
    try:
        return signal("bench", "again", url, wait=0.05) == 1
    except StoreError:
        return False


@contextmanager
def restartable() -> Iterator[dict[str, tuple[Server, str]]]:
    """Servers of their own, that keep the lease over a restart."""
    with ExitStack() as stack:
        one = stack.enter_context(closing(postgres.new_server()))
        postgres.set_up(f"{one.url()}?mode=lease")
        two = stack.enter_context(
            closing(valkey.new_server("--appendonly", "yes", "--appendfsync", "always"))
        )
        yield {
            "PostgreSQL": (one, f"{one.url()}?mode=lease"),
            "Redis": (two, valkey.url_of(two.port)),
        }


def measured(servers: Servers, runs: int, row: int) -> list[Section]:
    """What is to be shown, each with its title and unit."""
    heard, lost, speed = [], [], []
    for label, url in servers.stores().items():
        taken = latencies(url, runs)
        heard.append(Row(label, statistics.median(taken), target=TARGETS[label]))
        heard.append(Row("  19 of 20 within", statistics.quantiles(taken, n=20)[-1]))
    for label, url in servers.stores().items():
        missing, took = in_a_row(url, row)
        lost.append(Row(label, missing, target=0.0))
        speed.append(Row(label, took / row * 1000))
    with restartable() as mortal:
        backs = {label: after_restart(*each) for label, each in mortal.items()}
    return [
        (f"from signal() to the holder's code, {runs} times", "ms", heard),
        (f"lost or out of order, of {row} in a row", "signals", lost),
        ("a signal and its answer", "ms", speed),
        (
            "until a restarted server's listener hears",
            "s",
            [Row(*back, target=_RESTART) for back in backs.items()],
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.signals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=300, help="signals whose time is taken")
    parser.add_argument("--row", type=int, default=10_000, help="signals one after the other")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    asked = parser.parse_args()
    end_on_term()
    try:
        with started() as servers:
            sections = measured(servers, asked.runs, asked.row)
    except Missing as missing:
        print(f"nothing is measured: {missing}", file=sys.stderr)
        return 1
    return tell(sections, as_json=asked.json, check=asked.check)


if __name__ == "__main__":
    sys.exit(main())
