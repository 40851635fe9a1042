"""`lifeline run --lock` with real processes: hosts are pid namespaces with a state of their own."""

from __future__ import annotations

import json
import os
import signal
import uuid
from pathlib import Path

import pytest

from lifeline import lock
from support.hosts import Host, argv, below, ended, keeper_of, runner_of
from support.lifelines import LIFELINE, Work, answer, lifeline, run, tick
from support.screen import ScreenTerminal
from support.servers import files, free_port, valkey
from support.spawning import Spawner, alive
from support.waiting import eventually

pytestmark = pytest.mark.needs("unshare")

SHORT = ("--ttl", "4", "--grace", "0.5")
# Writes down what it sees of its lease, then works until the file `over` is there.
BODY = """
import json
facts = {k: v for k, v in os.environ.items() if k.startswith("LIFELINE_")}
with open(HERE + "/seen", "a") as file:
    file.write(json.dumps(facts) + "\\n")
work("over")
"""


@pytest.fixture(params=["file", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """A store whose lease the runner holds itself, and one for which it has a keeper."""
    return files.fresh() if request.param == "file" else valkey.fresh()


@pytest.fixture
def name() -> str:
    """Nobody else's: the process table belongs to all tests."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "job", BODY)


@pytest.fixture
def hosts(spawn: Spawner, tmp_path: Path) -> list[Host]:
    return [Host(spawn, tmp_path / f"host{number}") for number in range(4)]


def seen(work: Work) -> list[dict[str, str]]:
    """What the jobs saw of their leases, in the order of their starts."""
    return [json.loads(line) for line in (work.directory / "seen").read_text().splitlines()]


# --- one slot ---------------------------------------------------------------------------------


def test_a_taken_lease_is_passed(work: Work, hosts: list[Host], url: str, name: str) -> None:
    """A host that finds the lease taken leaves with 0, at once and without a word."""
    words = run("--lock", url, "--name", name, "--", *work.argv)
    first = hosts[0].start(*words)
    work.wait_for("start")
    assert hosts[1].run(*words) == (0, "")
    other = run("--lock", url, "--name", name, "--exit-code-if-running", "7", "--", *work.argv)
    assert hosts[1].run(*other) == (7, "")
    work.make("over")
    assert ended(first)[0] == 0
    work.check(starts=1)


def test_a_lease_is_released_at_the_end(work: Work, hosts: list[Host], url: str, name: str) -> None:
    """Once the job has ended, by itself or by a signal, the next one starts without waiting."""
    words = run("--lock", url, "--name", name, "--ttl", "1h", "--", *work.argv)
    first = hosts[0].start(*words)
    work.wait_for("start")
    os.kill(runner_of(first), signal.SIGTERM)
    assert ended(first)[0] == 0
    work.make("over")
    for host in hosts[:3]:
        assert host.run(*words) == (0, "")
    work.check(starts=4)
    fences = [int(facts["LIFELINE_FENCE"]) for facts in seen(work)]
    assert sorted(set(fences)) == fences


def test_who_stands_by_takes_over(
    work: Work, hosts: list[Host], url: str, spawn: Spawner, name: str
) -> None:
    """With --wait a process stands by, says so in status, and runs once the holder has ended."""
    words = run("--lock", url, "--name", name, "--wait", "--", *work.argv)
    first = hosts[0].start(*words)
    work.wait_for("start")
    second = hosts[1].here(*words)
    state = {"LIFELINE_STATE_DIR": str(hosts[1].state)}
    status = [LIFELINE, "status", name, "--json"]
    shown = eventually(
        lambda: (d := json.loads(spawn.run(*status, env=state).stdout)["running"]) and d, within=120
    )
    assert [each["standby"] for each in shown] == [True]
    assert ended(hosts[1].here(*words[:-3], *words[-3:])) == (0, "")  # the next tick leaves it be
    work.make("over")
    assert ended(first)[0] == 0
    assert ended(second)[0] == 0
    work.check(starts=2)


def test_standing_by_has_a_limit(work: Work, hosts: list[Host], url: str, name: str) -> None:
    """After `--wait D` a host leaves as it does without."""
    first = hosts[0].start(*run("--lock", url, "--name", name, "--", *work.argv))
    work.wait_for("start")
    waiting = run("--lock", url, "--name", name, "--wait", "0.5", "--", *work.argv)
    assert hosts[1].run(*waiting) == (0, "")
    assert first.poll() is None
    work.check(starts=1)


def test_one_who_stands_by_can_be_ended(work: Work, hosts: list[Host], url: str, name: str) -> None:
    """TERM ends a process that stands by, with its keeper, and frees nothing that is not its."""
    words = run("--lock", url, "--name", name, "--wait", "--", *work.argv)
    first = hosts[0].start(*words)
    work.wait_for("start")
    second = hosts[1].start(*words)
    runner = runner_of(second)
    keeper = 0 if url.startswith("file:") else keeper_of(runner)
    eventually(lambda: any((hosts[1].state / "runs").glob("*")), within=120)
    os.kill(runner, signal.SIGTERM)
    assert ended(second)[0] == 143
    assert not keeper or eventually(lambda: not alive(keeper))
    assert hosts[2].run(*words[:-3], "--wait", "0.2", *words[-3:])[0] == 0
    assert first.poll() is None
    work.check(starts=1)


def test_a_local_twin_is_enough(work: Work, hosts: list[Host], url: str, name: str) -> None:
    """A tick on the holder's own host needs no store: it is not even reachable."""
    hosts[0].here(*run("--lock", url, "--name", name, "--", *work.argv))
    work.wait_for("start")
    nowhere = f"redis://127.0.0.1:{free_port()}"
    words = run("--lock", nowhere, "--name", name, "--", *work.argv)
    assert ended(hosts[0].here(*words)) == (0, "")
    work.check(starts=1)


# --- slots ------------------------------------------------------------------------------------


def test_as_many_run_as_there_are_slots(work: Work, hosts: list[Host], url: str, name: str) -> None:
    """Of four hosts two run, each in a slot of its own, and both see what they hold."""
    body = Work(work.directory, BODY.replace('work("over")', 'stand_by("start", "over")'))
    words = run("--lock", url, "--name", name, "--slots", "2", "--", *body.argv)
    started = [host.start(*words) for host in hosts]
    body.wait_for("start", 2)
    eventually(lambda: sum(each.poll() is not None for each in started) == 2, within=120)
    facts = seen(body)
    assert sorted(each["LIFELINE_SLOT"] for each in facts) == ["0", "1"]
    for each in facts:
        assert (each["LIFELINE_NAME"], each["LIFELINE_SLOTS"]) == (name, "2")
        assert int(each["LIFELINE_FENCE"]) > 0
        assert len(each["LIFELINE_OWNER"]) == 32
    code, err = hosts[2].run(*run("--lock", url, "--name", name, "--slots", "3", "--", *body.argv))
    assert code == 2
    assert "held with 2 slots, not 3" in err
    assert len(body.said("start")) == 2


@pytest.mark.parametrize(("per_host", "expected"), [("2", 2), ("0", 3)])
def test_a_host_fills_as_many_slots_as_it_may(
    work: Work, hosts: list[Host], url: str, spawn: Spawner, per_host: str, expected: int, name: str
) -> None:
    """With --per-host 2 a third start on this host passes; with 0 only the slots count."""
    body = Work(work.directory, 'stand_by("start", "over")')
    options = ("--lock", url, "--name", name, "--slots", "3", "--per-host", per_host)
    words = run(*options, "--", *body.argv)
    started = [hosts[0].here(*words) for _ in range(4)]
    body.wait_for("start", expected)
    eventually(lambda: sum(each.poll() is not None for each in started) == 4 - expected, within=120)
    state = {"LIFELINE_STATE_DIR": str(hosts[0].state)}
    running = answer(spawn, [LIFELINE, "status", name, "--json"], env=state)["running"]
    assert sorted(each["job_pid"] for each in running) == sorted(body.said("start"))
    assert len(body.said("start")) == expected
    lifeline(spawn, "terminate", name, env=state)
    assert not any(map(alive, body.said("start")))


def test_what_a_dead_run_left_is_ended_with_several_on_a_host(
    work: Work, hosts: list[Host], spawn: Spawner, name: str
) -> None:
    """With --per-host 2, too, the next start ends what a killed runner's job left behind."""
    body = Work(
        work.directory, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('start')\n"
        "while True: time.sleep(0.01)\n"
    )  # fmt: skip
    options = ("--lock", files.fresh(), "--name", name, "--slots", "2", "--per-host", "2")
    first = hosts[0].here(*run(*options, "--", *body.argv))
    (job,) = body.wait_for("start")
    first.kill()
    first.wait(120)
    assert alive(job)
    hosts[0].here(*run(*options, "--", *body.argv))
    body.wait_for("start", 2)
    assert not alive(job)


def test_an_orphan_keeps_it_though_the_job_has_leases_of_its_own(
    spawn: Spawner, hosts: list[Host], tmp_path: Path, name: str
) -> None:
    """One that uses files of the same directory itself, and forks: its child is the job's, too."""
    url = files.fresh()
    body = """
from lifeline import lock
lock("another", sys.argv[1]).acquire()
child()
work()
"""
    body = Work(tmp_path / "job", body)
    words = run("--lock", url, "--name", name, "--", *body.argv, url)
    first = hosts[0].here(*words)
    (job,), (orphan,) = body.wait_for("start"), body.wait_for("child")
    for pid in (first.pid, job):
        os.kill(pid, signal.SIGKILL)
    first.wait(120)
    eventually(lambda: not alive(job))
    holders = [LIFELINE, "lock", "holders", "--lock", url, name]
    assert alive(orphan)
    assert spawn.run(*holders).returncode == 0
    os.kill(orphan, signal.SIGKILL)
    eventually(lambda: spawn.run(*holders).returncode == 3)


STORE = """
import os, time
from lifeline.backends.redis.backend import open_backend as redis


class Faulty:
    def __init__(self, inner):
        self.__dict__["inner"] = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def __setattr__(self, name, value):
        setattr(self.inner, name, value)

    def renew(self, claims):
        if os.path.exists(os.environ["HANGS"]):
            time.sleep(3600)
        if os.path.exists(os.environ["FAILS"]):
            raise KeyError("a fault in a driver")
        return self.inner.renew(claims)


def open_backend(url):
    return Faulty(redis("redis:" + url.partition(":")[2]))
"""


@pytest.fixture
def faulty(tmp_path: Path) -> tuple[str, dict[str, str]]:
    """A store of somebody else's, whose driver fails or hangs once a file is there."""
    site = tmp_path / "site"
    meta = site / "faulty_store-1.0.dist-info"
    meta.mkdir(parents=True)
    (site / "faulty_store.py").write_text(STORE)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-store\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text(
        "[lifeline.stores]\nfaulty = faulty_store:open_backend\n"
    )
    files = {"HANGS": str(tmp_path / "hangs"), "FAILS": str(tmp_path / "fails")}
    return valkey.fresh().replace("redis:", "faulty:"), {"PYTHONPATH": str(site), **files}


STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("start")
time.sleep(3600)
"""


def test_a_fault_in_a_driver_ends_the_job(
    faulty: tuple[str, dict[str, str]], hosts: list[Host], tmp_path: Path, name: str
) -> None:
    """In time, though it ignores TERM: the runner does not leave before it is gone."""
    url, env = faulty
    job = Work(tmp_path / "job", STUBBORN)
    first = hosts[0].here(*run("--lock", url, "--name", name, *SHORT, "--", *job.argv), **env)
    (pid,) = job.wait_for("start")
    Path(env["FAILS"]).touch()
    code, err = ended(first)
    assert code == 76
    assert not alive(pid)
    assert "the store's driver failed: KeyError in faulty_store.py" in err


def test_a_verb_without_an_end_holds_up_no_end_of_a_job(
    faulty: tuple[str, dict[str, str]], hosts: list[Host], tmp_path: Path, name: str
) -> None:
    """The runner is stopped and its keeper's store hangs: the keeper ends the job all the same."""
    url, env = faulty
    job = Work(tmp_path / "job", STUBBORN)
    first = hosts[0].here(*run("--lock", url, "--name", name, *SHORT, "--", *job.argv), **env)
    (pid,) = job.wait_for("start")
    os.kill(first.pid, signal.SIGSTOP)
    Path(env["HANGS"]).touch()
    eventually(lambda: not alive(pid))
    first.kill()


# --- loss -------------------------------------------------------------------------------------


def test_a_lost_lease_ends_the_job(
    work: Work, hosts: list[Host], url: str, spawn: Spawner, name: str
) -> None:
    """A lease that is broken by hand ends its job, with exit 76, and a restart does not hide it."""
    words = run("--lock", url, "--name", name, "--restart", "always", *SHORT, "--", *work.argv)
    first = hosts[0].here(*words)
    work.wait_for("start")
    fence = int(seen(work)[0]["LIFELINE_FENCE"])
    broken = lifeline(spawn, "lock", "break", name, "--slot", "0", "--lock", url, "--yes")
    assert broken.returncode == 0, broken.stderr
    assert int(broken.stdout.split()[-2]) > fence
    code, err = ended(first)
    assert code == 76
    assert "the lease is lost" in err
    assert not work.working()
    work.check(starts=1)
    history = spawn.run(
        LIFELINE, "history", name, "--json", env={"LIFELINE_STATE_DIR": str(hosts[0].state)}
    )
    assert '"lost"' in history.stdout


def test_a_restart_keeps_the_lease(work: Work, hosts: list[Host], url: str, name: str) -> None:
    """The job that is started again has the slot and the fence of the one before."""
    body = Work(work.directory, BODY.replace('work("over")', 'say("start")\nsys.exit(3)'))
    options = ("--restart", "on-failure", "--backoff", "10ms")
    first = hosts[0].start(*run("--lock", url, "--name", name, *options, "--", *body.argv))
    body.wait_for("start", 3)
    os.kill(runner_of(first), signal.SIGTERM)
    ended(first)
    assert len({facts["LIFELINE_FENCE"] for facts in seen(body)}) == 1


def test_an_orphan_keeps_its_file_lease(work: Work, hosts: list[Host], name: str) -> None:
    """A job that outlives its killed runner keeps others away: it has the lock's descriptor."""
    stubborn = """
signal.signal = lambda *_: None  # what `work` says about TERM
work()
"""
    ignoring = ["env", "--ignore-signal=TERM"]  # as a job does that does not want to end
    body = Work(work.directory, stubborn)
    words = run("--lock", files.fresh(), "--name", name, "--", *ignoring, *body.argv)
    first = hosts[0].here(*words)
    (job,) = body.wait_for("start")
    first.kill()
    first.wait(120)
    assert alive(job)
    assert hosts[1].run(*words) == (0, "")
    os.kill(job, signal.SIGKILL)
    eventually(lambda: not alive(job))
    hosts[1].start(*words)
    body.wait_for("start", 2)
    body.check(starts=2)


# --- where the URL comes from, and what is shown of it ----------------------------------------


def test_the_store_is_named_by_the_environment(
    work: Work, hosts: list[Host], url: str, name: str
) -> None:
    """LIFELINE_LOCK is the store of who names none; --exec refuses to run without its lease."""
    work.make("over")
    words = run("--name", name, "--", *work.argv)
    assert hosts[0].run(*words, LIFELINE_LOCK=url) == (0, "")
    assert seen(work)[0]["LIFELINE_SLOT"] == "0"
    code, err = hosts[0].run(*run("--exec", "--", *work.argv), LIFELINE_LOCK=url)
    assert code == 2
    assert "LIFELINE_LOCK" in err
    assert len(work.said("start")) == 1


@pytest.mark.parametrize("source", ["env", "secret-file"])
def test_a_secret_stays_one(
    work: Work, hosts: list[Host], tmp_path: Path, source: str, name: str
) -> None:
    """A URL out of the environment or a file shows on no command line of any process."""
    secret = "hunter2-and-a-half"
    server = valkey.new_server("--requirepass", secret)
    try:
        url = valkey.url_of(server.port).replace("redis://", f"redis://:{secret}@")
        file = tmp_path / "url"
        file.write_text(url + "\n")
        file.chmod(0o600)
        given = "env:STORE" if source == "env" else f"secret-file:{file}"
        first = hosts[0].start(*run("--lock", given, "--name", name, "--", *work.argv), STORE=url)
        work.wait_for("start")
        shown = [b" ".join(argv(pid)) for pid in below(first.pid)]
        assert len(shown) >= 3
        assert not any(secret.encode() in words for words in shown)
        wrong = url.replace(secret, f"not-{secret}")
        code, err = hosts[1].run(*run("--lock", "env:S", "--name", name, "--", "true"), S=wrong)
        assert code == 75
        assert secret not in err
        assert len(err.splitlines()) == 1
    finally:
        server.close()


def test_a_password_on_a_command_line_is_warned_of_and_not_shown(
    spawn: Spawner, work: Work, name: str
) -> None:
    """Before the store is asked, by each verb, once; what shows command lines leaves it out."""
    secret = "hunter2-and-a-half"
    server = valkey.new_server("--requirepass", secret)
    try:
        url = f"{valkey.url_of(server.port)}&password={secret}"
        first = spawn(*run("--lock", url, "--name", name, "--", *work.argv))
        work.wait_for("start")
        for words in (
            ("run", "--lock", url, "--name", name, "--per-host", "2", "--", "true"),
            ("lock", "check", url),
            ("lock", "holders", "--lock", url),
            ("signal", "--lock", url, name),
        ):
            told = lifeline(spawn, *words)
            assert told.stderr.count("holds a password") == 1, words
            assert secret not in told.stdout + told.stderr
        for words in (("explain", "--json", name), ("status", "--json"), ("explain", name)):
            told = lifeline(spawn, *words)
            assert secret not in told.stdout + told.stderr
        work.make("over")
        code, err = ended(first)
        assert (code, err.count("holds a password")) == (0, 1)
    finally:
        server.close()


# --- wrong use, and stores that will not do ---------------------------------------------------

WRONG = {
    "ttl too short": (("--lock", "file:/tmp/x", "--ttl", "5"), 2, "grace"),
    "no scheme": (("--lock", "somewhere"), 2, "scheme"),
    "unknown scheme": (("--lock", "gopher://x"), 2, "no store is called"),
    "a relative directory": (("--lock", "file:locks"), 2, "file:"),
    "a variable that is not set": (("--lock", "env:NOT_SET_ANYWHERE"), 2, "NOT_SET_ANYWHERE"),
    "a file that is not there": (("--lock", "secret-file:/nowhere/at/all"), 2, "/nowhere/at/all"),
    "slots without a lock": (("--slots", "2"), 2, "--slots needs --lock"),
    "no slots": (("--lock", "file:/tmp/x", "--slots", "0"), 2, "from 1"),
    "exec": (("--lock", "file:/tmp/x", "--exec"), 2, "needs a runner"),
    "per-host and replace": (
        ("--lock", "file:/tmp/x", "--per-host", "2", "--on-running", "replace"),
        2,
        "--per-host",
    ),
    "nobody there": (("--lock", "redis://127.0.0.1:1"), 75, "127.0.0.1:1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_starts_nothing(spawn: Spawner, tmp_path: Path, case: str, name: str) -> None:
    """One line that says what and what to do, the documented exit code, and no job."""
    options, code, part = WRONG[case]
    told = tick(spawn, "--name", name, *options, "--", "touch", tmp_path / "ran")
    assert told.returncode == code, told.stderr
    assert part in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert not (tmp_path / "ran").exists()


def test_a_missing_driver_is_named(spawn: Spawner, tmp_path: Path) -> None:
    """Without its driver a store says in one line which extra brings it."""
    blocked = tmp_path / "blocked"
    (blocked / "redis").mkdir(parents=True)
    (blocked / "redis" / "__init__.py").write_text("raise ModuleNotFoundError(name='redis')\n")
    told = tick(
        *(spawn, "--lock", "redis://127.0.0.1:1", "--", "touch", tmp_path / "ran"),
        env={"PYTHONPATH": str(blocked)},
    )
    assert told.returncode == 75
    assert "pip install lifeline-run[redis]" in told.stderr
    assert len(told.stderr.splitlines()) == 1


# --- lifeline lock ----------------------------------------------------------------------------


def test_holders_are_shown(
    work: Work, hosts: list[Host], url: str, spawn: Spawner, name: str
) -> None:
    """`lock holders` says who holds what and where; 3 if nobody does."""
    asked = [LIFELINE, "lock", "holders", name, "--lock", url]
    assert spawn.run(*asked).returncode == 3
    hosts[0].start(*run("--lock", url, "--name", name, "--slots", "2", "--", *work.argv))
    work.wait_for("start")
    (holder,) = answer(spawn, [*asked, "--json"])
    facts = seen(work)[0]
    assert holder["name"] == name
    assert holder["slots"] == 2
    assert str(holder["slot"]) == facts["LIFELINE_SLOT"]
    assert str(holder["fence"]) == facts["LIFELINE_FENCE"]
    assert holder["owner"] == facts["LIFELINE_OWNER"]
    assert holder["host"] == os.uname().nodename
    assert holder["command"].endswith("job.py")
    table = spawn.run(*asked).stdout.splitlines()
    assert table[0].split() == ["NAME", "SLOT", "FENCE", "HOST", "PID", "SINCE", "UNTIL", "COMMAND"]
    assert facts["LIFELINE_FENCE"] in table[1]


def test_a_break_asks_first(url: str, spawn: Spawner, name: str) -> None:
    """Without a terminal to ask, `lock break` wants --yes; what nobody ever held is 3."""
    words = ["lock", "break", name, "--slot", "0", "--lock", url]
    told = lifeline(spawn, *words)
    assert told.returncode == 2
    assert "--yes" in told.stderr
    assert lifeline(spawn, *words, "--yes").returncode == 3


def test_a_break_is_of_the_holder_that_was_asked_about(spawn: Spawner, url: str, name: str) -> None:
    """Who has it by the time of the answer is not the one that was meant."""
    turn = lock(name, url)
    turn.acquire()
    words = (LIFELINE, "lock", "break", name, "--slot", "0", "--lock", url)
    terminal = ScreenTerminal(spawn, *words)
    terminal.wait_for("held by")
    turn.release()
    turn.acquire()
    terminal.type("y\n")
    terminal.wait_for("nothing was broken")
    assert terminal.process.wait(120) == 1
    turn.release()


def test_check_and_setup(url: str, spawn: Spawner) -> None:
    """`lock check` and `lock setup` say what they found and did; 75 if nobody is there."""
    checked = lifeline(spawn, "lock", "check", url)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert all(
        finding["what"] for finding in answer(spawn, [LIFELINE, "lock", "check", url, "--json"])
    )
    assert lifeline(spawn, "lock", "setup", url).returncode == 0
    gone = lifeline(
        spawn, "lock", "setup", "dynamodb://table?region=us-east-1&endpoint=http://127.0.0.1:1"
    )
    assert gone.returncode == 75
    assert len(gone.stderr.splitlines()) == 1
