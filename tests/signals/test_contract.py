"""What holds for signals with every store, on real servers."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from lifeline import LeaseLost, Payload, StoreRefused, UsageError, signal
from lifeline.leases.overhearing import Overhearing
from lifeline.leases.shared import store_at
from signals.conftest import POOLED, Hold, HoldAll, TurnAt, made, say
from support.waiting import eventually

NASTY = [
    b"",
    b"hi ho silver!",
    b"'; DROP TABLE lifeline_lock; --",
    b"$$ '' \" \\ %s {0} $1 \r\n+OK\r\n*1\r\n$4\r\nQUIT\r\n",
    "Grüße, 東京 🐎".encode(),
    bytes(range(256)),
    b"\0",
    b"x" * 7000,
    os.urandom(7000),
    b'{"at": [1, 2], "of": "\\u0000"}',
]


def test_a_payload_arrives_as_it_was_sent(url: str, name: str, hold: Hold) -> None:
    """Whatever bytes it has, up to 7000 of them, in the order of sending, and each was heard."""
    came = hold(name, url).signals()
    for payload in NASTY:
        assert say(name, payload, url) == 1
    assert list(islice(came, len(NASTY))) == NASTY


NAMES = [
    "'; NOTIFY x; --",
    'a"b\\c',
    "../../etc/passwd",
    "a b\tc\r\nPUBLISH x y",
    "*",
    "Grüße 東京 🐎" * 20,
    "%s $1 {x}",
]


def test_names_may_hold_anything(url: str, hold_all: HoldAll) -> None:
    """A name that is SQL, a path, a pattern or a protocol's line end is a name and no more: each
    hears what is for it, and not what is for one that begins like it."""
    names = [each for name in NAMES for each in (name, f"{name[:99]}.")]
    came = {lease.name: lease.signals() for lease in hold_all(names, url)}
    with ThreadPoolExecutor(4) as threads:
        heard = threads.map(lambda name: say(name, f"for {name}", url), names)
    assert list(heard) == [1] * len(names)
    for name in names:
        assert next(came[name]).text == f"for {name}"


def test_every_holder_hears(url: str, name: str, hold_all: HoldAll) -> None:
    """Two holders of three slots hear a signal to the name; one of them one to its slot."""
    first, second = hold_all([name, name], url, slots=3)
    boxes = {lease.slot: lease.signals() for lease in (first, second)}
    assert say(name, "all", url) == 2
    assert say(name, "one", url, slot=first.slot) == 1
    assert say(name, "last", url, slot=second.slot) == 1
    [free] = {0, 1, 2} - boxes.keys()
    assert signal(name, "nobody", url, slot=free) == 0
    assert list(islice(boxes[first.slot], 2)) == [b"all", b"one"]
    assert list(islice(boxes[second.slot], 2)) == [b"all", b"last"]


def test_who_does_not_hold_does_not_hear(
    url: str, name: str, turn_at: TurnAt, hold_all: HoldAll
) -> None:
    """Neither one who never held, nor one who released, nor a holder of another name."""
    assert signal(name, "nobody is there", url) == 0
    turn = turn_at(name, url)
    turn.acquire()
    assert turn.lease is not None
    before = turn.lease.signals()
    turn.release()
    other, now = (lease.signals() for lease in hold_all([f"{name}!", name], url))
    assert say(name, "hello", url) == 1
    assert next(now) == b"hello"
    assert list(before) == []
    assert say(f"{name}!", "you", url) == 1
    assert next(other) == b"you"


def test_it_ends_with_the_lease(url: str, name: str, turn_at: TurnAt, hold: Hold) -> None:
    """A release and a loss end what iterates, at once, also while it waits."""
    turn = turn_at(name, url)
    turn.acquire()
    assert turn.lease is not None
    ended: list[list[Payload]] = []
    came = turn.lease.signals()
    thread = threading.Thread(target=lambda: ended.append(list(came)))
    thread.start()
    turn.release()
    thread.join(60)
    assert ended == [[]]
    lease = hold(name, url)
    lost = lease.signals()
    store_at(url)._backend.break_lease(name, 0)
    assert list(lost) == []
    with pytest.raises(LeaseLost):
        lease.signals()


def test_a_callback_is_called_in_order(url: str, name: str, hold: Hold) -> None:
    """In a thread of its own, one payload after the other; one that raises does not end it."""
    came: list[tuple[bytes, int]] = []

    def callback(payload: Payload) -> None:
        came.append((payload, threading.get_ident()))
        if payload == b"1":
            raise RuntimeError("a fault of the program")

    hold(name, url).watch(callback)
    for number in range(4):
        assert say(name, str(number), url) == 1
    eventually(lambda: len(came) == 4, within=120)
    assert [payload for payload, _ in came] == [b"0", b"1", b"2", b"3"]
    assert {ident for _, ident in came} - {threading.get_ident()}
    assert len({ident for _, ident in came}) == 1


def test_acknowledged_is_taken(url: str, name: str, hold: Hold) -> None:
    """With acknowledge a payload counts once the program has it; without, once it has arrived."""
    lease = hold(name, url)
    came = lease.signals()
    assert say(name, "waits", url) == 1
    assert signal(name, "not taken", url, wait=0.2, acknowledge=True) == 0
    assert list(islice(came, 2)) == [b"waits", b"not taken"]
    taken: list[Payload] = []
    thread = threading.Thread(target=lambda: taken.extend(islice(came, 1)))
    thread.start()
    assert say(name, "taken", url, acknowledge=True) == 1
    thread.join(60)
    assert taken == [b"taken"]


def test_acknowledged_waits_for_a_holder(url: str, name: str, hold: Hold) -> None:
    """What is sent before anybody holds reaches the one who then does, once."""
    heard: list[int] = []
    sender = threading.Thread(
        target=lambda: heard.append(signal(name, "early", url, wait=60, acknowledge=True))
    )
    sender.start()
    came = hold(name, url).signals()
    assert next(came) == b"early"
    sender.join(60)
    assert heard == [1]
    assert say(name, "next", url) == 1
    assert next(came) == b"next"


def test_too_large_is_refused(url: str, name: str) -> None:
    """More than 7000 bytes, or what is no text and no bytes, is a mistake that is named."""
    for payload in (b"x" * 7001, "ü" * 3501, "\ud800"):
        with pytest.raises(UsageError):
            signal(name, payload, url)
    with pytest.raises(UsageError):
        signal(name, 5, url)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", sorted(POOLED))
def test_a_pooler_is_refused(kind: str, name: str, hold: Hold) -> None:
    """Signals do not come through a transaction pooler: both sides are told."""
    url = made(kind)
    lease = hold(name, url)
    with pytest.raises(StoreRefused, match="pooler"):
        lease.signals()
    with pytest.raises(StoreRefused, match="pooler"):
        signal(name, "hello", url)


def test_one_who_listens_is_not_counted(url: str, name: str, hold_all: HoldAll) -> None:
    """It hears what is for others, once for each of them, and says nothing. A mailbox, which only
    its holder empties, is refused to it."""
    boxes = {lease.slot: lease.signals() for lease in hold_all([name, name], url, slots=2)}
    if url.startswith("dynamodb"):
        with pytest.raises(StoreRefused, match="mailbox"):
            Overhearing(name, url)
        return
    with Overhearing(name, url) as overheard:  # it learns that there are two slots
        assert say(name, "all", url) == 2
        assert say(name, "one", url, slot=1) == 1
        assert say(name, "last", url, slot=0) == 1
        came = list(islice(overheard, 4))
    assert sorted(came[:2]) == [(0, b"all"), (1, b"all")]
    assert came[2:] == [(1, b"one"), (0, b"last")]
    assert next(boxes[0]) == b"all"
