"""Every store there is, on servers that the tests start when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable

from support.servers import dynamodb, files, postgres, valkey

#: Name -> a function that gives the URL of a fresh store which nobody else uses.
STORES: dict[str, Callable[[], str]] = {
    **files.stores(),
    **postgres.stores(),
    **valkey.stores(),
    **dynamodb.stores(),
}
