"""Hearing of releases: a subscription on a connection of its own."""

from __future__ import annotations

from typing import Any

from redis.exceptions import NoPermissionError

from ...errors import StoreUnreachable
from .errors import translated
from .line import FAILURES, connected, socket_of
from .scripts import pack
from .url import Place


class Subscription:
    """A `leases.port.Wake`: readable when somebody released a lease of one name."""

    def __init__(self, place: Place, connection: Any) -> None:
        self._place = place
        self._connection = connection

    def fileno(self) -> int:
        return socket_of(self._connection)

    def drain(self) -> bool:
        """Take in what is there; true if a lease was released. Raises StoreUnreachable."""
        heard = False
        try:
            while self._connection.can_read(0):
                heard |= self._connection.read_response()[0] == b"message"
        except FAILURES as error:
            self.close()
            raise translated(error, self._place) from None
        except AttributeError:  # closed before
            raise StoreUnreachable(f"{self._place.label}: the subscription has ended") from None
        return heard

    def close(self) -> None:
        self._connection.disconnect()


def subscribed(place: Place, channel: bytes, timeout: float) -> Subscription | None:
    """A subscription; None if this user may not have one. Raises StoreError.

    What is released before this returns may not be told: try to acquire once more after it.
    """
    connection: Any = None
    try:
        connection = connected(place, timeout)
        connection.send_packed_command([pack("SUBSCRIBE", channel)], check_health=False)
        connection.read_response()
    except NoPermissionError:
        connection.disconnect()
        return None
    except FAILURES as error:
        if connection is not None:
            connection.disconnect()
        raise translated(error, place) from None
    return Subscription(place, connection)
