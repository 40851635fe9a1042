"""A short-lived helper that tells a monitor about one run.

Everything it needs comes through standard input, so that the URL, which is a secret, is on no
command line. It waits for the ping before it, so that a start does not arrive after its end, and
it gives up for good after half a minute.
"""

import os
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_TRIES = 3
_TIMEOUT = 8.0  # seconds for each try, as long as nothing comes
_PATIENCE = 30  # seconds for all of them, whatever comes


class _TooLate(BaseException):
    """The patience is over; nobody on the way is to take it for a failure of its own."""


def main() -> int:
    """Read what to send from stdin (see `helpers.Pinger`), and send it or tell the history."""
    head, _, body = sys.stdin.buffer.read().partition(b"\n\n")
    previous, url, run, kind, title = head.decode().split("\n")
    if int(previous) >= 0:
        os.read(int(previous), 1)  # its end: the helper before has gone
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(_PATIENCE)
    try:
        reason = _send_at_last(url, body)
    except _TooLate:
        reason = f"no answer in {_PATIENCE} s"
    if not reason:
        return 0
    from ..events import add
    from ..processes.state import State

    return 0 if add(State(), "ping failed", {kind: title, "run": run, "reason": reason}) else 1


def _stop(_number: int, _frame: object) -> "NoReturn":
    raise _TooLate


def _send_at_last(url: str, body: bytes) -> str:
    """Try a few times; why the last one failed, or ""."""
    reason = send(url, body)
    for attempt in range(1, _TRIES):
        if not reason:
            break
        time.sleep(attempt)
        reason = send(url, body)
    return reason


def send(url: str, body: bytes) -> str:
    """POST `body`; why that failed, without the URL, or ""."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "lifeline"}
    try:
        with urlopen(Request(url, body, headers), timeout=_TIMEOUT):
            return ""
    except HTTPError as error:
        return f"answered {error.code}"
    except URLError as error:
        return _reason(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return _reason(error)


def _reason(error: object) -> str:
    """What happened, in words that cannot hold any of the URL."""
    from socket import gaierror

    plain = isinstance(error, (ConnectionError, gaierror)) or type(error) is OSError
    words = error.strerror if plain and isinstance(error, OSError) else None
    return f"not reached ({words or type(error).__name__})"
