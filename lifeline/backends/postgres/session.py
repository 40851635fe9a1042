"""One connection to PostgreSQL on which a reply may be late, and nothing waits for ever.

A batch of statements goes out in one write and is one transaction, unless it says otherwise
(libpq's pipeline mode: one round trip). A batch whose reply did not come in time stays pending:
the next one takes that reply in first. So a pause of the server costs a session nothing that it
holds.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple
from weakref import WeakSet

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from ...errors import StoreError, StoreRefused
from ...leases.forks import no_fork
from . import errors as pg_errors
from .url import Target

Row = tuple[str | None, ...]
Rows = list[Row]


class Statement(NamedTuple):
    """SQL and its parameters in text form; None is NULL."""

    sql: str
    params: Sequence[str | None] = ()


class Notice(NamedTuple):
    """A NOTIFY that came in. `pid` is the sender's backend."""

    channel: str
    payload: str
    pid: int


class Session:
    """A connection that is open. Raises StoreUnreachable if a batch takes longer than `patience`.

    That is asked for each time: who uses the store may have come to be in a hurry. `late` is called
    with the reply of the batch that timed out, once that is there; with None if it was an error.
    `now` is the clock, in seconds.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        place: str,
        patience: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._place = place
        self._patience = patience
        self._now = now
        self._until = 0.0
        self._poll = select.poll()
        self._socket = self._pg.socket
        self._pending = False
        self._answers: list[Rows] = []
        self._error: StoreError | None = None
        self._late: Callable[[list[Rows] | None], None] | None = None
        self.prepares = False  # set where no pooler is between: it would lose what is prepared
        self._names: dict[str, bytes] = {}  # of prepared statements; empty: run once so far
        self._prepared = 0
        self._preparing: deque[bool] = deque()  # of each reply that is missing
        self._pg.enter_pipeline_mode()
        _open.add(self)

    @property
    def usable(self) -> bool:
        return self._pg.status == pq.ConnStatus.OK

    @property
    def pending(self) -> bool:
        """True while a reply is missing."""
        return self._pending

    @property
    def backend_pid(self) -> int:
        """As the other end said when it was connected: a pooler says a number of its own."""
        return self._pg.backend_pid

    @property
    def server_version(self) -> int:
        return self._pg.server_version

    @property
    def encrypted(self) -> bool:
        return bool(self._pg.ssl_in_use)

    def fileno(self) -> int:
        return self._socket

    def run(
        self, *batch: Statement, late: Callable[[list[Rows] | None], None] | None = None
    ) -> list[Rows]:
        """The rows of each statement. Raises StoreError; SessionGone if the connection is closed.

        An error undoes the whole batch, except what no rollback undoes (session locks).
        """
        self.settle()
        self.send(*batch, late=late)
        return self.receive(self._until)

    def send(
        self, *batch: Statement, late: Callable[[list[Rows] | None], None] | None = None
    ) -> None:
        """The first half of `run`."""
        self._until = self._now() + self._patience()
        try:
            self._preparing.clear()
            for sql, params in batch:
                self._send_one(sql, [None if each is None else each.encode() for each in params])
            self._pg.pipeline_sync()
            self._pending, self._late = True, late
            self._answers, self._error = [], None
            self._flush()
        except psycopg.OperationalError as error:
            raise self._broken(str(error)) from None

    def receive(self, until: float) -> list[Rows]:
        """The second half of `run`: what is there is taken in, and what comes `until` then.

        After StoreUnreachable, `settle` goes on with it.
        """
        self._until = until
        try:
            while self._pending:
                self._take_result()
        except psycopg.OperationalError as error:
            raise self._broken(str(error)) from None
        if self._error:
            raise self._error
        return self._answers

    def settle(self, patience: float | None = None) -> None:
        """Take in the reply that is late, if one is."""
        if not self._pending:
            return
        self._until = self._now() + (self._patience() if patience is None else patience)
        with suppress(psycopg.OperationalError):
            self._flush()
        answers: list[Rows] | None = None
        try:
            answers = self.receive(self._until)
        except StoreError:
            if self._pending:
                raise
        late, self._late = self._late, None
        if late:
            late(answers)

    def notices(self) -> list[Notice]:
        """Every NOTIFY that is there. Never blocks. Raises SessionGone."""
        try:
            if not self._pending:
                self._pg.consume_input()
        except psycopg.OperationalError as error:
            raise self._broken(str(error)) from None
        found = []
        while got := self._pg.notifies():
            found.append(Notice(got.relname.decode(), got.extra.decode(), got.be_pid))
        return found

    def close(self) -> None:
        self._pending = False
        _open.discard(self)
        self._connection.close()

    def forget(self) -> None:
        """In a forked child: the parent's session lives on, so the server must hear nothing."""
        if self not in _open:
            return
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        with suppress(OSError):
            os.dup2(nothing, self._socket, inheritable=False)
        os.close(nothing)
        self.close()

    def _send_one(self, sql: str, values: list[bytes | None]) -> None:
        """Prepared the second time: planning takes longer than running does."""
        name = self._names.get(sql)
        if name is None or not self.prepares:
            self._names[sql] = b""
            self._pg.send_query_params(sql.encode(), values)
        else:
            if not name:
                self._prepared += 1
                name = self._names[sql] = b"lifeline_%d" % self._prepared
                self._pg.send_prepare(name, sql.encode())
                self._preparing.append(True)
            self._pg.send_query_prepared(name, values)
        self._preparing.append(False)

    def _take_result(self) -> None:
        while self._pg.is_busy():
            self._wait(select.POLLIN)
            self._pg.consume_input()
        result = self._pg.get_result()
        if result is None:
            if not self.usable:
                raise psycopg.OperationalError("the server closed it")
        elif result.status == pq.ExecStatus.PIPELINE_SYNC:
            self._pending = False
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            self._names.clear()  # what could not be prepared, or cannot be used as it was
            self._refused(result)
        elif result.status != pq.ExecStatus.PIPELINE_ABORTED and not self._preparing.popleft():
            self._answers.append(_rows(result))

    def _refused(self, result: pq.abc.PGresult) -> None:
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        said = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
        message = said.decode("utf-8", "replace")
        if not state or not self.usable:
            raise psycopg.OperationalError(message)
        self._error = self._error or pg_errors.of_statement(self._place, state, message)

    def _flush(self) -> None:
        while self._pg.flush():
            self._wait(select.POLLIN | select.POLLOUT)
            self._pg.consume_input()

    def _wait(self, events: int) -> None:
        self._poll.register(self._socket, events)
        if not self._poll.poll(max(self._until - self._now(), 0.0) * 1000):
            raise pg_errors.silent(self._place, self._patience())

    def _broken(self, message: str) -> pg_errors.SessionGone:
        self.close()
        return pg_errors.gone(self._place, message)


_open: WeakSet[Session] = WeakSet()


def connect(target: Target, patience: Callable[[], float], now: Callable[[], float]) -> Session:
    """A new session. Each address is given `patience` seconds. Raises StoreError."""
    asked = {"connect_timeout": str(max(2, int(patience()))), **target.params}
    with no_fork():  # a connection that is being made can be forgotten by nobody
        try:
            connection = psycopg.Connection.connect(make_conninfo("", **asked), autocommit=True)
        except psycopg.Error as error:
            raise pg_errors.of_connecting(target.place, str(error)) from None
        try:
            return Session(connection, target.place, patience, now)
        except psycopg.NotSupportedError:
            connection.close()
            raise StoreRefused(
                f"{target.place}: the client library is too old; install libpq 14 or newer, "
                "or psycopg[binary]"
            ) from None


def _forget_all() -> None:
    """In a forked child: a copy of a session's socket would keep its locks, whoever has died."""
    for session in list(_open):
        session.forget()


os.register_at_fork(after_in_child=_forget_all)


def _rows(result: pq.abc.PGresult) -> Rows:
    width = range(result.nfields)
    return [
        tuple(_text(result.get_value(row, column)) for column in width)
        for row in range(result.ntuples)
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
