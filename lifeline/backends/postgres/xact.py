"""Mode xact: a transaction held open for each lease, with the advisory lock inside.

Poolers that hand a connection on after each transaction keep it for as long as one is open. A held
lease costs a connection for that reason; the rows are written on another. The open transaction has
no number and no snapshot, so it holds back neither vacuum nor CREATE INDEX CONCURRENTLY.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from ...errors import LifelineError, StoreError, StoreUnreachable
from ...leases.port import LOST, RENEWED, UNKNOWN, Claim, Granted, Request, Taken
from . import bare as pg_bare
from . import errors as pg_errors
from . import rows as pg_rows
from . import sql as pg_sql
from .errors import SessionGone
from .link import Link
from .session import Rows, Session, Statement

_KEEP_OPEN = ("idle_in_transaction_session_timeout", "statement_timeout")
_KEEP_OPEN_SINCE_17 = "transaction_timeout"
_PING = (Statement(pg_sql.PING), Statement(pg_sql.NOTHING))


@dataclass(slots=True)
class _Open:
    """An open transaction and the slot that it locks. `fence` is 0 until the grant is complete.

    `rowed`: it has a row in the table, which was not there yet for who began without. By `ends`, in
    seconds since boot, its holder is gone if it is not renewed.
    """

    session: Session
    request: Request
    slot: int
    ends: float
    fence: int = 0
    wait: float = 0.0
    rowed: bool = False


class TransactionLocks:
    """Leases that last as long as a transaction is open."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._open: dict[str, _Open] = {}  # by owner
        self._spare: Session | None = None
        self._heard = pg_bare.Heard(link.target)
        self._heard_on: Session | None = None

    def try_acquire(self, request: Request) -> Granted | Taken:
        self._link.find_table()
        self._end_unfinished(request.owner)
        held = self._still_open(request.owner)
        if held is not None:
            held.ends = self._link.now() + request.ttl
        else:
            answer = self._lock(request)
            if isinstance(answer, Taken):
                return answer
            held = self._open[request.owner] = answer
        try:
            return self._record(request, held)
        except LifelineError as error:
            # Nobody may ever come back for it, unless it was granted before.
            if not held.fence or not isinstance(error, StoreUnreachable):
                self._end(request.owner)
            raise

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        self._end_unfinished("")
        sent = self._link.now()
        answers = self._pinged(claims)
        if all(said == UNKNOWN for said in answers):
            raise pg_errors.silent(self._link.target.place, self._link.patience)
        for claim, said in zip(claims, answers, strict=True):
            if said == RENEWED:
                self._open[claim.owner].ends = sent + claim.ttl
        target = self._link.target
        rowed = [
            claim
            for claim, said in zip(claims, answers, strict=True)
            if said == RENEWED and self._open[claim.owner].rowed
        ]
        if not rowed:
            return answers
        (rows,) = self._link.run(pg_rows.renew(pg_sql.RENEW_XACT, target, rowed))
        kept = {row[0] for row in rows}
        lost = [
            claim for claim in rowed if pg_rows.slot_key(target, claim.name, claim.slot) not in kept
        ]
        return [
            LOST if claim in lost else said for claim, said in zip(claims, answers, strict=True)
        ]

    def release(self, claim: Claim) -> bool:
        """With the transaction gone, the row tells whether anybody else has had the lease since."""
        target = self._link.target
        held = self._open.get(claim.owner)
        is_mine = held is not None and held.fence == claim.fence and held.session.usable
        try:
            self._link.main()
            if self._link.table and (held is None or held.rowed):
                (freed,) = self._link.run(pg_rows.free(target, claim))
                is_mine = bool(freed)
        finally:
            self._end(claim.owner, pg_rows.tell(target, claim.name, claim.slot))
        return is_mine

    def listen(self, name: str) -> None:
        """Without the table, what is told of a name is the evidence of a clean hand-over."""
        session = self._link.main()
        if not self._link.table and not self._link.pooled:
            self._hearing(session)
            self._heard.listen(session, name)

    def own(self, name: str) -> list[Claim]:
        """What the transactions of this process lock of a name."""
        open_ = [held for held in self._open.values() if held.fence and held.request.name == name]
        return [
            Claim(name, held.slot, asked.slots, asked.owner, held.fence, asked.ttl, asked.info)
            for held in open_
            for asked in [held.request]
        ]

    def let_go(self, name: str, slot: int) -> None:
        """End a transaction of our own whose lock is being broken."""
        for owner, held in list(self._open.items()):
            if (held.request.name, held.slot) == (name, slot):
                self._end(owner)

    def drop(self) -> None:
        for session in self._sessions():
            session.close()

    def forget(self) -> None:
        for session in self._sessions():
            session.forget()

    def _sessions(self) -> list[Session]:
        sessions = [held.session for held in self._open.values()]
        if self._spare is not None:
            sessions.append(self._spare)
        self._open.clear()
        self._spare = None
        return sessions

    def _hearing(self, session: Session) -> None:
        if session is not self._heard_on:
            self._heard.clear()
            self._heard_on = session

    def _lock(self, request: Request) -> _Open | Taken:
        """Begin a transaction and lock the first slot that is free."""
        session = self._spare if self._spare and self._spare.usable else self._link.open()
        self._spare = None
        try:
            batch = (*self._beginning(session), *self._picking(request))
            *_, rows, _ = session.run(*batch, Statement(pg_sql.NOTHING))
            slot = self._picked(request, rows)
        except LifelineError:
            session.close()  # the server rolls back
            raise
        if slot is not None:
            return _Open(session, request, slot, self._link.now() + request.ttl)
        self._roll_back(session)
        return self._in_the_way(request, rows)

    def _in_the_way(self, request: Request, rows: Rows) -> Taken:
        target = self._link.target
        if not self._link.table:
            answer = pg_bare.outcome(request, rows)
        else:
            *_, rows = self._link.run(pg_rows.acquire(pg_sql.ACQUIRE_XACT, target, request, ()))
            answer = pg_rows.acquired(target, request, rows)
        return answer if isinstance(answer, Taken) else Taken()

    def _beginning(self, session: Session) -> list[Statement]:
        names = [*_KEEP_OPEN]
        if session.server_version >= 170000:
            names.append(_KEEP_OPEN_SINCE_17)
        calls = ", ".join(f"set_config('{name}', '0', true)" for name in names)
        return [Statement(pg_sql.BEGIN_XACT), Statement(f"SELECT {calls}")]

    def _picking(self, request: Request) -> list[Statement]:
        target = self._link.target
        asked = pg_bare.asked(pg_sql.BARE_XACT, target, request, list(request.order))
        if self._link.table:
            return [Statement(pg_sql.PICK_XACT, asked.params[:2])]
        # Counted first and looked at then: of two that differ at least one sees the other.
        return [Statement(pg_sql.COUNT_XACT, asked.params[2:]), asked]

    def _picked(self, request: Request, rows: Rows) -> int | None:
        if self._link.table:
            return pg_rows.number(rows[0][0]) if rows else None
        answer = pg_bare.outcome(request, rows)
        return answer.slot if isinstance(answer, Granted) else None

    def _record(self, request: Request, held: _Open) -> Granted | Taken:
        target = self._link.target
        if not self._link.table:
            return self._recorded_bare(request, held)
        *_, rows = self._link.run(
            *self._link.begin(),
            pg_rows.turn(target, request.name),
            pg_rows.acquire(pg_sql.ACQUIRE_XACT, target, request, [held.slot]),
        )
        answer = pg_rows.acquired(target, request, rows)
        if isinstance(answer, Granted):
            held.fence, held.rowed = answer.fence, True
        return answer

    def _recorded_bare(self, request: Request, held: _Open) -> Granted:
        if not held.fence:
            session = self._link.main()
            told = pg_rows.tell(self._link.target, request.name, held.slot, "held")
            fences, _ = self._link.run(Statement(pg_sql.FENCE), told)
            self._hearing(session)
            held.wait = self._heard.wait(session, request, held.slot)
            held.fence = pg_rows.number(fences[0][0])
        return Granted(held.slot, held.fence, held.wait)

    def _pinged(self, claims: Sequence[Claim]) -> list[str]:
        """RENEWED for each claim whose transaction answers. All are asked before any is waited for:
        a connection that hangs takes no time from the others."""
        answers = [LOST] * len(claims)
        asked = {}
        for nth, claim in enumerate(claims):
            held = self._open.get(claim.owner)
            if held is not None and held.fence == claim.fence and held.session.usable:
                answers[nth] = _said(partial(_ask, held.session))
                if answers[nth] == RENEWED:
                    asked[nth] = held.session
        until = self._link.now() + self._link.patience
        for nth, session in asked.items():
            answers[nth] = _said(partial(session.receive, until))
        return answers

    def _still_open(self, owner: str) -> _Open | None:
        """What this owner locked before, if the transaction lives. Raises StoreUnreachable."""
        held = self._open.get(owner)
        said = _said(partial(held.session.run, *_PING)) if held else LOST
        if said == UNKNOWN:
            raise pg_errors.silent(self._link.target.place, self._link.patience)
        if said == LOST:
            self._end(owner)
            return None
        return held

    def _end_unfinished(self, owner: str) -> None:
        """Give up what was locked for owners that were never told, or have not renewed in time."""
        for other, held in list(self._open.items()):
            if (not held.fence or self._link.now() > held.ends) and other != owner:
                self._end(other)

    def _end(self, owner: str, *last: Statement) -> None:
        held = self._open.pop(owner, None)
        if held is None:
            return
        if last:
            with suppress(StoreError):
                held.session.run(*last, Statement("COMMIT"))
                self._keep(held.session)
                return
            held.session.close()
        else:
            self._roll_back(held.session)

    def _roll_back(self, session: Session) -> None:
        if session.pending:  # it hangs: its end rolls back as well
            session.close()
            return
        with suppress(StoreError):
            session.run(Statement("ROLLBACK"))
            self._keep(session)
            return
        session.close()

    def _keep(self, session: Session) -> None:
        if self._spare is not None:
            session.close()
        else:
            self._spare = session


def _ask(session: Session) -> None:
    """Send what is to be answered, unless the session still owes an answer to that before."""
    session.settle(0)
    session.send(*_PING)


def _said(call: Callable[[], object]) -> str:
    """What a transaction says of itself by how a call ends."""
    try:
        call()
    except SessionGone:
        return LOST
    except StoreUnreachable:
        return UNKNOWN
    except StoreError:
        return LOST  # the transaction is no more
    return RENEWED
