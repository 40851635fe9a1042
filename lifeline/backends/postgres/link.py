"""The connection that a backend works on: opened when it is needed, looked over, set up."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import StoreRefused, StoreUnreachable
from . import sql as pg_sql
from .errors import ReadOnly, ReadOnlyNow
from .session import Rows, Session, Statement, connect
from .url import SESSION, Target

OLDEST = 120000  # PostgreSQL 12: the oldest that knows every setting below

# Per session, and only where no pooler would hand them on to others. A dead peer is noticed after
# 20 s: later than a holder that hears nothing has stopped by itself, long before the default 2 h.
_SETTINGS = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "20s",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "2s",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
}
_SINCE_14 = {"idle_session_timeout": "0"}


class Link:
    """The session of a backend, with what is known of the server behind it."""

    def __init__(self, target: Target, patience: float, now: Callable[[], float]) -> None:
        self.target = target
        self.patience = patience
        self.now = now  # the clock, in seconds
        self.session: Session | None = None
        self.pooled = False
        self.table = ""  # its name as the server shows it, empty if there is none
        self.isolation = ""
        self.precious = False  # the session holds locks: it is not given up while it may live
        self._wrote = False  # a server at this address could be written to

    @property
    def alive(self) -> bool:
        return self.session is not None and self.session.usable

    def main(self) -> Session:
        """The session: the one there is, or a new one. Raises StoreError."""
        if self.session is None or not self.session.usable:
            self.session = self.open()
        return self.session

    def run(self, *batch: Statement) -> list[Rows]:
        """Run a batch that leaves nothing behind in the session. Raises StoreError."""
        session = self.main()
        try:
            return session.run(*batch)
        except StoreUnreachable as error:
            # It may be this connection alone that is dead, or leads to what was the primary.
            if (session.pending or isinstance(error, ReadOnlyNow)) and not self.precious:
                self.drop()
            raise

    def open(self) -> Session:
        """Another session like the main one."""
        try:
            session = connect(self.target, lambda: self.patience, self.now)
            try:
                self._greet(session)
            except BaseException:
                session.close()
                raise
        except ReadOnly as error:
            if not self._wrote:
                raise
            raise StoreUnreachable(
                f"{error}; it was not before: perhaps it is failing over"
            ) from None
        self._wrote = True
        return session

    def begin(self) -> tuple[Statement, ...]:
        """What a transaction has to start with where the session could not be set up."""
        return () if self.isolation == "read committed" else (Statement(pg_sql.READ_COMMITTED),)

    def drop(self) -> None:
        if self.session is not None:
            self.session.close()
        self.session = None

    def forget(self) -> None:
        if self.session is not None:
            self.session.forget()
        self.session = None

    def _greet(self, session: Session) -> None:
        place = self.target.place
        if session.server_version < OLDEST:
            raise StoreRefused(f"{place}: PostgreSQL 12 or newer is needed")
        pid = str(session.backend_pid)
        answers = session.run(Statement(pg_sql.HELLO), _settings(session, pid))
        theirs, read_only, isolation, table = answers[0][0]
        self.pooled = theirs != pid
        session.prepares = not self.pooled
        self.isolation = isolation or "" if self.pooled else "read committed"
        self.table = table or ""
        if read_only == "t":
            raise ReadOnly(
                f"{place}: this server is a read-only replica, or the role's transactions are "
                "read-only; name the primary, or add target_session_attrs=read-write"
            )
        if self.pooled and self.target.mode == SESSION:
            raise StoreRefused(
                f"{place}: a connection pooler is in front, where session locks are given to two "
                "at once; connect directly, or add ?mode=xact or ?mode=lease on every machine"
            )

    def find_table(self) -> bool:
        """Whether the table is there: it may have been made since this was last asked."""
        self.main()
        if not self.table:
            found = self.run(Statement(pg_sql.TABLE))
            self.table = found[0][0][0] or ""
        return bool(self.table)

    def require_table(self) -> None:
        """Raises StoreRefused if there is no table."""
        if not self.find_table():
            raise StoreRefused(
                f"{self.target.place}: there is no table lifeline_lock; "
                "run: lifeline lock setup URL"
            )


def _settings(session: Session, pid: str) -> Statement:
    """Set what may be set, unless the backend is not the one that was connected to: a pooler."""
    wanted = _SETTINGS | (_SINCE_14 if session.server_version >= 140000 else {})
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in wanted.items())
    return Statement(f"SELECT {calls} WHERE pg_backend_pid() = $1::bigint", (pid,))
