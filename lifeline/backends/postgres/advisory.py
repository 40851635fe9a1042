"""Mode session: a session advisory lock for each lease, all on one direct connection.

Session locks can be taken again by the session that has them, and then have to be freed as often.
So this keeps account of what its session holds and never asks for that. What it cannot account
for, after a statement whose outcome came late or was an error, it gives back first of all; and if
nobody depends on the session any more, it is ended, for the next verb may never come.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ...errors import LifelineError, StoreError, StoreRefused
from ...leases.port import LOST, RENEWED, Claim, Granted, Request, Taken
from . import bare as pg_bare
from . import rows as pg_rows
from . import sql as pg_sql
from .errors import SessionGone
from .link import Link
from .session import Rows, Session, Statement


@dataclass(slots=True)
class _Hold:
    """A lock of the session. `told`: whoever asked for it has it, and has not let go of it.

    By `ends`, in seconds since boot, its holder is gone if it is not renewed; until `begins` the
    one before may not be.
    """

    claim: Claim
    wait: float
    counted: bool
    begins: float
    ends: float
    told: bool = False

    def counts(self, now: float) -> bool:
        """Whether somebody may be at work under it."""
        return self.told and now < self.ends


class SessionLocks:
    """Leases that last as long as the session; the rows say when a holder has to be gone."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._session: Session | None = None
        self._holds: dict[str, _Hold] = {}  # by key
        self._strays: list[str] = []  # keys that the session may hold by mistake
        self._heard = pg_bare.Heard(link.target)
        self._wanted: set[str] = set()  # names to listen to, if there is no table
        self._listening: set[str] = set()

    def try_acquire(self, request: Request) -> Granted | Taken:
        session = self._current()
        try:
            session.settle()
            self._give_back(session, request.owner)
            granted = self._granted_before(session, request)
            answer = granted or self._acquire(session, request)
        except StoreError:
            self._end_if_idle()
            raise
        self._link.precious = bool(self._holds)
        return answer

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        session = self._session
        if session is None or session is not self._link.session or not session.usable:
            return [LOST] * len(claims)
        try:
            sent = self._link.now()
            session.settle()
            self._give_back(session, "")
            mine = [(key, claim) for key, claim in zip(self._keys(claims), claims, strict=True)
                    if self._holds_for(key, claim)]  # fmt: skip
            kept = self._renewed(session, mine)
        except SessionGone:
            return [LOST] * len(claims)
        for key, claim in mine:
            if key in kept:
                self._holds[key].ends = sent + claim.ttl
        return [
            RENEWED if key in kept and self._holds_for(key, claim) else LOST
            for key, claim in zip(self._keys(claims), claims, strict=True)
        ]

    def release(self, claim: Claim) -> bool:
        """With the session gone, the row tells whether anybody else has had the lease since."""
        try:
            return self._release(claim)
        except StoreError:
            self._end_if_idle()
            raise

    def _release(self, claim: Claim) -> bool:
        key, session = self._key(claim), self._current()
        hold = self._holds.get(key)
        if hold is not None and hold.claim.owner == claim.owner:
            # Whatever comes of this, its work is over, and that of those before.
            hold.told, hold.begins = False, 0.0
        try:
            session.settle()
            hold = self._holds.get(key)
            if hold is not None and hold.claim.owner == claim.owner:
                return self._unlock(session, key, hold)
        except SessionGone:
            if not self._link.table:
                raise
            session = self._current()
        if not self._link.table:
            return False  # nothing is told of a slot that may be somebody else's by now
        marked = session.run(*self._marked(claim))
        return bool(marked[0])

    def listen(self, name: str) -> None:
        """Without the table, what is told of a name is the evidence of a clean hand-over."""
        self._wanted.add(name)
        session = self._current()
        if not self._link.table and name not in self._listening:
            self._listen(session, name)

    def own(self, name: str) -> list[Claim]:
        """What this session holds of a name."""
        return [hold.claim for hold in self._holds.values() if hold.claim.name == name]

    def let_go(self, name: str, slot: int) -> None:
        """Free a lock of our own session that is being broken."""
        key = pg_rows.slot_key(self._link.target, name, slot)
        if (hold := self._holds.get(key)) is not None:
            session = self._current()
            session.run(*self._unlocking(key, hold))
            self._holds.pop(key, None)

    def drop(self) -> None:
        self._start_anew(None)

    def forget(self) -> None:
        self._start_anew(None)

    def _current(self) -> Session:
        session = self._link.main()
        if session is not self._session:
            self._start_anew(session)
        return session

    def _start_anew(self, session: Session | None) -> None:
        self._session = session
        self._holds.clear()
        self._strays.clear()
        self._heard.clear()
        self._listening.clear()
        self._link.precious = False

    def _end_if_idle(self) -> None:
        """After a failure: end the session, unless somebody may be at work under it.

        Then that is renewed, and the session is settled with it. Else nobody might ever do so, and
        it would keep what it was granted late, or could not give back, from everybody.
        """
        self._link.precious = any(hold.counts(self._link.now()) for hold in self._holds.values())
        if not self._link.precious:
            self._link.drop()
            self._start_anew(None)

    def _acquire(self, session: Session, request: Request) -> Granted | Taken:
        ours = self._link.target
        free = [slot for slot in request.order
                if pg_rows.slot_key(ours, request.name, slot) not in self._holds]  # fmt: skip
        keys = [pg_rows.slot_key(ours, request.name, slot) for slot in free]
        bare = not self._link.table
        if bare and request.name in self._wanted - self._listening:
            self._listen(session, request.name)

        def late(answers: list[Rows] | None) -> None:
            if answers is None:
                self._strays += keys
                return
            with suppress(LifelineError):
                self._enter(session, request, answers[-1], bare)

        try:
            answers = session.run(*self._asking(request, free), late=late)
        except StoreError:
            if not session.pending:  # an error undoes the rows, not the locks
                self._strays += keys
            raise
        if bare and answers[0][0][0]:  # the table is there now: nothing was locked without it
            self._link.table = answers[0][0][0]
            return self._acquire(session, request)
        hold = self._enter(session, request, answers[-1], bare)
        if isinstance(hold, Taken):
            return hold
        hold.told = True
        return Granted(hold.claim.slot, hold.claim.fence, hold.wait)

    def _listen(self, session: Session, name: str) -> None:
        self._heard.listen(session, name)
        self._listening.add(name)

    def _asking(self, request: Request, free: list[int]) -> list[Statement]:
        target = self._link.target
        turn = pg_rows.turn(target, request.name)
        if self._link.table:
            return [turn, pg_rows.acquire(pg_sql.ACQUIRE_SESSION, target, request, free)]
        sql, params = pg_bare.asked(pg_sql.BARE_SESSION, target, request, free)
        bare = Statement(sql, (*params, pg_rows.channel(target, request.name)))
        return [Statement(pg_sql.TABLE), turn, bare]

    def _enter(self, session: Session, request: Request, rows: Rows, bare: bool) -> _Hold | Taken:
        """Enter what an acquisition brought into the account."""
        if bare:
            answer = pg_bare.outcome(request, rows, self.own(request.name))
        else:
            answer = pg_rows.acquired(self._link.target, request, rows)
        if isinstance(answer, Taken):
            return answer
        wait = self._heard.wait(session, request, answer.slot) if bare else answer.wait
        claim = Claim(
            request.name,
            answer.slot,
            request.slots,
            request.owner,
            answer.fence,
            request.ttl,
            request.info,
        )
        now = self._link.now()
        hold = _Hold(claim, wait, counted=bare, begins=now + wait, ends=now + claim.ttl)
        self._holds[self._key(claim)] = hold
        return hold

    def _granted_before(self, session: Session, request: Request) -> Granted | None:
        """The grant that this owner has already, with its time counted from now."""
        for key, hold in list(self._holds.items()):
            claim = hold.claim
            if (claim.owner, claim.name) != (request.owner, request.name):
                continue
            hold.ends = self._link.now() + request.ttl
            if hold.counted:
                hold.told = True
                return Granted(claim.slot, claim.fence, hold.wait)
            params = (key, claim.owner, str(claim.fence), repr(float(request.ttl)))
            (waits,) = session.run(Statement(pg_sql.AGAIN, params))
            if waits:
                hold.told = True
                return Granted(claim.slot, claim.fence, float(waits[0][0] or 0))
            self._unlock(session, key, hold)  # broken in the meantime
        return None

    def _give_back(self, session: Session, owner: str) -> None:
        """Free what nobody has: what was granted too late for its owner, unless that is who asks
        again, what could not be released, and what was not renewed in time."""
        if self._strays:
            lost = [key for key in self._strays if key not in self._holds]
            session.run(Statement(pg_sql.UNLOCK_STRAY, (pg_rows.array(lost),)))
            self._strays.clear()
        for key, hold in list(self._holds.items()):
            if not hold.counts(self._link.now()) and hold.claim.owner != owner:
                self._unlock(session, key, hold)

    def _unlock(self, session: Session, key: str, hold: _Hold) -> bool:
        """Free a lock of the session; false if the row says that it was broken before."""

        def done(answers: list[Rows] | None) -> None:
            if answers is not None:
                self._holds.pop(key, None)

        # Without the table, "free" is taken as the end of all work; the row knows who came before.
        is_over = not hold.counted or self._link.now() >= hold.begins
        marked = self._marked(hold.claim, "free" if is_over else "held")
        try:
            # Marked before it is unlocked: the next holder waits for the row, and finds it clean.
            batch = *marked[:-1], *self._unlocking(key, hold), marked[-1]
            freed, *_ = session.run(*batch, late=done)
        except StoreRefused:
            session.run(*self._unlocking(key, hold))
            self._holds.pop(key, None)
            raise
        self._holds.pop(key, None)
        self._link.precious = bool(self._holds)
        return hold.counted or bool(freed)

    def _marked(self, claim: Claim, what: str = "free") -> list[Statement]:
        target = self._link.target
        told = pg_rows.tell(target, claim.name, claim.slot, what)
        return [pg_rows.free(target, claim), told] if self._link.table else [told]

    def _unlocking(self, key: str, hold: _Hold) -> list[Statement]:
        batch = [Statement(pg_sql.UNLOCK, (key,))]
        if hold.counted:
            claim = hold.claim
            counted = pg_rows.count_key(self._link.target, claim.name, claim.slots)
            batch.append(Statement(pg_sql.UNCOUNT, counted))
        return batch

    def _renewed(self, session: Session, mine: list[tuple[str, Claim]]) -> set[str | None]:
        bare = [key for key, _ in mine if self._holds[key].counted]
        rowed = [claim for key, claim in mine if not self._holds[key].counted]
        batch = []
        if bare:
            batch.append(Statement(pg_sql.RENEW_LOCKS, (pg_rows.array(bare),)))
        if rowed:
            batch.append(pg_rows.renew(pg_sql.RENEW_SESSION, self._link.target, rowed))
        return {row[0] for rows in session.run(*batch) for row in rows} if batch else set()

    def _holds_for(self, key: str, claim: Claim) -> bool:
        hold = self._holds.get(key)
        return hold is not None and (hold.claim.owner, hold.claim.fence) == (
            claim.owner,
            claim.fence,
        )

    def _keys(self, claims: Sequence[Claim]) -> list[str]:
        return [self._key(claim) for claim in claims]

    def _key(self, claim: Claim) -> str:
        return pg_rows.slot_key(self._link.target, claim.name, claim.slot)
