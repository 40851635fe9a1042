"""What PostgreSQL and its driver say, as errors of ours: one line, the store named, no secret."""

from __future__ import annotations

import re

from ...errors import StoreError, StoreRefused, StoreUnreachable, show


class SessionGone(StoreUnreachable):
    """The connection is closed: whatever its session held is held no more, or not for long."""


class ReadOnly(StoreRefused):
    """Found when connecting: a replica, or a role that may not write."""


class ReadOnlyNow(StoreUnreachable):
    """Found later, on a connection that could write: another server may be the primary by now."""


_SETUP = "run: lifeline lock setup URL"

# SQLSTATE or its class -> what to do about it. The codes: PostgreSQL's manual, appendix A.
_REFUSED = {
    "42501": "give the role its rights: "
    "GRANT SELECT, INSERT, UPDATE ON lifeline_lock TO it (CREATE on the schema for setup)",
    "42P01": _SETUP,
    "42703": "the table is another version's; drop lifeline_lock while nothing runs, then "
    + _SETUP,
    "3F000": "name a schema in the role's search_path",
    "22021": "the name does not fit the database's encoding; use one in UTF8",
    "22P05": "the name does not fit the database's encoding; use one in UTF8",
}
_READ_ONLY = "25006"
# Connection trouble, rollbacks, too little of something, locks, cancelled, shutting down, disks.
_PASSING = ("08", "40", "53", "55", "57", "58", "XX")

# Connecting gives no SQLSTATE, only words; they are English unless the server was told otherwise.
_STARTING = re.compile(
    r"starting up|shutting down|in recovery mode|not yet accepting|too many|slots are reserved|"
    r"cannot connect to server|server login has been failing|query_wait_timeout|"
    r"server conn|client_login_timeout|no more connections"
)
_ADVICE = (
    (r"password|no pg_hba\.conf entry|authentication|role .* does not exist|SASL", "the user, "
     "the password and pg_hba.conf decide who may connect", StoreRefused),
    (r"database .* does not exist|no such database", "name one that exists", StoreRefused),
    (r"certificate|SSL|TLS", "sslmode, sslrootcert and the server's certificate have to fit",
     StoreRefused),
    (r"read-only|not read-write|session is not", "the server is a replica; name the primary too",
     ReadOnly),
)  # fmt: skip
# What is definite: the server's own refusals, and what libpq ends by itself.
_DEFINITE = re.compile(
    r"FATAL:|no password supplied|session is (not )?read-only|SSL was required|"
    r"does not support SSL|certificate|SSL error|TLS|sslrootcert|authentication method"
)


def of_statement(place: str, sqlstate: str, message: str) -> StoreError:
    """The error for a statement that the server refused."""
    told = f"{place}: {_line(message)}"
    if sqlstate == _READ_ONLY:
        return ReadOnlyNow(f"{told}; perhaps it is failing over, try again")
    if sqlstate.startswith(_PASSING):
        return StoreUnreachable(f"{told}; try again")
    advice = _REFUSED.get(sqlstate, f"SQLSTATE {sqlstate}")
    return StoreRefused(f"{told}; {advice}")


def of_connecting(place: str, message: str) -> StoreError:
    """The error for a connection that was not made."""
    said = _line(message.removeprefix("connection failed: "))
    told = f"{place}: cannot connect: {said}"
    refused = _DEFINITE.search(message)
    if not refused or _STARTING.search(message):
        return StoreUnreachable(f"{told}; is it up, and is this its address?")
    for pattern, advice, kind in _ADVICE:
        if re.search(pattern, message):
            return kind(f"{told}; {advice}")
    return StoreRefused(told)


def silent(place: str, patience: float) -> StoreUnreachable:
    return StoreUnreachable(f"{place}: no answer for {patience:g} s; it hangs or cannot be reached")


def gone(place: str, message: str) -> SessionGone:
    return SessionGone(f"{place}: the connection broke: {_line(message)}")


def _line(message: str) -> str:
    """The last attempt's message on one line: the driver tells each address in turn."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return show(" ".join(lines[:2]).encode("utf-8", "backslashreplace"), 300)
