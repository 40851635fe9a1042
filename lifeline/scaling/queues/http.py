"""A web page that tells how much work there is: a number or a JSON object.

    probe = { kind = "http", url = "https://app.example/queue", headers = { X-Key = "env:KEY" } }

For JSON of another shape, `ready`, `busy` and `oldest_age` name where the numbers are, with dots:
`ready = "queues.mail.length"`.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..answers import sample_in
from ..checking import BadOption
from ..errors import ProbeError
from ..options import Options
from ..sample import Sample
from ..whole import whole

_MOST = 1 << 20  # bytes of an answer
_PLACES = ("ready", "busy", "future", "oldest_age")


def make(options: Mapping[str, object]) -> Callable[[], Sample]:
    """A probe that asks `url`; anything but 200 with such a number is an error, never zero."""
    given = Options(options, "http")
    url = given.text("url")
    headers = given.texts("headers")
    timeout = given.seconds("timeout", 5.0)
    places = {name: place for name in _PLACES if (place := given.text(name, " ").strip())}
    given.done()
    host = _host(url)
    for name, value in headers.items():
        both = name + value
        if not name or set(name) & set(": ") or not both.isascii() or not both.isprintable():
            raise BadOption(("headers",), f"the header {name!r:.60} cannot be sent as it is")
    if places and "ready" not in places:
        raise BadOption((), "http needs ready, where the others are named")

    def probe() -> Sample:
        text = _get(url, headers, timeout, host)
        return _picked(text, places) if places else sample_in(text, "the page")

    return probe


def _host(url: str) -> str:
    """The host of a URL that can be asked. Raises BadOption, which does not show it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadOption(("url",), "url names no host, or no port that can be one") from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise BadOption(("url",), "url has to begin with http:// or https:// and a host")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise BadOption(("url",), "url holds a character that has to be written as %XX")
    return host


def _get(url: str, headers: Mapping[str, str], timeout: float, host: str) -> str:
    request = urllib.request.Request(url, headers={"Accept": "application/json", **headers})
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            if answer.status != 200:
                raise ProbeError(f"{host} answers {answer.status}")
            content = whole(answer, _MOST)
    except urllib.error.HTTPError as error:
        error.close()
        raise ProbeError(f"{host} answers {error.code}") from None
    except TimeoutError:
        raise ProbeError(f"{host} gave no answer within {timeout:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        inner = getattr(error, "reason", error)
        told = getattr(inner, "strerror", None) or type(inner).__name__
        raise ProbeError(f"{host} cannot be asked ({told})") from None
    return content.decode("utf-8", "replace")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the headers may hold a secret, which is for one host only."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)


def _picked(text: str, places: Mapping[str, str]) -> Sample:
    try:
        data = json.loads(text)
    except ValueError:
        raise ProbeError("the page is no JSON") from None
    return Sample(**{name: _at(data, place) for name, place in places.items()})


def _at(data: Any, place: str) -> Any:
    for part in place.split("."):
        if isinstance(data, list) and part.isdigit() and int(part) < len(data):
            data = data[int(part)]
        elif isinstance(data, dict) and part in data:
            data = data[part]
        else:
            raise ProbeError(f"the page has nothing at {place!r:.60}")
    return data
