"""Reading the keys of a queue in Redis or Valkey: bounded, never repeated, nothing written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import UsageError, show
from ..checking import BadOption
from ..errors import ProbeError
from . import settings

Command = tuple["str | bytes | int | float", ...]
Ask = Callable[..., list[Any]]
SCHEMES = ("redis", "rediss", "unix")
_EXAMPLE = "redis://[user:password@]host[:port][/database]"


class Keys:
    """The Redis database at the option `url`. Each reading has a connection of its own.

    `allow_missing` is the option of that name: no trace of a queue counts as an empty one.
    """

    def __init__(self, options: settings.Options) -> None:
        self._driver = _driver()
        self._url = settings.url(options, SCHEMES, _EXAMPLE)
        self._timeout = settings.timeout(options)
        self.place = settings.place(self._url)
        self.allow_missing = settings.flag(options, "allow_missing")
        try:
            self.database = int(self._client().connection_pool.connection_kwargs.get("db") or 0)
        except Exception:  # its text may hold the password
            raise BadOption(("url",), f"url is {_EXAMPLE}, with %XX for special ones") from None

    @contextmanager
    def open(self) -> Iterator[Ask]:
        """Gives a function that runs commands in one transaction and returns their replies.

        Raises ProbeError for whatever goes wrong, a key of an unexpected type included.
        """
        client = self._client()

        def ask(*commands: Command) -> list[Any]:
            with client.pipeline(transaction=True) as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return list(pipe.execute())

        try:
            yield ask
        except (self._driver.RedisError, OSError) as error:
            raise ProbeError(f"{self.place}: {self._reason(error)}") from None
        finally:
            client.close()

    def listen(self, channel: str, seconds: float) -> Iterator[bytes]:
        """What is published on `channel` during so many seconds."""
        client = self._client()
        listener = client.pubsub(ignore_subscribe_messages=True)
        try:
            listener.subscribe(channel)
            yield from _heard(listener, seconds)
        except (self._driver.RedisError, OSError) as error:
            raise ProbeError(f"{self.place}: {self._reason(error)}") from None
        finally:
            listener.close()
            client.close()

    def require(self, queue: str, traces: object) -> None:
        """Raise ProbeError if there is no trace of the queue and none is not allowed."""
        if not traces and not self.allow_missing:
            raise ProbeError(
                f"{self.place}: there is no trace of a queue {show(queue.encode(), 60)!r}; check "
                "its name, or set allow_missing = true if an empty queue leaves none"
            )

    def _client(self) -> Any:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        client = self._driver.Redis.from_url(
            self._url,
            protocol=2,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            decode_responses=False,
        )
        client.response_callbacks.clear()  # replies as they come, whatever the driver's version
        return client

    def _reason(self, error: Exception) -> str:
        if isinstance(error, self._driver.AuthenticationError):
            return "the user or the password is wrong or missing"
        if isinstance(error, (self._driver.TimeoutError, TimeoutError)):
            return f"no answer within {self._timeout:g} s"
        text = str(error)
        for secret in (self._url, self._url.rpartition("@")[0].partition("://")[2]):
            text = text.replace(secret, "…") if secret else text
        return show(text.encode("utf-8", "backslashreplace"))


def _heard(listener: Any, seconds: float) -> Iterator[bytes]:
    import time

    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        message = listener.get_message(timeout=left)
        if message is not None:
            yield message["data"]


def _driver() -> Any:
    try:
        import redis
    except ModuleNotFoundError:
        raise UsageError(
            "this probe needs redis, which is not installed; pip install lifeline-run[redis]"
        ) from None
    return redis
