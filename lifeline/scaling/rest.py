"""Calls to a platform's HTTP API: one request, one answer, one deadline, and no secret told.

What the libraries call a timeout is one of each wait; a server that sends a byte now and then keeps
them for as long as it likes. A scaler must not wait longer than its lease lasts, so here every wait
of a call ends at the same moment. Nothing is repeated, and no redirect is followed: the token is
for one host.
"""

from __future__ import annotations

import io
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from ..clock import wall
from ..errors import UsageError, show
from .bounded import Deadline
from .errors import TargetError
from .whole import whole

_LARGEST = 16 << 20  # bytes of an answer
_LONGEST_PAUSE = 3600.0  # seconds: more in a Retry-After is an error of the platform
_HINTS = {
    401: "the token is not accepted",
    403: "the token has not the right to do this",
}


class Refused(TargetError):
    """The platform answered, and said no.

    `status` is HTTP's, `data` what came with it (None if it is not JSON).
    """

    def __init__(self, message: str, status: int, data: Any, retry_after: float | None) -> None:
        self.status = status
        self.data = data
        super().__init__(message, retry_after)


class Client:
    """Speaks JSON with the API at `url`, which is called `name` in messages.

    `token` is asked for the bearer token before each call. `ca` is a file of certificates to
    trust in place of the system's. Raises UsageError for a URL that a token must not be sent to.
    """

    def __init__(
        self,
        name: str,
        url: str,
        token: Callable[[], str],
        headers: Mapping[str, str] | None = None,
        ca: str | None = None,
    ) -> None:
        self.name = name
        self._token = token
        self._headers = {"User-Agent": "lifeline", "Connection": "close", **(headers or {})}
        host, port, self._path, secure = _place(url)
        self._host = Host(host, port, _trusting(ca) if secure else None)
        self.answer_headers: Message = Message()  # of the last answer

    def call(
        self,
        deadline: Deadline,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
    ) -> Any:
        """What the platform answers, from JSON. Raises Refused if it says no, else TargetError."""
        self.answer_headers = Message()
        token = self._token()
        headers = {**self._headers, "Authorization": f"Bearer {token}"}
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["Content-Type"] = content_type
        deadline.left_for(f"{self.name}: the call")
        try:
            status, self.answer_headers, raw = exchange(
                self._host, deadline, method, self._path + path, content, headers
            )
        except (OSError, HTTPException, ValueError) as error:
            raise TargetError(f"{self.name}: {reason(error, deadline.seconds)}") from None
        data = _json(raw.replace(token.encode(), b"..."))
        if 200 <= status < 300:
            if data is None:
                raise TargetError(f"{self.name} answers {status} with something that is no JSON")
            return data
        message = f"{self.name} answers {_refusal(status, data, token)}"
        pause = retry_after(self.answer_headers.get("Retry-After"))
        raise Refused(message, status, data, pause)


@dataclass(frozen=True, slots=True)
class Host:
    """Where requests go; with a `context` over TLS."""

    name: str
    port: int
    context: ssl.SSLContext | None


def exchange(
    host: Host,
    deadline: Deadline,
    method: str,
    path: str,
    content: bytes | None,
    headers: Mapping[str, str],
) -> tuple[int, Message, bytes]:
    """The status, headers and body of the answer to one request.

    Raises OSError (TimeoutError after the deadline), HTTPException or ValueError; `reason` makes
    words of them.
    """
    sock = _connect(host.name, host.port, deadline)
    try:
        connection = HTTPConnection(host.name, host.port)
        if host.context:
            sock.settimeout(deadline.left())
            sock = host.context.wrap_socket(sock, server_hostname=host.name)
            connection = HTTPSConnection(host.name, host.port, context=host.context)
        connection.sock = _Wire(sock, deadline)
        connection.request(method, path, content, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, whole(answer, _LARGEST)
    finally:
        sock.close()


class _Wire:
    """A connected socket as `http.client` uses it; every wait ends at the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._sock, self._deadline))

    def close(self) -> None:
        """Nothing: the answer is still to be read, and `Client` closes the socket itself."""


class _Incoming(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)


def _connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A socket to the first address that answers. Looking the name up is not bounded."""
    failed: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline.left())
            sock.connect(address)
            return sock
        except OSError as error:
            sock.close()
            failed = error
    raise failed or OSError("no address")


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


# --- what is told -----------------------------------------------------------------------------


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for: a number of them or a date (RFC 9110)."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - wall()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE) if seconds == seconds else None


def _refusal(status: int, data: Any, token: str) -> str:
    """The status, what kind of error it is and the platform's own words, as far as it has any.

    Whatever the platform may repeat of the request, the token is not in it.
    """
    if 300 <= status < 400:
        return f"{status}: a redirect, which is not followed; give the url that it leads to"
    said = data if isinstance(data, dict) else {}
    kind = next((said[key] for key in ("id", "reason") if isinstance(said.get(key), str)), "")
    parts = [f"{status} {kind}".rstrip(), _HINTS.get(status, ""), _text(said.get("message"))]
    told = [part.replace(token, "...") for part in parts if part]
    return ": ".join(show(part.encode(errors="backslashreplace")) for part in told)


def _text(message: object) -> str:
    return " ".join(message.split()) if isinstance(message, str) else ""


def reason(error: Exception, seconds: float) -> str:
    """Why there is no answer, in words that cannot hold anything secret."""
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection ({error.reason or 'broken off'})"
    if isinstance(error, OSError):
        return f"not reached ({error.strerror or type(error).__name__})"
    return f"no answer that makes sense ({type(error).__name__})"


# --- where it is ------------------------------------------------------------------------------


def _place(url: str) -> tuple[str, int, str, bool]:
    """(host, port, path, with TLS) of a URL. Raises UsageError, which does not show it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UsageError("the url names no host, or no port that can be one") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError("the url has to begin with https://, and a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError("the url holds more than a host and a path: the token has its own option")
    if parts.scheme == "http" and host not in ("localhost", "127.0.0.1", "::1"):
        raise UsageError("the url has to begin with https://: a token is not sent in the clear")
    secure = parts.scheme == "https"
    return host, port or (443 if secure else 80), parts.path.rstrip("/"), secure


def _trusting(ca: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # of which ssl.SSLError is one
        why = error.strerror or "no certificate in it"
        raise UsageError(f"ca: {show(str(ca).encode())} cannot be read ({why})") from None
