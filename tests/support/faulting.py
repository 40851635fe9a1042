"""Two hosts and one lease, a fault, and what the jobs themselves wrote down about it.

Judged from the jobs' own lines only: each says, every few milliseconds, under which fence it works
and when (CLOCK_BOOTTIME, one clock for all). Two fences that were at work at once are an overlap.
Each line is also brought before a guard that keeps the newest fence, as a guarded store would.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from subprocess import Popen
from typing import Any
from urllib.parse import quote

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lifeline.leases.stores import open_store
from support.hosts import Host, argv, below, job_of, keeper_of, runner_of
from support.lifelines import LIFELINE, changed
from support.needs import UNSHARE
from support.proxy import Proxy
from support.servers import Server, dynamodb, postgres, valkey
from support.spawning import Spawner, become_subreaper
from support.waiting import eventually

TTL, GRACE = 4.0, 0.5  # seconds
NOBODY = "nobody took over"
PASSED = "the lease passed on, though it need not have"
LONG = 2 * TTL  # how long a fault lasts that is meant to outlast the lease

JOB = '''\
import fcntl, os, signal, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))
FENCE = int(os.environ["LIFELINE_FENCE"])
LOG = os.open(HERE + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
GUARD = os.open(HERE + "/guard", os.O_RDWR | os.O_CREAT, 0o666)


def admit():
    """A guarded write: what is protected refuses a fence older than the newest it has seen."""
    fcntl.lockf(GUARD, fcntl.LOCK_EX)
    newest = int(os.pread(GUARD, 40, 0) or b"0")
    if FENCE > newest:
        os.pwrite(GUARD, b"%d" % FENCE, 0)
    fcntl.lockf(GUARD, fcntl.LOCK_UN)
    return FENCE >= newest


if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "daemon" in sys.argv and os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
while True:
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    os.write(LOG, b"%d %.6f %d\\n" % (FENCE, now, admit()))
    time.sleep(0.005)
'''


# To see the harness see: a runner whose clock says that no time passes never ends its job in time.
BROKEN = (
    """
from lifeline import clock
from lifeline.supervision import kept
kept.Kept.is_lost = property(lambda self: False)
from lifeline.__main__ import start
start()
"""
    if os.environ.get("LIFELINE_FAULTING_BROKEN")
    else ""
)


@dataclass
class Outcome:
    """One round. `takeover` is in seconds from the fault; `late` are lines that came too late."""

    store: str
    fault: str
    overlaps: list[str] = field(default_factory=list)
    takeover: float | None = None
    late: int = 0
    admitted_late: int = 0
    note: str = ""
    broken: str = ""  # why the round could not be played


@dataclass
class Scene:
    """What a fault may lay its hands on."""

    servers: list[Server]
    proxies: list[Proxy]
    runner: int
    keeper: int
    job: int
    clock: Path
    random: random.Random


class Stage:
    """A store for one round: its servers, and a proxy before each for the first host."""

    def __init__(self, servers: Sequence[Server], url: Callable[[list[int]], str]) -> None:
        self.servers = list(servers)
        self.proxies = [Proxy(server.port) for server in servers]
        self.near = url([server.port for server in servers])
        self.far = url([proxy.port for proxy in self.proxies])

    def close(self) -> None:
        for proxy in self.proxies:
            proxy.close()
        for server in self.servers:
            with suppress(ProcessLookupError, AssertionError):
                server.thaw()
            server.close()


def _file(_fault: str) -> Stage:
    directory = tempfile.mkdtemp(prefix="lifeline-files-", dir="/tmp")
    return Stage([], lambda _ports: f"file:{directory}/locks")


def _redis(count: int) -> Callable[[str], Stage]:
    def make(fault: str) -> Stage:
        # Where the store itself forgets, its own delay has to do its work.
        delay = {} if fault in FORGETTING else {"restart_delay": 0}

        def url(ports: list[int]) -> str:
            urls = [_redis_url(port, **delay) for port in ports]
            return urls[0] if count == 1 else "redlock:" + ",".join(urls)

        return Stage([valkey.new_server() for _ in range(count)], url)

    return make


def _redis_url(port: int, **options: int) -> str:
    query = "&".join(f"{key}={value}" for key, value in options.items())
    return f"redis://127.0.0.1:{port}/0" + (f"?{query}" if query else "")


def _postgres(options: str, *, table: bool = True) -> Callable[[str], Stage]:
    def make(_fault: str) -> Stage:
        server = postgres.new_server()
        if table:
            postgres.set_up(server.url())

        def url(ports: list[int]) -> str:
            return f"postgresql://postgres@127.0.0.1:{ports[0]}/postgres{options}"

        return Stage([server], url)

    return make


def _dynamodb(_fault: str) -> Stage:
    server = dynamodb.new_server()
    table = f"locks-{uuid.uuid4().hex[:12]}"

    def url(ports: list[int]) -> str:
        endpoint = quote(f"http://127.0.0.1:{ports[0]}", safe="")
        return f"dynamodb://{table}?region={dynamodb.REGION}&endpoint={endpoint}"

    stage = Stage([server], url)
    open_store(stage.near).setup()
    return stage


STAGES: dict[str, Callable[[str], Stage]] = {
    "file": _file,
    "postgres session": _postgres(""),
    "postgres session, no table": _postgres("", table=False),
    "postgres xact": _postgres("?mode=xact"),
    "postgres lease": _postgres("?mode=lease"),
    "redis": _redis(1),
    "redlock": _redis(5),
    "dynamodb": _dynamodb,
}


# --- faults -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """`strike` does it, `mend` takes it back after `lasts` seconds.

    `passes`: the lease goes to the other host; false: it does not; None: depends on the store.
    """

    strike: Callable[[Scene], None]
    mend: Callable[[Scene], None] = lambda scene: None
    lasts: float = 0.0
    passes: bool | None = True
    words: tuple[str, ...] = ()
    frozen: bool = False


def _send(number: int, *whom: str) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        for name in whom:
            pid = getattr(scene, name)
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    return strike


def _stopped(*whom: str, **facts: Any) -> Fault:
    return Fault(_send(signal.SIGSTOP, *whom), _send(signal.SIGCONT, *whom), lasts=LONG, **facts)


def _network(verb: str, lasts: float = LONG, passes: bool | None = True, **options: Any) -> Fault:
    def strike(scene: Scene) -> None:
        for proxy in scene.proxies:
            getattr(proxy, verb)(**options)

    def mend(scene: Scene) -> None:
        for proxy in scene.proxies:
            proxy.heal()

    return Fault(strike, mend, lasts=lasts, passes=passes)


def _servers(verb: str, undo: str = "", count: int = 0, **facts: Any) -> Fault:
    """Do something to all servers, or to `count` of them."""

    def each(name: str) -> Callable[[Scene], None]:
        def act(scene: Scene) -> None:
            for server in scene.servers[: count or None]:
                getattr(server, name)()

        return act

    return Fault(each(verb), each(undo) if undo else lambda scene: None, **facts)


def _flush(scene: Scene) -> None:
    for server in scene.servers:
        valkey.ask(server.port, "FLUSHALL")


def _terminate_backends(scene: Scene) -> None:
    for server in scene.servers:
        assert isinstance(server, postgres.Postgres)
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'lifeline%' AND pid <> pg_backend_pid()"
        )


def _set_clock(offset: str) -> Callable[[Scene], None]:
    def strike(scene: Scene) -> None:
        scene.clock.write_text(offset + "\n")

    return strike


PROCESSES = {
    "kill runner": Fault(_send(signal.SIGKILL, "runner")),
    "kill keeper": Fault(_send(signal.SIGKILL, "keeper")),
    "kill job": Fault(_send(signal.SIGKILL, "job")),
    "kill all": Fault(_send(signal.SIGKILL, "keeper", "runner", "job")),
    "kill runner, job ignores TERM": Fault(_send(signal.SIGKILL, "runner"), words=("stubborn",)),
    "kill runner, job is a daemon": Fault(
        _send(signal.SIGKILL, "runner"), words=("daemon", "stubborn")
    ),
    "stop runner": _stopped("runner"),
    "stop keeper": _stopped("keeper"),
    "stop keeper, job ignores TERM": _stopped("keeper", words=("stubborn",)),
    "stop job": _stopped("job", passes=False),
    "stop host": _stopped("runner", "keeper", "job", frozen=True),
    "clock +1 h": Fault(_set_clock("+3600"), passes=False, lasts=LONG),
    "clock -1 h": Fault(_set_clock("-3600"), passes=False, lasts=LONG),
}
NETWORK = {
    "connection dropped": Fault(
        lambda scene: [proxy.drop() for proxy in scene.proxies] and None, lasts=LONG, passes=None
    ),
    "connection refused": _network("refuse"),
    "black hole": _network("black_hole"),
    "half open": _network("half_open", passes=None),
    "replies lost": _network("lose_replies"),
    "requests lost": _network("lose_requests"),
    "a reply lost after commit": _network("lose_replies", lasts=0.5, passes=None, cut=True),
}
SERVERS = {
    "server restarted": _servers("restart", passes=None),
    "server paused": _servers("freeze", "thaw", lasts=LONG),
}
FORGETTING = ("server restarted", "FLUSHALL", "3 of 5 down", "2 of 5 down", "1 of 5 down")
_DOWN = {
    f"{count} of 5 down": _servers("kill", "start", count=count, lasts=LONG, passes=count > 2)
    for count in (1, 2, 3)
}

#: Which faults are tried on which store.
FAULTS: dict[str, dict[str, Fault]] = {
    # A lock on a file is the job's own, too: it stays as long as the job does.
    "file": {
        name: replace(fault, passes=fault.passes and name.startswith("kill") and not fault.words)
        for name, fault in PROCESSES.items()
        if "keeper" not in name
    },
    "postgres session": {
        **PROCESSES,
        **NETWORK,
        **SERVERS,
        "backend terminated": Fault(_terminate_backends),
    },
    "postgres session, no table": {
        "kill all": PROCESSES["kill all"],
        "black hole": NETWORK["black hole"],
        "server restarted": SERVERS["server restarted"],
        "backend terminated": Fault(_terminate_backends),
    },
    "postgres xact": {
        **{name: PROCESSES[name] for name in ("kill runner", "kill all", "stop host")},
        **NETWORK,
        **SERVERS,
        "backend terminated": Fault(_terminate_backends),
    },
    "postgres lease": {**PROCESSES, **NETWORK, **SERVERS},
    "redis": {**PROCESSES, **NETWORK, **SERVERS, "FLUSHALL": Fault(_flush)},
    "redlock": {**PROCESSES, **NETWORK, **SERVERS, **_DOWN},
    "dynamodb": {
        **PROCESSES,
        **NETWORK,
        "server paused": SERVERS["server paused"],
    },
}


# What is tried on each change: processes are the same for all stores that have a keeper, but for
# those whose end breaks the connection, and with it a lock of PostgreSQL's.
_SOME = ("kill all", "stop keeper", "stop host")
_OF_SESSIONS = (*_SOME, "kill runner", "kill keeper", "stop runner")
QUICK = {
    store: [
        name
        for name in faults
        if name not in PROCESSES
        or store in ("file", "redis")
        or name in (_OF_SESSIONS if store == "postgres session" else _SOME)
    ]
    for store, faults in FAULTS.items()
}


def play_all(
    rounds: Sequence[tuple[str, str]], at_once: int = 4, seed: int = 0
) -> Iterator[Outcome]:
    """Rounds, several at a time, each in a process of its own; the outcomes as they come."""

    def one(number: int) -> Outcome:
        store, fault = rounds[number]
        words = [sys.executable, __file__, store, fault, str(seed + number)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            return Outcome(store, fault, broken=done.stderr[-3000:] or "the round was killed")
        return Outcome(**json.loads(done.stdout))

    with ThreadPoolExecutor(at_once) as pool:
        for future in as_completed([pool.submit(one, number) for number in range(len(rounds))]):
            yield future.result()


# --- a round ----------------------------------------------------------------------------------


def play(store: str, fault: str, seed: int = 0) -> Outcome:
    """One round with servers, hosts and a directory of its own; nothing of it is left."""
    directory = Path(tempfile.mkdtemp(prefix="lifeline-faults-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stage = STAGES[store](fault)
        stack.callback(stage.close)
        spawn = Spawner(directory)
        stack.callback(spawn.end)
        return _Round(store, fault, directory, stage, spawn, random.Random(seed)).play()


class _Round:
    def __init__(
        self,
        store: str,
        fault: str,
        directory: Path,
        stage: Stage,
        spawn: Spawner,
        chance: random.Random,
    ) -> None:
        self.outcome = Outcome(store, fault)
        self.fault = FAULTS[store][fault]
        self.directory = directory
        self.stage = stage
        self.hosts = [Host(spawn, directory / f"host{number}") for number in range(2)]
        self.random = chance
        self.script = directory / "job.py"
        self.script.write_text(JOB)
        self.lifeline = changed(directory, BROKEN) if BROKEN else [LIFELINE]
        self.name = f"fault-{uuid.uuid4().hex}"

    def play(self) -> Outcome:
        clock = self.directory / "clock"
        clock.write_text("+0\n")
        (self.directory / "hold").touch()
        first = self._start(0, self.stage.far, clock if "clock" in self.outcome.fault else None)
        assert self._wait_for_fences(1), "the first job did not begin"
        second = self._start(1, self.stage.near)
        self._stands_by(second)
        time.sleep(self.random.uniform(0.0, 1.5))  # the fault comes at any moment
        scene = self._scene(first, clock)
        struck = now()
        self.fault.strike(scene)
        if self.fault.lasts:
            time.sleep(self.fault.lasts)
        self.fault.mend(scene)
        # Where it need not pass on, it is watched for as long as that would take.
        if not self._wait_for_fences(2, *(() if self.fault.passes else (LONG,))):
            self.outcome.note = NOBODY if self.fault.passes else ""
        self._settle(first)
        self._judge(struck)
        return self.outcome

    def _start(self, number: int, url: str, clock: Path | None = None) -> Popen[str]:
        words = [
            *(*self.lifeline, "run", "--lock", url, "--name", self.name, "--wait"),
            *("--ttl", f"{TTL}", "--grace", f"{GRACE}", "--"),
            *(sys.executable, str(self.script), *self.fault.words),
        ]
        env = {**dynamodb.CREDENTIALS, **(_shifted(clock) if clock else {})}
        return self.hosts[number].here(*_inside(words), **env)

    def _scene(self, first: Popen[str], clock: Path) -> Scene:
        runner = runner_of(first)
        keeper = 0 if self.outcome.store == "file" else keeper_of(runner)
        job = job_of(runner, self.script)
        return Scene(
            self.stage.servers, self.stage.proxies, runner, keeper, job, clock, self.random
        )

    def _stands_by(self, second: Popen[str]) -> None:
        records = self.hosts[1].state / "runs"
        eventually(lambda: records.exists() and any(records.iterdir()), within=120)
        if self.outcome.store != "file":
            keeper_of(runner_of(second))

    def _settle(self, first: Popen[str]) -> None:
        """Whatever the first host still does has been done, and written down."""
        if len(self._fences()) > 1:
            shows = [os.fsencode(self.script)]
            eventually(lambda: not [p for p in below(first.pid) if argv(p)[1:2] == shows], 60)

    def _fences(self) -> list[int]:
        return sorted({fence for fence, _, _ in self._lines()})

    def _lines(self) -> list[tuple[int, float, bool]]:
        log = self.directory / "log"
        if not log.exists():
            return []
        lines = (line.split() for line in log.read_text().splitlines() if line.count(" ") == 2)
        return [(int(fence), float(when), admitted == "1") for fence, when, admitted in lines]

    def _wait_for_fences(self, count: int, within: float = 60 + 4 * TTL) -> bool:
        try:
            return bool(eventually(lambda: len(self._fences()) >= count, within, every=0.05))
        except AssertionError:
            return False

    def _judge(self, struck: float) -> None:
        lines = self._lines()
        fences = self._fences()
        spans = {fence: [when for each, when, _ in lines if each == fence] for fence in fences}
        for older, newer in pairwise(fences):
            begun = min(spans[newer])
            late = [admitted for each, when, admitted in lines if each == older and when > begun]
            self.outcome.late += len(late)
            self.outcome.admitted_late += sum(late)
            if late and not self.fault.frozen:
                self.outcome.overlaps.append(f"{older} for {max(spans[older]) - begun:.3f} s")
        if len(fences) > 1:
            self.outcome.takeover = min(spans[fences[1]]) - struck
            if self.fault.passes is False:
                self.outcome.note = PASSED


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _inside(words: list[str]) -> list[str]:
    """In a pid namespace whose first process outlives the runner: the host stays up."""
    shell = '"$@" & wait $!; code=$?; while [ -e hold ]; do sleep 0.05; done; exit $code'
    return [*UNSHARE, "sh", "-c", shell, "sh", *words]


def _shifted(clock: Path) -> dict[str, str]:
    """An environment in which the wall clock is off by what the file `clock` says at the moment."""
    import libfaketime

    vendor = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src"
    return {
        "LD_PRELOAD": str(vendor / "libfaketime.so.1"),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


if __name__ == "__main__":
    become_subreaper()
    json.dump(asdict(play(sys.argv[1], sys.argv[2], int(sys.argv[3]))), sys.stdout)
