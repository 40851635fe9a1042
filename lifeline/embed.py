"""lifeline() in a program: go on only if nobody else runs this program with these arguments."""

import os
from _thread import allocate_lock

from . import events
from .errors import CannotTell, LifelineError, StateUnusable, complain
from .processes import records
from .processes.state import State
from .processes.table import lineage, me, open_table
from .program import argv, is_worker, own_command

TTL = 30.0  # seconds: that of leases.terms, whose import every start would pay for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from .leases.lock import Lock
    from .outcome import Outcome
    from .processes import twins
    from .processes.identity import Identity
    from .processes.table import Table

    Value = TypeVar("Value")
    Terms = tuple[str, int, float]  # the store's URL, slots, ttl
else:

    def overload(function: object) -> object:
        return function


class Claim:
    """The right to run, held until it is released or the process ends.

    As a context manager it is released at the end of the block.
    """

    def __init__(
        self,
        release: "Callable[[], None]",
        tell_start: "Callable[[], Callable[[], None]] | None" = None,
    ) -> None:
        self._release = release
        self._tell_start = tell_start
        self._tell_end = _nothing

    def _begin(self) -> "Claim":
        """Tell the history that the work begins, and of its end when that comes."""
        if self._tell_start:
            import atexit

            self._tell_end = self._tell_start()
            atexit.register(self._tell_end)
        return self

    def release(self) -> None:
        """Let others run, although this process lives on. Doing it twice does nothing."""
        self._tell_end()  # before others can begin
        release, self._release = self._release, _nothing
        release()

    def __enter__(self) -> "Claim":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@overload
def lifeline(*, lock: "str | None" = None, slots: int = 1, ttl: float = TTL) -> Claim: ...
@overload
def lifeline(  # noqa: F811  (a light `overload` is not known to the linter)
    main: "Callable[..., Value]",
    /,
    *args: "Any",
    lock: "str | None" = None,
    slots: int = 1,
    ttl: float = TTL,
    **kwargs: "Any",
) -> "Outcome[Value]": ...


def lifeline(  # noqa: F811
    main: "Callable[..., Value] | None" = None,
    /,
    *args: "Any",
    lock: "str | None" = None,
    slots: int = 1,
    ttl: float = TTL,
    **kwargs: "Any",
) -> "Claim | Outcome[Value]":
    """Go on only if no twin of this program runs.

    `lifeline()` returns if this process is to run, and ends it quietly (exit 0) if a twin runs.
    `with lifeline():` does the same and lets others run after the block. `lifeline(main, *args)`
    calls `main` if this process is to run and returns an Outcome either way.

    Where it cannot be told, the first two end the process with exit 75 and one line on stderr;
    the third raises CannotTell. The process is the unit: threads and children of the one that
    runs belong to it. Call it before the directory or the title is changed.

    With `lock`, a store's URL, this host's decision is followed by a lease in that store: over all
    hosts, `slots` processes run. It is asked for once, kept for as long as the work goes on, and
    LeaseLost is raised at the end of the work if it was lost meanwhile; StoreError if the store
    does not answer: then nothing was run. `ttl` is in seconds.
    """
    terms = (lock, slots, ttl) if lock is not None else None
    if main is None:
        return claim_or_exit(terms=terms)
    claim, verdict = (_claim_of_worker(), None) if is_worker() else _claim(records.SCRIPT)
    if claim is None:
        return _passed(verdict)
    from .outcome import Outcome

    with claim:
        if terms is None:
            claim._begin()
            return Outcome(True, main(*args, **kwargs))
        from .locked import call_locked

        def work() -> "Value":
            claim._begin()
            return main(*args, **kwargs)

        outcome = call_locked(_lease(terms), work)
        if not outcome:
            _tell_taken()
        return outcome


def tell_end(claim: Claim) -> None:
    """Tell the history that the work is over, for a process that is about to die of a signal."""
    claim._tell_end()


def _tell_taken() -> None:
    """Tell the history that this host's turn came to nothing: somebody else has the lease."""
    events.append(State(), events.STAND_DOWN, own_command(), reason="the lease is taken")


def _lease(terms: "Terms") -> "Lock":
    from .lease_names import lease_name
    from .leases.lock import Lock

    url, slots, ttl = terms
    return Lock(lease_name(own_command()), url, slots=slots, ttl=ttl)


def claim_or_exit(
    how: bytes = records.SCRIPT, *, aloud: bool = False, terms: "Terms | None" = None
) -> Claim:
    """The claim, or the end of this process: exit 0 if a twin runs, `aloud` with a line."""
    try:
        claim = _claim_of_worker() if is_worker() else _claim_alone(how, aloud, terms)
    except LifelineError as error:
        complain(error)
        raise SystemExit(error.exit_code) from None
    if claim is None:
        raise SystemExit(0)
    return claim._begin()


def _claim_alone(how: bytes, aloud: bool, terms: "Terms | None") -> "Claim | None":
    claim, verdict = _claim(how, ends=True, quick=not aloud)
    if verdict and aloud:
        _say_running(verdict)
    return _under_lease(claim, _lease(terms)) if claim and terms else claim


def _under_lease(claim: Claim, lease: "Lock") -> "Claim | None":
    """The claim with its lease; None if that is taken."""
    from .lease_memory import Memory

    acquired = False
    try:
        acquired = lease.acquire_if_free(Memory.of_lease(lease.name))
    finally:
        if not acquired:
            claim.release()
    if not acquired:
        _tell_taken()
        return None

    pid, held = os.getpid(), lease.lease

    def release() -> None:
        if os.getpid() == pid and lease.lease is held:  # not in a forked child, and once
            lease.leave(failed=False)
            claim.release()

    import atexit

    atexit.register(release)  # the process is the unit: at its end nothing of its work is left
    return Claim(release, claim._tell_start)


def _say_running(verdict: "twins.Verdict") -> None:
    from . import clock
    from .finding import twin_of

    twin = twin_of(open_table(), verdict)
    if twin:
        age = clock.show_duration(clock.wall() - twin.since)
        complain(f"already running: pid {twin.pid}, for {age}; not started")


def _passed(verdict: "twins.Verdict | None") -> "Outcome[Any]":
    from .finding import twin_of
    from .outcome import Outcome

    return Outcome(False, twin=twin_of(open_table(), verdict) if verdict else None)


# The flag is the process's: what one thread has seen must not lower it while another contends.
_turn = allocate_lock()


def _renew_turn() -> None:
    global _turn
    _turn = allocate_lock()  # who held it is no thread of a forked child


os.register_at_fork(after_in_child=_renew_turn)


def _claim(
    how: bytes, *, ends: bool = False, quick: bool = False
) -> "tuple[Claim | None, twins.Verdict | None]":
    """(the claim, None), or (None, why not); (None, None) if the lifeline is held.

    Without a claim the flag is lowered: others would wait for ever for a process that lives on.
    Also if it `ends`, for SystemExit ends a thread only, and can be caught. `quick` is the short
    way, as in `tick`: a twin's record gives (None, None), too.
    """
    from .processes import markers

    table, state, command = open_table(), State(), own_command()
    with _turn:
        claim: Claim | None = None
        verdict: twins.Verdict | None = None
        twin = records.living_twin(state, table, command) if quick else None
        if twin:
            events.append(state, events.STAND_DOWN, command, pid=twin.process.pid)
        else:
            claim, verdict = _contend(table, state, command, how)
        if claim is None:
            try:
                markers.lower(state, table, command, me(table).process)
            except StateUnusable:
                if not ends:
                    raise
        return claim, verdict


def _contend(
    table: "Table", state: State, command: "Identity", how: bytes
) -> "tuple[Claim | None, twins.Verdict | None]":
    from . import clock
    from .processes import holds, markers, twins
    from .processes.election import SETTLE, check_flag, elect

    check_flag(table, command, "call lifeline() before the title or the directory is changed")
    process = me(table).process
    if state.check():
        markers.raise_again(state, table, command, process)
    verdict = elect(table, state, command, settle=SETTLE)
    if verdict.kind == twins.CANNOT_TELL:
        # Whoever catches this lives on without running: others must not wait for it.
        markers.lower(state, table, command, process)
        raise CannotTell(twins.why_unknown(verdict))
    if verdict.kind == twins.RUNNING:
        events.append(state, events.STAND_DOWN, command, pid=twins.foremost(verdict).pid)
        return None, verdict
    if verdict.kind == twins.MINE:
        return Claim(_nothing), None
    hold = holds.read(state, command, clock.wall()) if state.check() else None
    if hold:
        complain(holds.sentence(hold, clock.wall()))
        events.append(state, events.HELD, command)
        return None, None
    if verdict.leftovers:
        from .ending import end_leftovers

        end_leftovers(table, [each.candidate.process for each in verdict.leftovers])
    records.write_own(state, table, command, how, argv(), clock.wall())

    def release() -> None:
        if me(table).process == process:  # not in a forked child
            markers.lower(state, table, command, process)
            records.withdraw(state, command, process)

    _withdraw_at_exit(state, table, command)
    return Claim(release, lambda: events.begin(state, command)), None


def _claim_of_worker() -> Claim:
    """The claim of a child of multiprocessing: it has the one of the program that it works for."""
    table, state = open_table(), State()
    above = lineage(table, me(table))
    for record in records.all_records(state) if state.check() else ():
        if record.is_of(table) and record.process in above:
            return Claim(_nothing)
    raise CannotTell(
        "others cannot recognise a child of multiprocessing: call lifeline() in the main process"
    )


def _withdraw_at_exit(state: State, table: "Table", command: "Identity") -> None:
    """A run that ends by itself takes its record along: what it leaves running, it meant to."""
    import atexit

    process = me(table).process

    def withdraw() -> None:
        if os.getpid() == process.pid:
            records.withdraw(state, command, process)

    atexit.register(withdraw)


def _nothing() -> None:
    pass
