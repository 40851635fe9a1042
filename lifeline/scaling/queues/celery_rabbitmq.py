"""Celery, or anything else, on RabbitMQ: what the management plug-in's HTTP API says of its queues.

`messages_ready` includes messages with an eta that no worker has fetched yet, and the server brings
its numbers up to date every 5 s, so no sample is exact. Nothing is fetched from a queue, which
would change the order of its messages. A queue that does not exist is an error.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ...errors import show
from ..checking import BadOption
from ..errors import ProbeError
from ..sample import Sample, total
from ..whole import whole
from . import settings

_LARGEST = 1 << 20  # bytes of an answer
_EXAMPLE = "http[s]://user:password@host:15672"
_STATUS = {
    401: "the user or the password is wrong or missing",
    403: "the user may not see it: give it the tag monitoring, or management and the vhost",
    404: "there is no such queue in this vhost, or the management plug-in is not on",
}


class CeleryRabbitmq:
    """Counts the messages of `queues` in one virtual host."""

    def __init__(self, url: str, vhost: str, queues: tuple[str, ...], timeout: float) -> None:
        parts = urlsplit(url)
        self._place = settings.place(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._base = f"{parts.path.rstrip('/')}/api/queues/{quote(vhost, safe='')}/"
        account = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
        self._headers = {"Authorization": f"Basic {base64.b64encode(account.encode()).decode()}"}
        self._queues = queues
        self._timeout = timeout

    def __call__(self) -> Sample:
        """Raises ProbeError."""
        return total([self._look(queue) for queue in self._queues])

    def _look(self, queue: str) -> Sample:
        what = f"{self._place}: queue {show(queue.encode('utf-8', 'backslashreplace'), 60)}"
        try:
            status, text = self._get(self._base + quote(queue, safe=""))
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise ProbeError(f"{what}: {reason}") from None
        if status != 200:
            raise ProbeError(f"{what}: {_STATUS.get(status, f'it answers {status}')}")
        try:
            data = json.loads(text)
            ready, busy = data["messages_ready"], data["messages_unacknowledged"]
        except (KeyError, TypeError, ValueError):
            raise ProbeError(f"{what}: the answer has no numbers (yet)") from None
        return Sample(ready, busy, exact=False)

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = self._kind(self._host, self._port, timeout=self._timeout)
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            return answer.status, whole(answer, _LARGEST)
        finally:
            connection.close()


def make(options: settings.Options) -> Callable[[], Any]:
    """A probe for RabbitMQ: `url` (of the management API), `vhost` (/), `queues` (celery),
    `timeout`."""
    settings.known(options, "url", "vhost", "queues")
    url = settings.url(options, ("http", "https"), _EXAMPLE)
    try:
        parts = urlsplit(url)
        is_sound = bool(parts.hostname) and parts.port != 0
    except ValueError:  # its text may hold the password
        is_sound = False
    if not is_sound:
        raise BadOption(("url",), f"url is {_EXAMPLE}, with %XX for special ones")
    vhost = settings.plain(options, "vhost", "/")
    queues = settings.queues(options, "celery")
    return CeleryRabbitmq(url, vhost, queues, settings.timeout(options))
