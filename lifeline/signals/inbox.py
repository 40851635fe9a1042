"""What a holder's code reads from: payloads in order, until the lease is lost or released."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from weakref import WeakSet

from .box import Box, Delivery
from .listener import Listener
from .payload import Payload

_log = logging.getLogger("lifeline")
_MOST = 65536  # payloads that wait to be taken


class Inbox(Iterator[Payload]):
    """Payloads from now on. `next` waits for one; it is at its end once the lease is.

    One that is not read any more is forgotten with its last reference.
    """

    def __init__(self, is_alive: Callable[[], bool]) -> None:
        self._is_alive = is_alive
        self._waiting: deque[Delivery] = deque()
        self._changed = threading.Condition()
        self._ended = False

    def put(self, delivery: Delivery) -> bool:
        """False if too much waits already."""
        with self._changed:
            if self._ended or len(self._waiting) >= _MOST:
                return False
            self._waiting.append(delivery)
            self._changed.notify()
        return True

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __next__(self) -> Payload:
        if not self._is_alive():  # in a forked child nobody would ever wake this
            raise StopIteration
        with self._changed:
            while not self._waiting and not self._ended:
                self._changed.wait()
            if self._ended or not self._is_alive():
                raise StopIteration
            delivery = self._waiting.popleft()
        delivery.took()
        return delivery.payload


class Reception:
    """All inboxes of one lease. It begins to listen with the first."""

    def __init__(
        self, listener: Listener, box: Callable[[Callable[[Delivery], bool]], Box]
    ) -> None:
        self._listener = listener
        self._box = box(self._give)
        self._inboxes: WeakSet[Inbox] = WeakSet()
        self._mutex = threading.Lock()
        self._listens = False
        self._ended = False

    def inbox(self, is_alive: Callable[[], bool]) -> Inbox:
        """One more, which gets each payload, too. Raises StoreRefused if the store cannot."""
        inbox = Inbox(is_alive)
        with self._mutex:
            if self._ended:
                inbox.end()
                return inbox
            self._inboxes.add(inbox)
            begins, self._listens = not self._listens, True
        if begins:
            try:
                self._listener.add(self._box)
            except BaseException:
                with self._mutex:
                    self._listens = False
                raise
        return inbox

    def end(self) -> None:
        """The lease is lost or released."""
        with self._mutex:
            self._ended = True
            inboxes = list(self._inboxes)
        for inbox in inboxes:
            inbox.end()
        self._listener.remove(self._box)

    def _give(self, delivery: Delivery) -> bool:
        with self._mutex:
            inboxes = list(self._inboxes)
        taken = [inbox.put(delivery) for inbox in inboxes]
        return any(taken)


def call_back(inbox: Inbox, callback: Callable[[Payload], object]) -> None:
    """Call back, in a thread of its own, with each payload. One that raises is logged."""

    def run() -> None:
        for payload in inbox:
            try:
                callback(payload)
            except Exception:
                _log.exception("a callback for signals failed")

    threading.Thread(target=run, name="lifeline signals", daemon=True).start()
