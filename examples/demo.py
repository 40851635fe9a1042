"""The main job for real, in under a minute: what lifeline promises, shown as it happens.

    make demo

Everything lives in a temporary directory; nothing is left behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

WORKER = """\
import sys, time
try:
    from setproctitle import setproctitle
except ImportError:
    setproctitle = None
if setproctitle and "--disguise" in sys.argv:
    setproctitle("something else entirely")
while True:
    time.sleep(1)
"""


class Demo:
    """Runs the `lifeline` command beside this interpreter and tells what happens."""

    def __init__(self, directory: Path) -> None:
        beside = Path(sys.executable).parent / "lifeline"
        self.lifeline = [str(beside)] if beside.exists() else [sys.executable, "-m", "lifeline"]
        self.worker = directory / "worker.py"
        self.worker.write_text(WORKER)
        self.environment = {**os.environ, "LIFELINE_STATE_DIR": str(directory / "state")}
        self.ticks: list[subprocess.Popen[bytes]] = []

    def command(self, *options: str) -> list[str]:
        return [sys.executable, str(self.worker), *options]

    def tick(self, *options: str) -> subprocess.Popen[bytes]:
        """What cron does each minute."""
        line = [*self.lifeline, "run", "--", *self.command(*options)]
        started = subprocess.Popen(line, env=self.environment, start_new_session=True)
        self.ticks.append(started)
        return started

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            [*self.lifeline, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.rstrip()

    def running(self, *options: str) -> list[dict[str, object]]:
        found = json.loads(self.ask("status", "--json", "--", *self.command(*options)))
        return [each for each in found["running"] if each["job_pid"]]

    def one(self, *options: str) -> dict[str, object]:
        """The one that runs, once it does."""
        wait_until(lambda: len(self.running(*options)) == 1)
        return self.running(*options)[0]

    def end(self) -> None:
        for started in self.ticks:
            if started.poll() is None:
                started.terminate()
        for started in self.ticks:
            started.wait()


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> None:
    """Return once `holds`; stop the demo if it does not come true."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            sys.exit("demo: this should have happened by now, and did not")
        time.sleep(0.05)


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def play(demo: Demo) -> None:
    say("Three starts in the same instant")
    three = [demo.tick() for _ in range(3)]
    wait_until(lambda: sum(each.poll() is None for each in three) == 1)
    first = demo.one()
    codes = [each.returncode for each in three if each.poll() is not None]
    print(f"pid {first['pid']} runs the worker (pid {first['job_pid']});")
    print(f"the other two have left, exit codes {codes}")
    print(demo.ask("status", "--", *demo.command()))

    say("kill -9 on the worker")
    os.kill(int(str(first["job_pid"])), signal.SIGKILL)
    wait_until(lambda: all(each.poll() is not None for each in three))
    print("worker and runner are gone:", demo.ask("status", "--", *demo.command()))

    say("The next tick has it back")
    demo.tick()
    print(f"pid {demo.one()['pid']} runs it now")

    say("Nine more ticks find it and leave")
    nine = [demo.tick() for _ in range(9)]
    print("exit codes", [each.wait() for each in nine])

    say("A worker that rewrites its process title")
    demo.tick("--disguise")
    disguised = demo.one("--disguise")
    pid = int(str(disguised["job_pid"]))
    wait_until(lambda: title(pid) != " ".join(demo.command("--disguise")))
    print(f"pid {pid} now calls itself: {title(pid)}")
    print(
        "the next tick, exit code", demo.tick("--disguise").wait(), "- still the same one:", end=" "
    )
    again = demo.one("--disguise")
    print(f"pid {again['job_pid']}")
    if again["job_pid"] != disguised["job_pid"]:
        sys.exit("demo: it was started twice")

    say("explain says how this is known")
    print(demo.ask("explain", "--", *demo.command("--disguise")))

    say("terminate ends both, whole trees")
    print(demo.ask("terminate", "--", *demo.command()))
    print(demo.ask("terminate", "--", *demo.command("--disguise")))
    print(demo.ask("status", "--", *demo.command()))


def title(pid: int) -> str:
    """The process title, as `ps` shows it."""
    content = Path(f"/proc/{pid}/cmdline").read_bytes()
    return content.rstrip(b"\0").replace(b"\0", b" ").decode()


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lifeline-demo-") as directory:
        demo = Demo(Path(directory))
        try:
            play(demo)
        finally:
            demo.end()
    print(f"\nDone in {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
