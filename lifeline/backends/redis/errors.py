"""What redis-py raises, as the port's errors: one line, the store's name, what to do; no secret."""

from __future__ import annotations

import re
import ssl

from redis import exceptions as driver

from ...errors import StoreError, StoreRefused, StoreUnreachable, show
from .url import Place

# redis-py takes the code off the text of these.
_CODES: list[tuple[type[Exception], str]] = [
    (driver.NoScriptError, "NOSCRIPT"),
    (driver.ReadOnlyError, "READONLY"),
    (driver.AuthenticationError, "WRONGPASS"),
    (driver.NoPermissionError, "NOPERM"),
    (driver.OutOfMemoryError, "OOM"),
    (driver.BusyLoadingError, "LOADING"),
    (driver.MovedError, "MOVED"),
    (driver.AskError, "MOVED"),
    (driver.ClusterDownError, "CLUSTERDOWN"),
    (driver.MasterDownError, "MASTERDOWN"),
    (driver.InvalidResponse, "PROTOCOL"),
]
# Definite: people have to act.
_REFUSED = {
    "READONLY": "it is a read-only replica; give the URL of the primary",
    "WRONGPASS": "the user or the password is wrong or missing; give both in the URL, as "
    "redis://user:password@host",
    "NOPERM": "the user lacks a right; allow it EVALSHA, EVAL, INFO, the hash and set commands, "
    "DEL, PEXPIRE, PTTL, TIME and PUBLISH for ~{lifeline:* and &{lifeline:*",
    "OOM": "its memory is full; raise maxmemory or make room",
    "MISCONF": "it refuses writes because it cannot save to disk; see its log",
    "WRONGTYPE": "a key of lifeline's holds something else; choose another database or namespace",
    "MOVED": "it is part of a cluster and does not serve these keys; use one that stands alone",
    "CROSSSLOT": "it is part of a cluster; use one that stands alone",
    "NOREPLICAS": "it refuses writes because it has too few replicas (min-replicas-to-write)",
    "PROTOCOL": "what answers is not Redis; if the port wants TLS, write rediss://",
}
# For now: asking again may help.
_LATER = {
    "LOADING": "it is loading its data",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "its cluster is moving keys",
    "BUSY": "it is busy with a script",
}
_KNOWN = re.compile(rf"\b({'|'.join([*_REFUSED, *_LATER])})\b")


def translated(error: Exception, place: Place) -> StoreError:
    """The port's error for what redis-py raised."""
    code = code_of(error)
    if code in _REFUSED:
        return StoreRefused(f"{place.label}: {_REFUSED[code]}")
    if code in _LATER:
        return StoreUnreachable(f"{place.label}: {_LATER[code]}; try again")
    if isinstance(error, (driver.ConnectionError, driver.TimeoutError, OSError)):
        return _broken(error, place)
    return StoreRefused(f"{place.label}: it answers {_harmless(error, place)!r}")


def code_of(error: Exception) -> str:
    """The code of an error reply, "" if there is none."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    # From within a script, older servers wrap the code into a longer text.
    found = _KNOWN.search(str(error)) if isinstance(error, driver.ResponseError) else None
    if found:
        return found[1]
    denied = "can't run this command" in str(error) or "can't access" in str(error)
    return "NOPERM" if denied else ""


def _broken(error: Exception, place: Place) -> StoreError:
    reason: BaseException = error.__context__ or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return StoreRefused(
            f"{place.label}: its TLS certificate is not trusted ({reason.verify_message}); "
            "name the authority with ?ssl_ca_certs=FILE"
        )
    if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLEOFError):
        return StoreRefused(f"{place.label}: TLS fails; does that port speak it? else redis://")
    if isinstance(error, (driver.TimeoutError, TimeoutError)):
        what = "no answer in time"
    else:
        what = getattr(reason, "strerror", None) or _harmless(error, place)
    hint = "; does that port speak TLS?" if place.secure else ""
    return StoreUnreachable(f"{place.label}: {what}{hint or '; is it up?'}")


def _harmless(error: Exception, place: Place) -> str:
    text = str(error)
    for given in (place.arguments, *place.sentinels):
        if secret := given.get("password"):
            text = text.replace(str(secret), "***")
    return show(text.encode("utf-8", "backslashreplace"))
