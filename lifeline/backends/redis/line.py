"""One connection to one server. Any doubt ends it; the next request makes a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from ...errors import StoreRefused, StoreUnreachable
from .errors import code_of, translated
from .scripts import Call, Word, pack
from .url import Place

FAILURES = (RedisError, OSError, ValueError)  # ValueError: a port in the wire that is no number
_INFO = pack("INFO")
_FSYNC = pack("CONFIG", "GET", "appendfsync")


@dataclass(slots=True)
class Server:
    """What a server told when the connection was made; it is the same one while that lasts."""

    run: str = ""  # changes with each start; "" if it does not tell
    uptime: int | None = None  # seconds, when last asked
    durable: bool = False  # a restart loses nothing: appendonly with appendfsync always
    role: str = "master"


class Line:
    """Requests to the server at `place`; each step of each has `timeout` seconds."""

    def __init__(self, place: Place, timeout: float) -> None:
        self.place = place
        self.server = Server()
        self.timeout = timeout
        self._connection: Any = None
        self._call: Call | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def fileno(self) -> int:
        return socket_of(self._connection)

    def open(self) -> None:
        """Connected, and `server` is what answers there. Raises StoreError."""
        if self._connection is not None:
            return
        try:
            self._connection = connected(self.place, self.timeout)
            self.server = self._introduced()
        except FAILURES as error:
            self.close()
            raise translated(error, self.place) from None
        self._refuse_replica()

    def ask(self, call: Call) -> Any:
        """The script's reply. Raises StoreError; what the server did then is not known."""
        self.send(call)
        return self.receive()

    def send(self, call: Call) -> None:
        """Let the server run it; `receive` gives the reply."""
        self.open()
        try:
            self._connection.send_packed_command([call.short], check_health=False)
        except FAILURES as error:
            self.close()
            raise translated(error, self.place) from None
        except (
            BaseException
        ):  # an interrupt: what was sent, and what comes back, is anybody's guess
            self.close()
            raise
        self._call = call

    def receive(self) -> Any:
        try:
            try:
                return self._connection.read_response()
            except NoScriptError:  # the first time at this server
                assert self._call is not None
                self._connection.send_packed_command([self._call.whole()], check_health=False)
                return self._connection.read_response()
        except FAILURES as error:
            raise self._given_up(error) from None
        except BaseException:
            self.close()
            raise

    def command(self, *words: Word) -> Any:
        """The reply to a plain command. Raises StoreError."""
        self.open()
        try:
            self._connection.send_packed_command([pack(*words)], check_health=False)
            return self._connection.read_response()
        except FAILURES as error:
            raise self._given_up(error) from None

    def _given_up(self, error: Exception) -> Exception:
        """The error to raise. Only a plain refusal leaves the connection as it was."""
        if not isinstance(error, ResponseError) or code_of(error) == "READONLY":
            self.close()
        if code_of(error) == "READONLY" and self.place.service:
            return self._failover()
        return translated(error, self.place)

    def _introduced(self) -> Server:
        self._connection.send_packed_command([_INFO + _FSYNC], check_health=False)
        try:
            told = facts(self._connection.read_response())
        except ResponseError:
            told = {}
        try:
            fsync = self._connection.read_response()[1:]
        except ResponseError:
            fsync = []
        uptime = told.get("uptime_in_seconds")
        return Server(
            run=told.get("run_id", ""),
            uptime=int(uptime) if uptime else None,
            durable=told.get("aof_enabled") == "1" and fsync == [b"always"],
            role=told.get("role", "master"),
        )

    def _refuse_replica(self) -> None:
        if self.server.role == "master":
            return
        self.close()
        if self.place.service:
            raise self._failover()
        raise StoreRefused(
            f"{self.place.label}: it is a read-only replica; give the URL of the primary"
        )

    def _failover(self) -> StoreUnreachable:
        return StoreUnreachable(f"{self.place.label}: a failover is under way; try again")

    def close(self) -> None:
        """No connection; in a forked child, without a word to the server (redis-py sees that)."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()


def facts(info: bytes) -> dict[str, str]:
    """The lines of an INFO reply."""
    pairs = (line.partition(":") for line in info.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in pairs if colon}


def socket_of(connection: Any) -> int:
    """The descriptor of a redis-py connection, which has no public name for it."""
    return int(connection._sock.fileno())


def connected(place: Place, timeout: float) -> Any:
    arguments = place.arguments
    if place.service:
        host, port = _primary(place, timeout / (len(place.sentinels) + 1))
        arguments = {**arguments, "host": host, "port": port}
    connection = place.connection(timeout, arguments)
    connection.connect()
    return connection


def _primary(place: Place, timeout: float) -> tuple[str, int]:
    """Where the first sentinel that knows says that the primary is."""
    failed: Exception | None = None
    answered = False
    for sentinel in place.sentinels:
        try:
            found = _asked(place.connection(timeout, sentinel), place.service)
        except FAILURES as error:
            failed = error
            continue
        if found:
            return found[0].decode(), int(found[1])
        answered = True
    if failed is not None and not answered:
        raise failed
    raise StoreRefused(f"{place.label}: no sentinel knows the service {place.service!a}")


def _asked(sentinel: Any, service: str) -> Any:
    try:
        sentinel.connect()
        words = pack("SENTINEL", "get-master-addr-by-name", service)
        sentinel.send_packed_command([words], check_health=False)
        return sentinel.read_response()
    finally:
        sentinel.disconnect()
