"""lifeline() in a program: go on only if nobody else runs this program with these arguments."""

import os

from .errors import CannotTell, LifelineError, complain
from .processes import records
from .processes.identity import identify
from .processes.places import ProcessPlace
from .processes.state import State
from .processes.table import Unseen, lineage, me, open_table
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

    def __init__(self, release: "Callable[[], None]") -> None:
        self._release = release

    def release(self) -> None:
        """Let others run, although this process lives on. Doing it twice does nothing."""
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
            return Outcome(True, main(*args, **kwargs))
        from .locked import call_locked

        return call_locked(_lease(terms), lambda: main(*args, **kwargs))


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
        if is_worker():
            return _claim_of_worker()
        if not aloud and records.living_twin(State(), open_table(), own_command()):
            raise SystemExit(0)  # the short way, as in `tick`
        claim, verdict = _claim(how)
        if verdict and aloud:
            _say_running(verdict)
        if claim and terms:
            claim = _under_lease(claim, _lease(terms))
    except LifelineError as error:
        complain(error)
        raise SystemExit(error.exit_code) from None
    if claim is None:
        raise SystemExit(0)
    return claim


def _under_lease(claim: Claim, lease: "Lock") -> "Claim | None":
    """The claim with its lease; None if that is taken."""
    from .lease_memory import Memory

    if not lease.acquire_if_free(Memory.of_lease(lease.name)):
        return None

    pid, held = os.getpid(), lease.lease

    def release() -> None:
        if os.getpid() == pid and lease.lease is held:  # not in a forked child, and once
            lease.leave(failed=False)
            claim.release()

    import atexit

    atexit.register(release)  # the process is the unit: at its end nothing of its work is left
    return Claim(release)


def _say_running(verdict: "twins.Verdict") -> None:
    from . import clock
    from .finding import twin_of

    twin = twin_of(open_table(), verdict)
    if twin:
        age = clock.show_duration(clock.wall() - twin.since)
        complain(f"already running: pid {twin.pid}, for {age}; not started")


def _passed(verdict: "twins.Verdict | None") -> "Outcome[Any]":
    """Stand down in a process that lives on: say so, or an older starter would wait for us."""
    from .finding import twin_of
    from .outcome import Outcome
    from .processes import markers

    table, state, command = open_table(), State(), own_command()
    markers.lower(state, table, command, me(table).process)
    return Outcome(False, twin=twin_of(table, verdict) if verdict else None)


def _claim(how: bytes) -> "tuple[Claim | None, twins.Verdict | None]":
    """(the claim, None), or (None, why not); (None, None) if the lifeline is held."""
    from . import clock
    from .processes import holds, markers, twins
    from .processes.election import SETTLE, elect

    table, state, command = open_table(), State(), own_command()
    _check_flag(table, command)
    process = me(table).process
    if state.check():
        markers.raise_again(state, table, command, process)
    verdict = elect(table, state, command, settle=SETTLE)
    if verdict.kind == twins.CANNOT_TELL:
        # Whoever catches this lives on without running: others must not wait for it.
        markers.lower(state, table, command, process)
        raise CannotTell(twins.why_unknown(verdict))
    if verdict.kind == twins.RUNNING:
        return None, verdict
    if verdict.kind == twins.MINE:
        return Claim(_nothing), None
    hold = holds.read(state, command, clock.wall()) if state.check() else None
    if hold:
        complain(holds.sentence(hold, clock.wall()))
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
    return Claim(release), None


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


def _check_flag(table: "Table", command: "Identity") -> None:
    """Refuse to stand for election if others cannot recognise this process."""
    pid = os.getpid()
    try:
        shown = identify(table.command_line(pid) or (), ProcessPlace(table, pid))
    except Unseen as error:
        raise CannotTell(f"others cannot recognise this process: {error}") from None
    if not shown.same_command(command):
        raise CannotTell(
            "others cannot recognise this process by its command line: "
            "call lifeline() before the title or the directory is changed"
        )


def _nothing() -> None:
    pass
