"""Taking over: after a clean release, and after everything of the holder's host was killed."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench._lease_servers import Servers
from bench.measure import ENVIRONMENT, SCRIPTS, Row, wait_until
from bench.supervisor import tree
from lifeline import lock
from lifeline.clock import boottime

CLEAN = 50.0  # milliseconds, the median
BEYOND = 2.0  # seconds beyond the ttl, after a kill
_CHILD = Path(__file__).with_name("_lease_child.py")
NAME = "handed over"  # as the child calls it
_SETTLE = 0.25  # seconds in which one who stands by begins to listen
_RUNNER_SETTLES = 1.0  # the same for a command, whose keeper has to load its driver
_PATIENCE = 90.0  # seconds: a limit for a hang


# --- a clean release --------------------------------------------------------------------------


def after_release(servers: Servers, rounds: int, runs: int) -> tuple[str, str, list[Row]]:
    """Two processes that use lock(), then two `lifeline run --lock --wait`."""
    rows = []
    for label, url in servers.stores().items():
        rows.append(_row(f"lock(), {label}", handed_over(url, rounds)))
    for label, url in servers.stores().items():
        rows.append(_row(f"lifeline run, {label}", commands_handed_over(url, servers, runs)))
    title = f"takeover after a clean release; medians of {rounds} by lock(), {runs} by command"
    return title, "ms", rows


def _row(what: str, taken: list[float]) -> Row:
    return Row(what, statistics.median(taken) * 1e3, target=CLEAN)


def handed_over(url: str, rounds: int) -> list[float]:
    """Seconds from the call of release() until the other process has it."""
    with started_child("take", url) as other:
        mine, taken = lock(NAME, url), []
        for _ in range(rounds + 1):
            mine.acquire()
            other.stdin.write("stand by\n")
            time.sleep(_SETTLE * random.uniform(1, 1.4))
            began = boottime()
            mine.release()
            taken.append(float(other.stdout.readline()) - began)
            other.stdin.write("release\n")
        if min(taken) < 0:
            raise RuntimeError(f"{url}: granted before it was released")
        return taken[1:]  # the first one had to connect


def commands_handed_over(url: str, servers: Servers, rounds: int) -> list[float]:
    """Seconds from the moment in which a job is told to end until the next one runs."""
    taken = []
    host = Hosts(url, servers.directory, ttl=30)
    with host.alive():
        holder = host.start()
        holder.stdout.readline()
        for _ in range(rounds):
            standby = host.start()
            host.wait_for_keeper(standby)
            began = boottime()
            holder.stdin.write("end\n")
            standby.stdout.readline()
            taken.append(boottime() - began)
            holder.wait(_PATIENCE)
            holder = standby
    return taken


# --- a kill -----------------------------------------------------------------------------------


def after_kill(url: str, servers: Servers, ttl: float, rounds: int) -> list[float]:
    """Seconds from the kill of a runner, its keeper and its job until the next job runs."""
    taken = []
    host = Hosts(url, servers.directory, ttl)
    with host.alive():
        holder = host.start()
        holder.stdout.readline()
        for _ in range(rounds):
            standby = host.start()
            host.wait_for_keeper(standby)
            time.sleep(random.uniform(0, ttl / 6))  # anywhere between two renewals
            began = boottime()
            kill_all(holder.pid)
            standby.stdout.readline()
            taken.append(boottime() - began)
            holder.wait(_PATIENCE)
            holder = standby
    return taken


def kill_all(pid: int) -> None:
    """Everything below at one blow: stopped first, so that none sees the other's end."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for each in tree(pid):
            with suppress(ProcessLookupError):
                os.kill(each, number)


class Hosts:
    """Runners of one command, each with the state directory of a host of its own.

    The job says when it begins by a line, and ends when it is given one.
    """

    def __init__(self, url: str, directory: Path, ttl: float) -> None:
        self._url = url
        self._directory = directory
        self._terms = ["--ttl", f"{ttl:g}", "--grace", "0.5" if ttl < 20 else "10"]
        self._running: list[subprocess.Popen[str]] = []

    def start(self) -> Any:
        number = len(self._running)
        state = self._directory / f"host-{id(self)}-{number}"
        options = ["--lock", self._url, "--name", f"bench {id(self)}", "--per-host", "0", "--wait"]
        job = ["sh", "-c", "echo begun; read line"]
        process = subprocess.Popen(
            [str(SCRIPTS / "lifeline"), "run", *options, *self._terms, "--", *job],
            env={**ENVIRONMENT, "LIFELINE_STATE_DIR": str(state)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._running.append(process)
        return process

    def wait_for_keeper(self, process: subprocess.Popen[str]) -> None:
        """Return once it stands by: its keeper has been asleep for a while, or it has none."""
        is_file = self._url.startswith("file:")
        wait_until(lambda: is_file or len(tree(process.pid)) > 1)
        time.sleep(_RUNNER_SETTLES)
        if process.poll() is not None:
            raise RuntimeError(f"{process.args}: exit {process.returncode}")

    @contextmanager
    def alive(self) -> Iterator[None]:
        try:
            yield
        finally:
            for process in self._running:
                if process.poll() is None:
                    kill_all(process.pid)
                process.wait()
                for end in (process.stdin, process.stdout):
                    if end:
                        with suppress(BrokenPipeError):
                            end.close()


@contextmanager
def started_child(*words: str) -> Iterator[Any]:
    """A process of `_lease_child.py` with pipes, gone at the end."""
    process = subprocess.Popen(
        [sys.executable, str(_CHILD), *words],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    assert process.stdin and process.stdout
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
