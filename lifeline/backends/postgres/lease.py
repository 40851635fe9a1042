"""Mode lease: the rows alone decide, by the server's clock. Goes through any pooler."""

from __future__ import annotations

from collections.abc import Sequence

from ...leases.port import LOST, RENEWED, Claim, Granted, Request, Taken
from . import rows as pg_rows
from . import sql as pg_sql
from .link import Link


class LeaseRows:
    """Leases that end by themselves `ttl` after the last renewal. Needs the table."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def try_acquire(self, request: Request) -> Granted | Taken:
        self._link.require_table()
        target = self._link.target
        *_, rows = self._link.run(
            *self._link.begin(),
            pg_rows.turn(target, request.name),
            pg_rows.acquire(pg_sql.ACQUIRE_LEASE, target, request, request.order),
        )
        return pg_rows.acquired(target, request, rows)

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        target = self._link.target
        (rows,) = self._link.run(pg_rows.renew(pg_sql.RENEW_LEASE, target, claims))
        mine = {row[0] for row in rows}
        keys = [pg_rows.slot_key(target, claim.name, claim.slot) for claim in claims]
        return [RENEWED if each in mine else LOST for each in keys]

    def release(self, claim: Claim) -> bool:
        target = self._link.target
        told = pg_rows.tell(target, claim.name, claim.slot)
        freed, _ = self._link.run(pg_rows.free(target, claim), told)
        return bool(freed)

    def listen(self, name: str) -> None: ...

    def own(self, name: str) -> list[Claim]:
        return []

    def let_go(self, name: str, slot: int) -> None: ...

    def drop(self) -> None: ...

    def forget(self) -> None: ...
