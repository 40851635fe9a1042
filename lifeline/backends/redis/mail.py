"""Signals through PUBLISH and SUBSCRIBE: one connection that speaks, one that listens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...leases.keys import key
from ...signals.port import Posted, check_token
from .errors import translated
from .line import FAILURES, Line, connected, socket_of
from .scripts import Keys, Word, pack
from .url import Place

_CONFIRMED = {b"SUBSCRIBE": b"subscribe", b"UNSUBSCRIBE": b"unsubscribe", b"PING": b"pong"}


class RedisMail:
    """A `signals.port.Mail` at one server."""

    polls = False

    def __init__(self, place: Place, timeout: float) -> None:
        self._place = place
        self._timeout = timeout
        self._prefix = Keys(place.namespace).index + b":mail:"
        self._line = Line(place, timeout)
        self._ear: Any = None
        self._came: list[Posted] = []
        self._line.open()

    def box(self, name: str, slot: int) -> str:
        return f"{key(self._place.namespace, name, f'signals {slot}') & (1 << 64) - 1:016x}"

    def descriptors(self) -> Sequence[int]:
        return () if self._ear is None else (socket_of(self._ear),)

    def listen(self, token: str) -> None:
        self._tell_ear(b"SUBSCRIBE", self._channel(token))

    def ignore(self, token: str) -> None:
        self._tell_ear(b"UNSUBSCRIBE", self._channel(token))

    def post(self, letters: Sequence[Posted]) -> None:
        for token, letter in letters:
            self._line.command("PUBLISH", self._channel(token), letter)

    def collect(self) -> list[Posted]:
        try:
            while self._ear is not None and self._ear.can_read(0):
                self._read()
        except FAILURES as error:
            raise translated(error, self._place) from None
        came, self._came = self._came, []
        return came

    def probe(self) -> None:
        self._line.command("PING")
        if self._ear is not None:
            self._tell_ear(b"PING")

    def close(self) -> None:
        self._line.close()
        if self._ear is not None:
            self._ear.disconnect()
        self._ear = None

    forget = close

    def _channel(self, token: str) -> bytes:
        return self._prefix + check_token(token).encode()

    def _tell_ear(self, word: bytes, *more: Word) -> None:
        """A command on the listening connection, once the server has confirmed it."""
        answer = _CONFIRMED[word]
        try:
            if self._ear is None:
                self._ear = connected(self._place, self._timeout)
            self._ear.send_packed_command([pack(word, *more)], check_health=False)
            while self._read() != answer:
                pass
        except FAILURES as error:
            raise translated(error, self._place) from None

    def _read(self) -> bytes:
        """What kind of reply came; a letter is kept."""
        reply = self._ear.read_response()
        if not isinstance(reply, list):  # a server answers PING so while nothing is subscribed to
            return bytes(reply).lower()
        if reply[0] == b"message":
            self._came.append((reply[1][len(self._prefix) :].decode("ascii", "replace"), reply[2]))
        return bytes(reply[0])
