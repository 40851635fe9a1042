"""What a resident runner costs: memory and idle CPU, and how soon a killed job is back.

    python -m bench.supervisor [--idle SECONDS] [--kills N] [--peers PYTHON] [--json] [--check]

`lifeline run`, bare and with each of its options, beside supervisord, circus and honcho, all of
them keeping a `sleep` at the same time. The peers come from the environment whose python `--peers`
names; without that they are installed from PyPI into a temporary one. `--check` exits with 1 if
a target was missed. docs/supervisor.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.measure import SCRIPTS, Command, conditions, end_on_term, running

BARE_TARGET, OPTION_TARGET = 10.0, 12.0  # MiB resident
CPU_TARGET = 0.1  # percent of one core
_SETTLE = 3.0  # seconds after the last start before anything is measured
_BETWEEN_KILLS = 1.5  # seconds; supervisord counts a shorter life as a failed start


@dataclass
class Subject:
    """A supervisor, what it keeps, and what was measured of it."""

    name: str
    argv: Sequence[str]
    job: Sequence[str]
    target: float | None = None  # MiB
    restarts: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    processes: int = 0
    memory: float = 0.0  # MiB resident, of all its processes but the job
    cpu: float = 0.0  # percent of one core
    switches: float = 0.0  # voluntary context switches a minute
    back: float | None = None  # seconds from the kill of its job until the next one

    @property
    def missed(self) -> list[str]:
        """What is more than it may be."""
        found = []
        if self.target is not None and self.memory > self.target:
            found.append("memory")
        if self.target is not None and self.cpu >= CPU_TARGET:
            found.append("cpu")
        return found


# --- who is measured --------------------------------------------------------------------------


def lifelines(directory: Path, monitor: str) -> list[Subject]:
    """`lifeline run`, bare, with each option, and with all that go together."""
    log, beat = str(directory / "log"), str(directory / "beat")
    heartbeat = ["--heartbeat", beat, "--heartbeat-timeout", "1h"]
    ping = ["--ping", monitor]
    options: dict[str, list[str]] = {
        "": [],
        "--timeout": ["--timeout", "1h"],
        "--max-memory": ["--max-memory", "1G"],
        "--restart": ["--restart", "always", "--backoff", "1ms"],
        "--log": ["--log", log],
        "--log --timestamps": ["--log", log, "--timestamps"],
        "--timestamps": ["--timestamps"],
        "--quiet": ["--quiet"],
        "--ping": ping,
        "--ping-every 5s": [*ping, "--ping-every", "5s"],
        "--heartbeat": heartbeat,
        "--on-start --on-exit": ["--on-start", ":", "--on-exit", ":"],
        "--syslog": ["--syslog"],
    }
    together = ["--timeout", "--max-memory", "--restart", "--log --timestamps", "--quiet"]
    together += ["--ping-every 5s", "--heartbeat", "--on-start --on-exit", "--syslog"]
    options["all of these"] = [word for name in together for word in options[name]]
    subjects = []
    for name, words in options.items():
        job = unique_sleep()
        subjects.append(
            Subject(
                f"lifeline run {name}".rstrip(),
                [str(SCRIPTS / "lifeline"), "run", *words, "--", *job],
                job,
                target=OPTION_TARGET if name else BARE_TARGET,
                restarts="--restart" in words,
                environment={"LIFELINE_STATE_DIR": str(directory / "state")},
            )
        )
    return subjects


def peers(directory: Path, scripts: Path) -> list[Subject]:
    """The others, each with the smallest configuration that keeps one process."""
    return [
        subject
        for name, make in (("supervisord", _supervisord), ("circusd", _circus), ("honcho", _honcho))
        if (scripts / name).exists()
        for subject in [make(directory, str(scripts / name))]
    ]


def _supervisord(directory: Path, program: str) -> Subject:
    job = unique_sleep()
    config = directory / "supervisord.conf"
    config.write_text(
        f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
        f"pidfile={directory}/supervisord.pid\n{'user=root' if os.geteuid() == 0 else ''}\n"
        f"[program:job]\ncommand={' '.join(job)}\nautorestart=true\n"
    )
    return Subject("supervisord", [program, "-n", "-c", str(config)], job, restarts=True)


def _circus(directory: Path, program: str) -> Subject:
    job = unique_sleep()
    config = directory / "circus.ini"
    ends = "".join(
        f"{name} = ipc://{directory}/{name}\n" for name in ("endpoint", "pubsub_endpoint")
    )
    config.write_text(f"[circus]\n{ends}[watcher:job]\ncmd = {' '.join(job)}\n")
    return Subject("circusd", [program, str(config)], job, restarts=True)


def _honcho(directory: Path, program: str) -> Subject:
    job = unique_sleep()
    (directory / "Procfile").write_text(f"job: exec {' '.join(job)}\n")
    return Subject("honcho", [program, "-f", str(directory / "Procfile"), "start"], job)


def unique_sleep() -> list[str]:
    """A `sleep` that can be told from all others."""
    return ["sleep", f"3600.{uuid.uuid4().int % 10**12:012d}"]


@contextmanager
def monitor() -> Iterator[str]:
    """The URL of a server that says yes to every ping."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/job"
        server.shutdown()


def peers_installed(python: str | None, directory: Path) -> Path | None:
    """Where the peers' commands are; None, and a line, if there are none."""
    if python:
        return Path(python).parent
    place = directory / "peers"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    # supervisord imports pkg_resources, which the newest setuptools have no more.
    wanted = ["supervisor", "circus", "honcho", "setuptools<80"]
    done = subprocess.run(
        [place / "bin" / "python", "-m", "pip", "install", "-q", *wanted],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        print("the peers could not be installed: left out", file=sys.stderr)
        return None
    return place / "bin"


# --- measuring --------------------------------------------------------------------------------


def tree(pid: int) -> list[int]:
    """`pid` and all below it."""
    found = [pid]
    for above in found:
        try:
            for thread in os.listdir(f"/proc/{above}/task"):
                children = Path(f"/proc/{above}/task/{thread}/children").read_text()
                found += map(int, children.split())
        except OSError:
            continue  # it ended meanwhile
    return found


def is_job(pid: int, subject: Subject) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return words == b"".join(word.encode() + b"\0" for word in subject.job)


def job_of(subject: Subject) -> int | None:
    """The pid of the job, once it runs."""
    return next((pid for pid in tree(subject.pid) if is_job(pid, subject)), None)


def beside(subject: Subject) -> list[int]:
    """What runs for the job and is not the job."""
    return [pid for pid in tree(subject.pid) if not is_job(pid, subject)]


def memory(pid: int) -> float:
    """MiB resident (VmRSS)."""
    return _status(pid, "VmRSS") / 1024


def _status(pid: int | str, name: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + ":"))


def used(pid: int) -> tuple[float, int] | None:
    """(CPU seconds, voluntary context switches) of all its threads so far; None if it is gone."""
    cpu, switches = 0.0, 0
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            # utime + stime in ticks of 10 ms would be too coarse; this is nanoseconds.
            spent = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text()
            cpu += int(spent.split()[0]) / 1e9
            switches += _status(f"{pid}/task/{thread}", "voluntary_ctxt_switches")
    except OSError:
        return None
    return cpu, switches


def measure_idle(subjects: Sequence[Subject], seconds: float) -> None:
    """One window for all of them at the same time; what ends in it was not resident."""
    before = {subject.name: {pid: used(pid) for pid in beside(subject)} for subject in subjects}
    began = time.monotonic()
    time.sleep(seconds)
    for subject in subjects:
        took = time.monotonic() - began
        for pid, at_first in before[subject.name].items():
            at_last = used(pid)
            if at_first and at_last:
                subject.processes += 1
                subject.memory += memory(pid)
                subject.cpu += (at_last[0] - at_first[0]) / took * 100
                subject.switches += (at_last[1] - at_first[1]) / took * 60


def measure_restarts(subject: Subject, kills: int) -> None:
    """The median time from killing the job until the next one runs."""
    times = []
    for _ in range(kills):
        time.sleep(_BETWEEN_KILLS)
        job = job_of(subject)
        assert job
        began = time.monotonic()
        os.kill(job, signal.SIGKILL)
        while job_of(subject) in (None, job):
            if time.monotonic() - began > 30:
                raise RuntimeError(f"{subject.name} does not start its job again")
            time.sleep(0.001)
        times.append(time.monotonic() - began)
    subject.back = statistics.median(times)


def measured(options: argparse.Namespace) -> list[Subject]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        monitor() as url,
        ExitStack() as alive,
    ):
        directory = Path(name)
        subjects = lifelines(directory, url)
        scripts = peers_installed(options.peers, directory)
        subjects += peers(directory, scripts) if scripts else []
        for subject in subjects:
            silent = ["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh", *subject.argv]
            command = Command(silent, environment=subject.environment)

            def is_ready(pid: int, subject: Subject = subject) -> bool:
                subject.pid = pid
                return job_of(subject) is not None

            alive.enter_context(running(command, is_ready))
        time.sleep(_SETTLE)
        measure_idle(subjects, options.idle)
        for subject in subjects:
            if subject.restarts:
                measure_restarts(subject, options.kills)
        return subjects


# --- showing ----------------------------------------------------------------------------------


def show(subjects: Sequence[Subject]) -> None:
    """One table."""
    rows = [("", "processes", "MiB", "CPU %", "switches/min", "restart", "targets")]
    for each in subjects:
        verdict = "" if each.target is None else "met"
        if each.missed:
            verdict = "MISSED: " + ", ".join(each.missed)
        rows.append(
            (
                each.name,
                str(each.processes),
                f"{each.memory:.1f}",
                f"{each.cpu:.3f}",
                f"{each.switches:.0f}",
                "" if each.back is None else f"{each.back * 1000:.0f} ms",
                verdict,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *cells, verdict in rows:
        figures = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=False))
        print("  ".join((first.ljust(widths[0]), *figures, verdict)).rstrip())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.supervisor", description=__doc__)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds of doing nothing")
    parser.add_argument("--kills", type=int, default=5, help="how often each job is killed")
    parser.add_argument("--peers", metavar="PYTHON", help="of an environment that has the peers")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args()
    end_on_term()
    subjects = measured(options)
    if options.json:
        lines = [{**asdict(each), "missed": each.missed} for each in subjects]
        print(json.dumps({"conditions": conditions(), "idle": options.idle, "subjects": lines}))
    else:
        print(conditions())
        print(f"idle for {options.idle:g} s; restart: median of {options.kills} kills\n")
        show(subjects)
    return 1 if options.check and any(each.missed for each in subjects) else 0


if __name__ == "__main__":
    sys.exit(main())
