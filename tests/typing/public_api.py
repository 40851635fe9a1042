"""The public API as type checkers see it: checked by mypy in strict mode, never run."""

from collections.abc import Iterator

from typing_extensions import assert_type

import lifeline
from lifeline import (
    AsyncLock,
    Claim,
    Ended,
    Exclusive,
    Fence,
    Holding,
    Lock,
    Outcome,
    Payload,
    Twin,
    alock,
    exclusive,
    find_twins,
    lock,
    run_locked,
    signal,
    terminate,
)
from lifeline.scaling import Decision, Scaler

assert_type(lifeline.__version__, str)


def work(day: str, *, times: int = 1) -> int:
    return len(day) * times


def one_machine() -> None:
    assert_type(lifeline.lifeline(), Claim)
    with lifeline.lifeline() as claim:
        assert_type(claim, Claim)
    assert_type(lifeline.lifeline(work, "Monday", times=2), Outcome[int])
    assert_type(find_twins(["sleep", "60"]), list[Twin])
    assert_type(terminate(name="mailer", grace=5), list[Ended])


def fleet() -> None:
    assert_type(lifeline.lifeline(work, "Monday", lock="file:", slots=3), Outcome[int])
    outcome = run_locked("report", work, "Monday", store="file:")
    assert_type(outcome, Outcome[int])
    assert_type(outcome.value, int | None)
    turn = lock("mailer", "file:", slots=2, ttl=60)
    assert_type(turn, Lock)
    assert_type(turn.acquire(timeout=1.5), bool)
    assert_type(turn.lease, Holding | None)
    with turn as lease:
        assert_type(lease, Holding)
        assert_type(lease.fence, int)
        assert_type(lease.alive, bool)
        assert_type(lease.signals(), Iterator[Payload])
        lease.on_lost(lambda: print("lost"))
    Fence().admit(7)
    assert_type(signal("mailer", b"reload", store="file:", slot=1), int)


async def tasks() -> None:
    turn = alock("mailer", "file:")
    assert_type(turn, AsyncLock)
    assert_type(await turn.acquire(blocking=False), bool)
    async with turn as lease:
        assert_type(lease, Holding)


def background() -> None:
    def loop(lease: Holding) -> None:
        lease.check()

    handle = exclusive(loop, name="mailer", store="file:", slots=2)
    assert_type(handle, Exclusive)
    assert_type(handle.lease, Holding | None)


def scaled() -> None:
    class Fleet:
        def read(self) -> int:
            return 1

        def write(self, n: int) -> None: ...

    rules = [{"at_least": 0, "dynos": 1}, {"at_least": 10, "dynos": 5}]
    scaler = Scaler(probe=lambda: 7, target=Fleet(), rules=rules, max=5)
    assert_type(scaler.tick(), Decision)
