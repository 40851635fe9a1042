"""Signals through LISTEN and NOTIFY, on a connection of their own.

A NOTIFY takes a text of less than 8000 bytes. A letter in ASCII goes as it is; any other goes in
base64, in as many parts as it needs. Those leave in one transaction, and what one transaction
notifies arrives together and in order (PostgreSQL's manual, NOTIFY).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable, Iterator, Sequence

from ...errors import StoreRefused
from ...leases.keys import key
from ...signals.port import Posted, check_token
from . import sql as pg_sql
from .link import Link
from .session import Notice, Session, Statement
from .url import Target

_PART = 7900  # characters
_PREFIX = "lifeline_"
_HEAD = re.compile(r"b([1-9])/([1-9]) ")


class PostgresMail:
    """A `signals.port.Mail`. Raises StoreRefused through a pooler: what it is told goes astray."""

    polls = False

    def __init__(self, target: Target, patience: float, now: Callable[[], float]) -> None:
        self._target = target
        self._session = _direct(target, patience, now)
        self._parts: dict[tuple[str, int], list[str]] = {}  # by channel and sender's backend

    def box(self, name: str, slot: int) -> str:
        return f"{key(self._target.namespace, name, f'signals {slot}') & (1 << 64) - 1:016x}"

    def descriptors(self) -> Sequence[int]:
        return (self._session.fileno(),)

    def listen(self, token: str) -> None:
        self._session.run(Statement(f"LISTEN {_PREFIX}{check_token(token)}"))

    def ignore(self, token: str) -> None:
        self._session.run(Statement(f"UNLISTEN {_PREFIX}{check_token(token)}"))

    def post(self, letters: Sequence[Posted]) -> None:
        batch = [
            Statement(pg_sql.TELL, (_PREFIX + check_token(token), part))
            for token, letter in letters
            for part in _parts(letter)
        ]
        self._session.run(*batch)

    def collect(self) -> list[Posted]:
        came = []
        for notice in self._session.notices():
            letter = self._whole(notice)
            if letter is not None:
                came.append((notice.channel.removeprefix(_PREFIX), letter))
        return came

    def probe(self) -> None:
        self._session.run(Statement(pg_sql.PING))

    def close(self) -> None:
        self._session.close()

    def forget(self) -> None:
        self._session.forget()

    def _whole(self, notice: Notice) -> bytes | None:
        """The letter, once its last part has come; None for what is none of ours."""
        text = notice.payload
        if text.startswith("t"):
            return text[1:].encode()
        head = _HEAD.match(text)
        if head is None:
            return None
        number, count = int(head[1]), int(head[2])
        source = notice.channel, notice.pid
        parts = self._parts.pop(source, []) if number > 1 else []
        if len(parts) != number - 1 or number > count:
            return None
        parts.append(text[head.end() :])
        if number < count:
            self._parts[source] = parts
            return None
        try:
            return b64decode("".join(parts), validate=True)
        except (Error, ValueError):
            return None


def _direct(target: Target, patience: float, now: Callable[[], float]) -> Session:
    link = Link(target, patience, now)
    session = link.open()
    if link.pooled:
        session.close()
        raise StoreRefused(
            f"{target.place}: a connection pooler is in front, and signals do not come through it; "
            "give a URL that connects directly"
        )
    return session


def _parts(letter: bytes) -> Iterator[str]:
    if letter.isascii() and b"\0" not in letter and len(letter) < _PART:
        yield "t" + letter.decode()
        return
    text = b64encode(letter).decode()
    count = -(-len(text) // _PART)
    for number in range(count):
        yield f"b{number + 1}/{count} {text[number * _PART : (number + 1) * _PART]}"
