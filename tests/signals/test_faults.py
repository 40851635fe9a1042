"""Servers that restart, listeners that die, processes that fork, many at once."""

from __future__ import annotations

import logging
import os
import select
import signal as signals
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest

from lifeline import StoreUnreachable, signal
from lifeline.leases.shared import store_at
from lifeline.leases.stores import open_store
from lifeline.signals.letters import HEARD, Call
from signals.conftest import Hold, say
from support.servers import Server, files, postgres, valkey
from support.spawning import Spawner
from support.waiting import eventually

HELD = """
import sys
from lifeline import lock
with lock(sys.argv[1], sys.argv[2], ttl=6) as lease:
    came = lease.signals()
    print("holds", flush=True)
    for payload in came:
        print(payload.text, flush=True)
"""


@pytest.fixture(params=["postgres", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """A server that may be killed, and the URL of a store there."""
    if request.param == "postgres":
        made = postgres.new_server()
        url = f"{made.url()}?mode=lease"
        postgres.set_up(url)
    else:
        made = valkey.new_server("--appendonly", "yes", "--appendfsync", "always")
        url = valkey.url_of(made.port)
    with closing(made):
        yield made, url


def test_a_restarted_server(
    server: tuple[Server, str], name: str, hold: Hold, caplog: pytest.LogCaptureFixture
) -> None:
    """A listener listens again, and says so; senders go on; what is acknowledged is not lost."""
    machine, url = server
    came = hold(name, url).signals()
    assert say(name, "before", url) == 1
    machine.kill()
    with pytest.raises(StoreUnreachable):
        signal(name, "meanwhile", url)
    heard: list[int] = []
    sender = threading.Thread(
        target=lambda: heard.append(signal(name, "kept", url, wait=60, acknowledge=True))
    )
    sender.start()
    machine.start()
    assert list(islice(came, 2)) == [b"before", b"kept"]
    sender.join(60)
    assert heard == [1]
    assert say(name, "after", url) == 1
    assert next(came) == b"after"
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("signals are not heard for now" in line for line in told)
    assert "signals are heard again" in told


def test_a_redlock_server_may_fail(name: str, hold: Hold) -> None:
    """With one of three servers gone, signals arrive all the same, once and in order."""
    machines = [valkey.new_server() for _ in range(3)]
    url = valkey.redlock_url([machine.port for machine in machines])
    try:
        came = hold(name, url).signals()
        for gone in (None, 1):
            if gone is not None:
                machines[gone].kill()
            for number in range(20):
                assert say(name, str(number), url) == 1
            assert list(islice(came, 20)) == [str(number).encode() for number in range(20)]
    finally:
        for machine in machines:
            machine.close()


@pytest.mark.parametrize("make", [files.fresh, valkey.fresh], ids=["file", "redis"])
def test_many_in_a_row(make: Callable[[], str], name: str, hold: Hold) -> None:
    """A thousand payloads from each of two threads all arrive, and each thread's in its order."""
    url = make()
    came = hold(name, url).signals()

    def send(letter: str) -> None:
        for number in range(1000):
            assert say(name, f"{letter}{number}", url) == 1

    threads = [threading.Thread(target=send, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    got = [payload.text for payload in islice(came, 2000)]
    for thread in threads:
        thread.join(60)
    for letter in "ab":
        mine = [int(text[1:]) for text in got if text[0] == letter]
        assert mine == list(range(1000))


def test_one_and_only_one_hears(name: str, spawn: Spawner) -> None:
    """Of five processes that want the one slot, one holds it and hears; it dies, the next does."""
    url = files.fresh()  # which frees at once what a dead process held
    started = [spawn(sys.executable, "-c", HELD, name, url) for _ in range(5)]

    for _ in range(2):
        # Who has just got the slot has yet to write who it is.
        pid = eventually(
            lambda: next((each.info.get("pid") for each in store_at(url).holders(name)), None),
            within=120,
        )
        holder = next(each for each in started if each.pid == pid)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        assert say(name, "hi ho silver!", url) == 1
        assert holder.stdout.readline() == "hi ho silver!\n"
        started.remove(holder)
        os.kill(holder.pid, signals.SIGKILL)
        holder.wait(120)
        eventually(
            lambda dead=holder.pid: all(  # type: ignore[misc]
                each.info.get("pid") != dead for each in store_at(url).holders(name)
            ),
            within=120,
        )
    for other in started:
        other.kill()
        assert other.stdout is not None
        assert "hi ho" not in other.stdout.read()


def test_dead_listeners_are_swept(name: str, spawn: Spawner, hold: Hold) -> None:
    """The socket of a process that was killed is removed, and does not count as heard."""
    url = files.fresh()
    holder = spawn(sys.executable, "-c", HELD, name, url)
    assert holder.stdout is not None
    holder.stdout.readline()
    mail = Path(url.removeprefix("file:")) / "mail"
    assert len(list(mail.iterdir())) == 1
    os.kill(holder.pid, signals.SIGKILL)
    holder.wait(120)
    came = hold(name, url).signals()
    assert len(list(mail.iterdir())) == 1
    assert say(name, "hello", url) == 1
    assert next(came) == b"hello"


def test_a_long_path_will_do(tmp_path: Path, name: str, hold: Hold) -> None:
    """A socket's path has 107 bytes at most; a directory's may be longer."""
    url = f"file:{tmp_path / ('d' * 100) / 'locks'}"
    came = hold(name, url).signals()
    assert say(name, "hello", url) == 1
    assert next(came) == b"hello"


def test_a_slow_reader_is_waited_for(tmp_path: Path) -> None:
    """The kernel keeps some ten datagrams; more wait for their reader, and none is lost."""
    url = files.fresh()
    one, other = open_store(url).mail(), open_store(url).mail()
    token = "0" * 16
    one.listen(token)
    letters = [(token, str(number).encode()) for number in range(500)]
    sender = threading.Thread(target=lambda: other.post(letters))
    sender.start()
    came: list[tuple[str, bytes]] = []
    eventually(lambda: came.extend(one.collect()) or len(came) == 500, within=120)
    sender.join(60)
    assert sorted(came, key=lambda each: int(each[1])) == letters
    one.close()
    other.close()


def test_a_fork_leaves_the_parent_its_signals(name: str, hold: Hold) -> None:
    """The child hears nothing, ends its iterators, and can send; the parent goes on hearing."""
    for url in (files.fresh(), valkey.fresh()):
        lease = hold(name, url)
        came = lease.signals()
        assert say(name, "before", url) == 1
        child = os.fork()
        if child == 0:
            ok = list(came) == [] and say(name, "from the child", url) == 1
            os._exit(0 if ok else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert say(name, "after", url) == 1
        assert list(islice(came, 3)) == [b"before", b"from the child", b"after"]


def test_an_iterator_that_nobody_reads_takes_nothing(name: str, hold: Hold) -> None:
    """Once the code has left its loop, a signal is heard by nobody; another loop hears again."""
    url = files.fresh()
    lease = hold(name, url)
    first = lease.signals()
    assert say(name, "1", url) == 1
    del first
    assert signal(name, "2", url) == 0
    again = lease.signals()
    assert say(name, "3", url) == 1
    assert next(again) == b"3"


def test_letters_from_strangers_are_harmless(name: str, hold: Hold) -> None:
    """Whatever else comes through the channel, signals go on."""
    url = files.fresh()
    came = hold(name, url).signals()
    [path] = (Path(url.removeprefix("file:")) / "mail").iterdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for junk in (b"", b"\0", b"lifeline/1 call x", b"x" * 60000):
            stranger.sendto(junk, str(path))
    assert say(name, "hello", url) == 1
    assert next(came) == b"hello"


def test_a_server_that_missed_a_letter_does_not_change_the_order(name: str) -> None:
    """Redlock: the second letter, alone at the first server, waits for the first at another."""
    url = valkey.redlock_url([valkey.server(number).port for number in range(3)])
    ear, mouth = open_store(url).mail(), open_store(url).mail()
    token = ear.box(name, 0)
    ear.listen(token)
    calls = [Call("a" * 16, number, "", "", HEARD, b"x").encode() for number in (1, 2)]
    nodes = list(mouth._nodes.values())  # type: ignore[attr-defined]
    nodes[0].post([(token, calls[1])])
    nodes[1].post([(token, call) for call in calls])
    poll = select.poll()
    for fd in ear.descriptors():
        poll.register(fd, select.POLLIN)
    eventually(lambda: len(poll.poll(0)) == 2, within=120)
    assert [letter for _, letter in ear.collect()][:2] == calls
    ear.close()
    mouth.close()


def test_signals_end_when_the_work_is_to_end(name: str, hold: Hold) -> None:
    """What waits for a payload is told, though the lease is held until the work is over."""
    lease = hold(name, files.fresh())
    came = lease.signals()
    ended: list[list[bytes]] = []
    thread = threading.Thread(target=lambda: ended.append(list(came)))
    thread.start()
    lease.dismiss()
    thread.join(60)
    assert ended == [[]]
