"""`lifeline signal`, `lifeline watch`, and signals to `lifeline run`, with real processes."""

from __future__ import annotations

import json
import os
import re
import signal as signals
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from lifeline import lock, signal
from signals.conftest import Hold, made, say
from support.lifelines import LIFELINE, Work, lifeline, run, tick
from support.servers import files, free_port, postgres, valkey
from support.spawning import Spawner
from support.waiting import eventually

# Works until the file `over` is there; says so when it gets USR1.
BODY = """
signal.signal(signal.SIGUSR1, lambda *_: say("usr1"))
signal.signal(signal.SIGUSR2, lambda *_: say("usr2"))
work("over")
"""


@pytest.fixture(params=["file", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    """A store for which the runner listens itself, and one for which its keeper does."""
    return files.fresh() if request.param == "file" else valkey.fresh()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "job", BODY)


def hook(work: Work, body: str = "cat; echo") -> str:
    """A hook that notes what it is given, on stdin and in its environment."""
    return f'{{ {body}; echo "$LIFELINE_EVENT|$LIFELINE_PAYLOAD"; }} >>{work.directory}/hooks'


def notes(work: Work) -> list[str]:
    path = work.directory / "hooks"
    return path.read_text().splitlines() if path.exists() else []


def test_a_payload_runs_the_hook(spawn: Spawner, work: Work, url: str, name: str) -> None:
    """With the payload on stdin and in LIFELINE_PAYLOAD; the job goes on."""
    job = spawn(*run("--lock", url, "--name", name, "--on-signal", hook(work), "--", *work.argv))
    work.wait_for("start")
    words = ("signal", "--lock", url, "--wait", "60s", name)
    sent = lifeline(spawn, *words, 'hi ho\'; rm -rf $HOME "silver"')
    assert (sent.returncode, sent.stdout) == (0, "heard by 1\n")
    eventually(lambda: len(notes(work)) == 2, within=120)
    said = 'hi ho\'; rm -rf $HOME "silver"'
    assert notes(work) == [said, f"signal|{said}"]
    work.make("over")
    assert job.communicate(timeout=120)[1] == ""
    assert job.returncode == 0
    work.check(starts=1)


def test_hooks_know_the_lease(spawn: Spawner, work: Work, url: str, name: str) -> None:
    """They see what the job sees of it, so that they can guard what they write."""
    lease = "$LIFELINE_SLOT of $LIFELINE_SLOTS $LIFELINE_FENCE $LIFELINE_OWNER"
    note = f'echo "$LIFELINE_EVENT {lease}" >>{work.directory}/hooks'
    body = Work(
        work.directory,
        f"""os.system('echo "job {lease}" >>{work.directory}/hooks')
work("over")""",
    )
    hooks = ("--on-start", note, "--on-signal", note, "--on-exit", note)
    job = spawn(*run("--lock", url, "--name", name, *hooks, "--", *body.argv))
    body.wait_for("start")
    lifeline(spawn, "signal", "--lock", url, "--wait", "60s", name, "hi")
    eventually(lambda: len(notes(work)) == 3, within=120)
    body.make("over")
    assert job.communicate(timeout=120)[1] == ""
    said = dict(line.split(" ", 1) for line in notes(work))
    assert said.keys() == {"job", "start", "signal", "exit"}
    assert len(set(said.values())) == 1
    assert re.fullmatch("0 of 1 [0-9]+ [0-9a-f]{32}", said["job"])


def test_hooks_run_one_at_a_time(spawn: Spawner, work: Work, url: str, name: str) -> None:
    """In the order of sending, and acknowledged is what has begun."""
    wait = f"cat >>{work.directory}/began; while [ ! -e {work.directory}/go ]; do sleep 0.02; done"
    job = spawn(
        *run("--lock", url, "--name", name, "--on-signal", hook(work, wait), "--", *work.argv)
    )
    work.wait_for("start")
    assert say(name, "0", url, acknowledge=True) == 1
    for number in range(1, 9):
        assert say(name, str(number), url) == 1
    assert signal(name, "9", url, wait=0.2, acknowledge=True) == 0
    began = work.directory / "began"
    eventually(lambda: began.exists() and began.read_text() == "0", within=120)
    work.make("go")
    eventually(lambda: len(notes(work)) == 10, within=120)
    assert notes(work) == [f"signal|{number}" for number in range(10)]
    work.make("over")
    assert job.wait(120) == 0


def test_a_large_payload_is_given_whole(spawn: Spawner, work: Work, url: str, name: str) -> None:
    """7000 bytes of any kind on stdin; where there is a NUL, stdin alone has it."""
    sink = f"cat >>{work.directory}/got; echo $? >>{work.directory}/hooks"
    spawn(*run("--lock", url, "--name", name, "--on-signal", sink, "--", *work.argv))
    work.wait_for("start")
    payloads = [os.urandom(7000), bytes(range(256)), b"\xff" * 7000]
    for payload in payloads:
        assert say(name, payload, url) == 1
    eventually(lambda: len(notes(work)) == 3, within=120)
    assert (work.directory / "got").read_bytes() == b"".join(payloads)


def test_a_payload_becomes_a_signal(spawn: Spawner, work: Work, url: str, name: str) -> None:
    """One that is listed; any other is heard by nobody, and does nothing."""
    words = ("--lock", url, "--name", name, "--forward-signals", "USR1,sigusr2")
    job = spawn(*run(*words, "--", *work.argv))
    work.wait_for("start")
    assert say(name, "SIGUSR1\n", url) == 1
    work.wait_for("usr1")
    for other in ("SIGTERM", "SIGKILL", "USR1", "usr1", "SIGUSR1,SIGUSR2", ""):
        assert signal(name, other, url, wait=0.1) == 0
    assert say(name, "SIGUSR2", url, acknowledge=True) == 1
    work.wait_for("usr2")
    work.make("over")
    assert job.wait(120) == 0
    work.check(starts=1)


def restarted(spawn: Spawner, work: Work, backoff: str, *words: str) -> Popen[str]:
    """A run whose job has been killed, which starts it again after `backoff`."""
    kept = ("--on-signal", hook(work), "--restart", "always", "--backoff", backoff)
    job = spawn(*run(*words, *kept, "--", *work.argv))
    [first] = work.wait_for("start")
    os.kill(first, signals.SIGKILL)
    eventually(lambda: not os.path.exists(f"/proc/{first}"), within=120)  # the runner knows of it
    return job


def test_what_comes_between_two_runs(spawn: Spawner, work: Work, url: str, name: str) -> None:
    """A hook waits; a signal would kill a job that just begins, and is dropped."""
    words = ("--lock", url, "--name", name, "--forward-signals", "USR1")
    job = restarted(spawn, work, "1h", *words)
    assert say(name, "SIGUSR1", url, acknowledge=True) == 1
    assert say(name, "hello", url) == 1
    assert signal(name, "more", url, wait=0.2, acknowledge=True) == 0
    os.kill(job.pid, signals.SIGTERM)
    job.wait(120)
    assert notes(work) == []
    work.check(starts=1)


def test_a_hook_goes_on_with_the_next_run(spawn: Spawner, work: Work, url: str, name: str) -> None:
    """What came before it begins is dealt with then."""
    restarted(spawn, work, "2s", "--lock", url, "--name", name)
    assert say(name, "hello", url, acknowledge=True) == 1
    work.wait_for("start", 2)
    eventually(lambda: notes(work) == ["hello", "signal|hello"], within=120)


def test_without_a_hook_nobody_hears(spawn: Spawner, work: Work, url: str, name: str) -> None:
    """A run that asks for no signals is a holder that does not listen: exit code 3."""
    spawn(*run("--lock", url, "--name", name, "--", *work.argv))
    work.wait_for("start")
    sent = lifeline(spawn, "signal", "--lock", url, name, "hello")
    assert (sent.returncode, sent.stdout) == (3, "")
    assert "nobody" in sent.stderr


@pytest.mark.needs("pgbouncer")
def test_a_store_that_carries_no_signals_is_told_at_once(
    spawn: Spawner, work: Work, name: str
) -> None:
    """Through a pooler: exit code 75, one line, no job, and the lease is free again."""
    pooled = postgres.stores()["pgbouncer-lease"]()
    ended = tick(spawn, "--lock", pooled, "--name", name, "--on-signal", "true", "--", *work.argv)
    assert ended.returncode == 75
    assert "pooler" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert work.lines() == []
    assert lock(name, pooled).acquire(blocking=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on-signal", "true"], "--on-signal needs --lock"),
        (["--forward-signals", "USR1"], "--forward-signals needs --lock"),
        (["--lock", "file:", "--forward-signals", "USR1,NONE"], "takes signals"),
        (["--lock", "file:", "--forward-signals", "_DFL"], "takes signals"),
        (["--lock", "file:", "--forward-signals", ""], "takes signals"),
        (["--lock", "file:", "--on-signal", ""], "cannot be empty"),
    ],
)
def test_wrong_use_is_told(spawn: Spawner, work: Work, words: list[str], said: str) -> None:
    """Exit code 2 and one line."""
    ended = tick(spawn, *words, "--", *work.argv)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert work.lines() == []


# --- the verbs --------------------------------------------------------------------------------


@pytest.fixture
def watching(spawn: Spawner) -> Callable[..., Popen[str]]:
    """Starts `lifeline watch`; returns once it is ready."""

    def start(*words: str, says: str = "holds slot") -> Popen[str]:
        process = spawn(LIFELINE, "watch", *words)
        assert process.stderr is not None
        assert says in process.stderr.readline()
        return process

    return start


def test_watch_prints_a_line_for_each_payload(
    spawn: Spawner, url: str, name: str, watching: Callable[..., Popen[str]]
) -> None:
    """As JSON: text as it is, other bytes in base64. TERM ends it and releases the slot."""
    watcher = watching("--lock", url, name)
    words = [LIFELINE, "signal", "--lock", url, "--wait", "60s", "--json", name]
    for payload in (b"line\nbreak", b"\xff\x00"):
        process = spawn(*words, "-", stdin=PIPE, text=False)
        out, err = process.communicate(payload, timeout=60)
        assert (process.returncode, json.loads(out)) == (0, {"name": name, "heard": 1}), err
    assert watcher.stdout is not None
    lines = [json.loads(watcher.stdout.readline()) for _ in range(2)]
    assert [line["payload"] for line in lines] == ["line\nbreak", None]
    assert [line.get("base64") for line in lines] == [None, "/wA="]
    watcher.terminate()
    assert watcher.wait(120) == 143
    assert lock(name, url).acquire(blocking=False)


def test_watch_ends_with_the_lease(
    spawn: Spawner, url: str, name: str, watching: Callable[..., Popen[str]]
) -> None:
    """If it is lost: exit code 76 and one line."""
    watcher = watching("--lock", url, "--ttl", "6s", name)
    lifeline(spawn, "lock", "break", "--lock", url, "--slot", "0", "--yes", name)
    said = watcher.communicate(timeout=120)[1]
    assert watcher.returncode == 76
    assert "lifeline: the lease is lost\n" in said


def test_a_slot_is_spoken_to(
    spawn: Spawner, url: str, name: str, watching: Callable[..., Popen[str]]
) -> None:
    """Two watch, --slot reaches one; without it both hear."""
    watchers = [watching("--lock", url, "--slots", "2", name) for _ in range(2)]
    words = ("signal", "--lock", url, "--wait", "60s")
    one = lifeline(spawn, *words, "--slot", "1", name, "one")
    both = lifeline(spawn, *words, name, "both")
    assert (one.stdout, both.stdout) == ("heard by 1\n", "heard by 2\n")
    heard: dict[int, list[str]] = {0: [], 1: []}
    for watcher in watchers:
        watcher.terminate()
        for line in watcher.communicate(timeout=120)[0].splitlines():
            heard[json.loads(line)["slot"]].append(json.loads(line)["payload"])
    assert heard == {0: ["both"], 1: ["one", "both"]}


def test_without_wait_it_is_said_once(
    spawn: Spawner, name: str, watching: Callable[..., Popen[str]]
) -> None:
    """How many have heard it within a second, which a busy machine may miss: then say it again."""
    url = files.fresh()
    watcher = watching("--lock", url, name)
    words = ("signal", "--lock", url, name, "hello")
    eventually(lambda: lifeline(spawn, *words).stdout == "heard by 1\n", within=120)
    assert watcher.stdout is not None
    assert json.loads(watcher.stdout.readline())["payload"] == "hello"


def test_watch_says_that_it_waits(
    spawn: Spawner, name: str, watching: Callable[..., Popen[str]]
) -> None:
    """While every slot is taken; it takes over when one is freed."""
    url = files.fresh()
    first = watching("--lock", url, name)
    second = spawn(LIFELINE, "watch", "--lock", url, name)
    assert second.stderr is not None
    assert f"every slot of {name} is taken: waits" in second.stderr.readline()
    first.terminate()
    assert "holds slot 0" in second.stderr.readline()


def test_one_who_listens_holds_nothing(
    spawn: Spawner, url: str, name: str, hold: Hold, watching: Callable[..., Popen[str]]
) -> None:
    """It prints what holders are told, is not counted, and keeps nobody from the slot."""
    listener = watching("--listen", "--lock", url, name, says="listens to")
    assert signal(name, "nobody is there", url) == 0
    for fence in (1, 2):
        lease = hold(name, url)
        came = lease.signals()
        assert say(name, f"to {fence}", url) == 1
        assert next(came).text == f"to {fence}"
        lease.store.release(lease.claim)
    assert listener.stdout is not None
    lines = [json.loads(listener.stdout.readline()) for _ in range(2)]
    assert lines == [{"slot": 0, "fence": None, "payload": f"to {fence}"} for fence in (1, 2)]
    listener.terminate()
    assert listener.wait(120) == 143


def test_listening_to_a_mailbox_is_refused(spawn: Spawner, name: str) -> None:
    """What one reads there, another does not: exit code 75 and one line."""
    ended = lifeline(spawn, "watch", "--listen", "--lock", made("dynamodb"), name)
    assert ended.returncode == 75
    assert "mailbox" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_payload_on_stdin_may_have_no_end(spawn: Spawner, name: str) -> None:
    """It is refused after 7000 bytes. A stdin that is closed says nothing: an empty payload."""
    words = (LIFELINE, "signal", "--lock", files.fresh(), name, "-")
    with open("/dev/zero", "rb") as endless:
        ended = spawn.run(*words, stdin=endless)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "more than 7000 bytes" in ended.stderr
    ended = spawn.run("sh", "-c", 'exec "$@" <&-', "sh", *words)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (3, 1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["signal", "--lock", "URL", "nobody", "x"], 3, "nobody"),
        (["signal", "nobody", "x"], 2, "which store"),
        (["watch", "nobody"], 2, "which store"),
        (["signal", "--lock", "URL", "nobody", "x" * 7001], 2, "7001 bytes and may have 7000"),
        (["signal", "--lock", "URL", "--slot", "-1", "nobody", "x"], 2, "counted from 0"),
        (["signal", "--lock", "URL", "--wait", "soon", "nobody", "x"], 2, "is not a duration"),
        (["signal", "--lock", "NOWHERE", "nobody", "x"], 75, "is it up"),
        (["signal", "--lock", "NOWHERE", "--wait", "0.1", "nobody", "x"], 75, "is it up"),
        (["watch", "--lock", "NOWHERE", "nobody"], 75, "is it up"),
        (["watch", "--listen", "--lock", "NOWHERE", "nobody"], 75, "is it up"),
        (["watch", "--listen", "--lock", "URL", "--slots", "0", "nobody"], 2, "from 1 to 1000"),
        (["signal", "--lock", "file:/etc/passwd", "nobody", "x"], 75, "Not a directory"),
        (["watch", "--lock", "file:/etc/passwd", "nobody"], 75, "not a directory"),
    ],
)
def test_exit_codes_of_signal(spawn: Spawner, words: list[str], code: int, said: str) -> None:
    """3 if nobody heard it, 2 for wrong use, 75 without an answer; one line."""
    places = {"URL": files.fresh(), "NOWHERE": f"redis://127.0.0.1:{free_port()}"}
    ended = lifeline(spawn, *[places.get(word, word) for word in words])
    assert ended.returncode == code
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
