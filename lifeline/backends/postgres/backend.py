"""PostgreSQL, in three modes that the URL chooses with `mode=`.

session  session advisory locks, on a direct connection: the default
xact     advisory locks in transactions that are held open: through poolers
lease    rows with an end, by the server's clock: through anything, and needs the table

The table is `lifeline_lock`; `setup` creates it. Without it, session and xact work, but a taker
cannot see when the holder before has to be gone, and waits a whole ttl unless it heard the release.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ...errors import StoreRefused
from ...leases.port import Claim, Finding, Granted, Request, Seen, Taken, Wake
from . import bare as pg_bare
from . import check as pg_check
from . import rows as pg_rows
from . import sql as pg_sql
from .advisory import SessionLocks
from .lease import LeaseRows
from .link import Link
from .mail import PostgresMail
from .session import Statement
from .url import LEASE, SESSION, XACT, Target, parse
from .watch import Listener
from .xact import TransactionLocks


def open_backend(url: str, now: Callable[[], float]) -> Postgres:
    """The store at `url`; `now` is the kernel's clock. Not connected yet. Raises UsageError."""
    return Postgres(parse(url), now)


class _Mode(Protocol):
    def try_acquire(self, request: Request) -> Granted | Taken: ...
    def renew(self, claims: Sequence[Claim]) -> list[str]: ...
    def release(self, claim: Claim) -> bool: ...
    def listen(self, name: str) -> None: ...
    def own(self, name: str) -> list[Claim]: ...
    def let_go(self, name: str, slot: int) -> None: ...
    def drop(self) -> None: ...
    def forget(self) -> None: ...


_MODES: dict[str, type[SessionLocks | TransactionLocks | LeaseRows]] = {
    SESSION: SessionLocks,
    XACT: TransactionLocks,
    LEASE: LeaseRows,
}


class Postgres:
    """A `Backend`. A server that is silent for `patience` seconds is StoreUnreachable."""

    def __init__(self, target: Target, now: Callable[[], float], patience: float = 4.0) -> None:
        self._target = target
        self._link = Link(target, patience, now)
        self._mode: _Mode = _MODES[target.mode](self._link)
        self._listeners: list[Listener] = []

    @property
    def patience(self) -> float:
        return self._link.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._link.patience = seconds

    def try_acquire(self, request: Request) -> Granted | Taken:
        return self._mode.try_acquire(request)

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        return self._mode.renew(claims) if claims else []

    def release(self, claim: Claim) -> bool:
        return self._mode.release(claim)

    def holders(self, name: str | None = None) -> list[Seen]:
        """Without the table: who holds `name`, as far as the server's locks tell.

        Raises StoreRefused if every name is asked for then: locks have no names.
        """
        if not self._link.find_table():
            return self._holders_bare(name)
        wanted = None if name is None else pg_rows.stored(name)
        (rows,) = self._link.run(Statement(pg_sql.HOLDERS, (self._target.namespace, wanted)))
        return pg_rows.held(rows, name)

    def break_lease(self, name: str, slot: int) -> int | None:
        """Ends the holder's session, and with it everything else that this holds, unless the mode
        is lease. Whoever is granted the slot next waits until the broken holder has to be gone.

        Raises StoreRefused if the server does not let this role end that session.
        """
        key = pg_rows.slot_key(self._target, name, slot)
        fence = self._fence_out(key)
        if fence is not None:
            self._mode.let_go(name, slot)
            self._end_holder(key, fence)
        return fence

    def watch(self, name: str) -> Wake | None:
        """None through a pooler: what it is told goes astray."""
        self._link.main()
        if self._link.pooled:
            return None
        self._mode.listen(name)
        listener = Listener(self._link.open(), pg_rows.channel(self._target, name))
        self._listeners = [each for each in self._listeners if each.usable] + [listener]
        return listener

    def mail(self) -> PostgresMail:
        return PostgresMail(self._target, self.patience, self._link.now)

    def check(self) -> list[Finding]:
        return pg_check.findings(self._link)

    def setup(self) -> list[str]:
        return pg_check.create_table(self._link)

    def close(self) -> None:
        self._mode.drop()
        self._link.drop()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    def forget(self) -> None:
        self._mode.forget()
        self._link.forget()
        for listener in self._listeners:
            listener.forget()
        self._listeners.clear()

    def _holders_bare(self, name: str | None) -> list[Seen]:
        if name is None:
            raise StoreRefused(
                f"{self._target.place}: without the table lifeline_lock only the holders of one "
                "NAME can be told; run: lifeline lock setup URL"
            )
        count = pg_rows.count_key(self._target, name, 0)
        (rows,) = self._link.run(Statement(pg_sql.HOLDERS_COUNT, count))
        slots = pg_rows.number(rows[0][0])
        keys = pg_rows.array(pg_rows.slot_key(self._target, name, slot) for slot in range(slots))
        numbers = pg_rows.array(map(str, range(slots)))
        (rows,) = self._link.run(Statement(pg_sql.HOLDERS_BARE, (keys, numbers)))
        own = {claim.slot: pg_bare.known(claim) for claim in self._mode.own(name)}
        return [
            own.get(pg_rows.number(slot)) or pg_bare.unknown(name, slot, slots, pid)
            for slot, pid in rows
        ]

    def _fence_out(self, key: str) -> int | None:
        if self._link.find_table():
            (rows,) = self._link.run(Statement(pg_sql.BREAK, (key,)))
            return pg_rows.number(rows[0][0]) if rows else None
        held, fences = self._link.run(Statement(pg_sql.WHO_HOLDS, (key,)), Statement(pg_sql.FENCE))
        return pg_rows.number(fences[0][0]) if held else None

    def _end_holder(self, key: str, fence: int) -> None:
        try:
            self._link.run(Statement(pg_sql.END_SESSION, (key,)))
        except StoreRefused:
            raise StoreRefused(
                f"{self._target.place}: the fence is {fence} now, but this role may not end the "
                "holder's session; break it as the holder's role, or "
                "GRANT pg_signal_backend TO this one"
            ) from None
