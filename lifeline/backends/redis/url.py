"""`redis://`, `rediss://` and `redis+sentinel://` URLs: where the server is, what options apply.

redis-py reads what is its own. Nothing of a URL gets into a message but what `redact` leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from redis import connection as _driver

from ...errors import UsageError
from ...leases.urls import check_account, redact, take_options

_OURS = frozenset({"namespace", "restart_delay"})
_SENTINELS = frozenset({"sentinel_username", "sentinel_password"})
_SENTINEL_PORT = 26379
# Set by lifeline: a verb is one try with one patience, and its replies are bytes of RESP2.
_FIXED = frozenset(
    {"decode_responses", "encoding", "encoding_errors", "health_check_interval", "protocol"}
    | {"retry", "retry_on_error", "retry_on_timeout", "socket_connect_timeout", "socket_timeout"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one server is. `arguments` (secret) are redis-py's, `sentinels` tell where it is."""

    label: str
    arguments: dict[str, Any] = field(repr=False)
    secure: bool = False
    namespace: str = ""
    #: Seconds after a server's start in which its grants do not count yet; None: the lease's ttl.
    restart_delay: float | None = None
    sentinels: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    service: str = ""

    def connection(self, timeout: float, arguments: dict[str, Any] | None = None) -> Any:
        """A connection that is not made yet: it tries once; each of its steps has `timeout` s."""
        kind: Any = _driver.SSLConnection if self.secure else _driver.Connection
        given = self.arguments if arguments is None else arguments
        return kind(**given, socket_timeout=timeout, socket_connect_timeout=timeout, protocol=2)


def read(url: str) -> Place:
    """The place that the URL names. Raises UsageError."""
    check_account(url)
    if url.startswith("redis+sentinel://"):
        return _sentinel(url)
    bare, ours = take_options(url, _OURS)
    label = redact(url)
    place = Place(label, _arguments(bare, label), secure=url.startswith("rediss://"))
    return _checked(_with_options(place, ours))


def _arguments(url: str, label: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = _driver.parse_url(url)  # type: ignore[no-untyped-call]
        parts = urlsplit(url)
        database, fragment = parts.path.strip("/"), parts.fragment
    except ValueError:  # its text may hold a password
        raise UsageError(f"the lock URL {label}: {_SHAPE}") from None
    if "host" not in found or fragment or not (database.isdecimal() or not database):
        raise UsageError(f"the lock URL {label}: {_SHAPE}")
    if taken := sorted(_FIXED & found.keys()):
        raise UsageError(f"the lock URL {label}: {taken[0]} is set by lifeline, leave it out")
    found.pop("connection_class", None)
    return found


_SHAPE = (
    "should look like redis://[user:password@]host[:port][/database number]; "
    "write special characters of a password as %XX"
)


def _with_options(place: Place, ours: dict[str, str]) -> Place:
    delay = None
    if "restart_delay" in ours:
        try:
            delay = float(ours["restart_delay"])
        except ValueError:
            delay = -1.0
        if not 0 <= delay < float("inf"):
            raise UsageError(f"the lock URL {place.label}: restart_delay is a number of seconds")
    return replace(place, namespace=ours.get("namespace", ""), restart_delay=delay)


def _checked(place: Place) -> Place:
    """The place, once redis-py takes its arguments."""
    try:
        place.connection(1.0)
    except TypeError as error:
        option = str(error).rpartition("argument ")[2].strip("'")
        known = option if option in place.arguments else "an option"
        raise UsageError(f"the lock URL {place.label}: redis-py does not know {known}") from None
    except Exception:
        raise UsageError(f"the lock URL {place.label}: redis-py refuses its options") from None
    return place


def _sentinel(url: str) -> Place:
    """`redis+sentinel://[user:password@]host[:port],host[:port]/service[/database]`."""
    label = redact(url)
    wrong = UsageError(
        f"the lock URL {label}: should look like "
        "redis+sentinel://[user:password@]host[:port],host[:port]/service[/database number]"
    )
    bare, ours = take_options(url, _OURS | _SENTINELS)
    rest, mark, query = bare.removeprefix("redis+sentinel://").partition("?")
    hosts, _, path = rest.rpartition("@")[2].partition("/")
    service, _, database = path.partition("/")
    if not hosts or not service:
        raise wrong
    account = rest.rpartition("@")[0] + "@" if "@" in rest.partition("/")[0] else ""
    arguments = _arguments(f"redis://{account}unknown/{database}{mark}{query}", label)
    secrets = {
        name.removeprefix("sentinel_"): ours[name] for name in sorted(_SENTINELS & ours.keys())
    }
    sentinels = []
    for each in hosts.split(","):
        address = _arguments(f"redis://{each}", label)
        sentinels.append({"port": _SENTINEL_PORT, **address, **secrets})
    place = Place(label, arguments, sentinels=tuple(sentinels), service=unquote(service))
    return _checked(_with_options(place, ours))
