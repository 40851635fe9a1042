"""Leases in one Redis or Valkey server. For efficiency, not for correctness.

A lease ends by the server's wall clock (there is no other), a failover to a replica may lose it,
and so does a restart unless every write is on disk first (appendonly, appendfsync always). What is
done about that:

* A claim belongs to the run of the server that granted it (`run_id`). After a restart, a failover
  or FLUSHALL its renewal says LOST; it is never made anew.
* A server that may have forgotten leases, because it was restarted or its data set was emptied,
  grants none before they have all run out: a grant says how long to wait (the "delayed restarts" of
  the Redlock page, done by the client). One that meets lifeline for the first time looks the same,
  so the very first lease of a server starts late. `?restart_delay=SECONDS` in the URL sets another
  time than the ttl; 0, for tests or when that risk is accepted, none at all.
* Fences also rise over a lost data set (see `redis_scripts`): the guarded write stays safe.

Each verb is one script, one round trip. The first one on a connection asks who the server is.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import StoreError
from ...leases.port import BAD, LOST, RENEWED, Claim, Finding, Granted, Request, Seen, Taken
from . import calls
from .check import findings
from .line import Line
from .mail import RedisMail
from .restart import acquire, answered, expected_run
from .scripts import Keys
from .url import Place, read
from .watch import Subscription, subscribed

PATIENCE = 4.0


class RedisBackend:
    """One server, one connection, made with the first verb and again after each doubt."""

    def __init__(self, place: Place, patience: float = PATIENCE) -> None:
        self._place = place
        self._keys = Keys(place.namespace)
        self._line = Line(place, patience)

    @property
    def patience(self) -> float:
        return self._line.timeout

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._line.timeout = seconds  # of the next connection
        self._line.close()

    def try_acquire(self, request: Request) -> Granted | Taken:
        line = self._line
        line.open()
        return answered(line, line.ask(acquire(line, self._keys, request)), request)

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        if not claims:
            return []
        line = self._line
        line.open()
        reply = line.ask(calls.renew(self._keys, claims, expected_run(line.server)))
        return [RENEWED if mine else LOST for mine in reply]

    def release(self, claim: Claim) -> bool:
        reply = self._line.ask(calls.release(self._keys, claim.name, claim.slot, claim.owner))
        return bool(reply)

    def holders(self, name: str | None = None) -> list[Seen]:
        return calls.rows(self._line.ask(calls.holders(self._keys, name)))

    def break_lease(self, name: str, slot: int) -> int | None:
        fence = self._line.ask(calls.break_lease(self._keys, name, slot))
        return None if fence is None else int(fence)

    def watch(self, name: str) -> Subscription | None:
        return subscribed(self._place, self._keys.channel(name), self.patience)

    def mail(self) -> RedisMail:
        return RedisMail(self._place, self.patience)

    def check(self) -> list[Finding]:
        try:
            return findings(self._line)
        except StoreError as error:
            return [Finding(BAD, str(error))]

    def setup(self) -> list[str]:
        """Nothing to do: the first lease makes its keys."""
        return []

    def close(self) -> None:
        self._line.close()

    def forget(self) -> None:
        self._line.close()


def open_backend(url: str) -> RedisBackend:
    """The store at a redis://, rediss:// or redis+sentinel:// URL. Raises UsageError."""
    return RedisBackend(read(url))
