"""From a URL to the store that it names. Only the driver that is needed is loaded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from ..clock import boottime
from ..errors import StoreRefused, UsageError
from .urls import redact, resolve, scheme_of

if TYPE_CHECKING:
    from ..signals.port import Mail
    from .port import Backend

# scheme: module below lifeline.backends, the driver that it needs, the extra that brings it
_OURS = {
    "file": ("file", "", ""),
    "postgresql": ("postgres", "psycopg", "postgres"),
    "postgres": ("postgres", "psycopg", "postgres"),
    "redis": ("redis", "redis", "redis"),
    "rediss": ("redis", "redis", "redis"),
    "redis+sentinel": ("redis", "redis", "redis"),
    "redlock": ("redlock", "redis", "redis"),
    "dynamodb": ("dynamodb", "boto3", "dynamodb"),
}
# What lasts as long as a connection has no end in the store; whether its holder is gone shows by
# the clock, which backends have only from here.
_TIMED = {"postgres"}
_GROUP = (
    "lifeline.stores"  # entry points: scheme = "module:function", a function from URL to Backend
)


def open_store(url: str) -> Backend:
    """The store at `url`, which may be `env:NAME` or `secret-file:PATH`. Not connected yet.

    Raises UsageError for a URL that cannot be one, StoreRefused if its driver is not installed.
    """
    url = resolve(url)
    scheme = scheme_of(url)
    return _opener(scheme)(url)


def shown(url: str) -> str:
    """The URL as it may be printed."""
    return redact(resolve(url))


def mail_of(store: Backend) -> Mail:
    """A connection for signals. Raises StoreError: StoreRefused if the store has none at all."""
    if not hasattr(store, "mail"):  # somebody else's, from the time before there were signals
        raise StoreRefused("this store carries no signals; use another one for them")
    return store.mail()


def _opener(scheme: str) -> Callable[[str], Backend]:
    if scheme in _OURS:
        module, driver, extra = _OURS[scheme]
        try:
            opener: Callable[..., Backend] = import_module(
                f"lifeline.backends.{module}"
            ).open_backend
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != driver:
                raise
            raise StoreRefused(
                f"{scheme}: needs a driver that is not installed; pip install lifeline-run[{extra}]"
            ) from None
        return partial(opener, now=boottime) if module in _TIMED else opener
    for entry in entry_points(group=_GROUP, name=scheme):
        loaded: Callable[[str], Backend] = entry.load()
        return loaded
    known = ", ".join(sorted(_OURS))
    raise UsageError(f"the lock URL: no store is called {scheme!a}; there are {known}")
