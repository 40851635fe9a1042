"""A PostgreSQL lock URL, taken apart: what the driver gets, what is ours, what may be shown."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from ...errors import UsageError
from ...leases.urls import check_account, take_options

SESSION, XACT, LEASE = "session", "xact", "lease"
MODES = (SESSION, XACT, LEASE)

_OPTIONS = frozenset({"mode", "namespace"})
# Each may be set in the URL instead. The server's own keepalives are set per session, in SQL.
_DEFAULTS = {
    "application_name": "lifeline",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
}
_MALFORMED = (
    "the lock URL is not one that PostgreSQL takes: postgresql://USER@HOST:PORT/DATABASE, "
    "with % codes for special characters in the password and no options but libpq's, mode and "
    "namespace"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect and how. `place` names it without its secrets."""

    params: dict[str, str]
    mode: str
    namespace: str
    place: str

    def __repr__(self) -> str:
        return f"Target({self.place!r}, mode={self.mode!r})"


def parse(url: str) -> Target:
    """The target of a lock URL. Raises UsageError, which shows none of it, if it cannot be one."""
    rest, ours = take_options(check_account(url), _OPTIONS)
    mode = ours.get("mode", SESSION)
    if mode not in MODES:
        raise UsageError(f"the lock URL: mode is session, xact or lease, not {mode!a}")
    params = _driver_params(rest)
    asked = _DEFAULTS | params | {"client_encoding": "UTF8"}
    return Target(asked, mode, ours.get("namespace", ""), _place(params))


def _driver_params(url: str) -> dict[str, str]:
    try:
        params = {key: str(value) for key, value in conninfo_to_dict(url).items()}
        ports = [int(port) for port in params.get("port", "").split(",") if port]
    except (ProgrammingError, ValueError):  # the driver's message may quote the password
        raise UsageError(_MALFORMED) from None
    # A password with a bare @ or / in it: what follows would be shown as the host.
    if "@" in params.get("host", "") or any(not 0 < port < 65536 for port in ports):
        raise UsageError(_MALFORMED)
    return params


def _place(params: dict[str, str]) -> str:
    user, port = params.get("user", ""), params.get("port", "")
    host = params.get("host", "") or params.get("hostaddr", "")
    account, colon = user and f"{user}@", port and f":{port}"
    return f"postgresql://{account}{host}{colon}/{params.get('dbname', '')}"
