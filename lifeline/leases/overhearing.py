"""overhear(): what is said to whoever holds a name, for one who holds nothing."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType

from ..clock import boottime
from ..errors import StoreError
from ..signals.box import Box, Delivery
from ..signals.payload import Payload
from .named import check_lease_name, check_slots
from .shared import store_at

_LOOK = 5.0  # seconds between looks at how many slots there are
_MOST = 65536  # payloads that wait to be taken

Overheard = tuple[int, Payload]  # the slot whose holder it is for, and what it is


class Overhearing(Iterator[Overheard]):
    """Listens from now on, without end, and without a slot; `signal` does not count it.

    A payload comes once for each holder that it is sent to. What is sent while nobody holds comes
    to nobody. Each of `slots` is listened to, and more once somebody holds who says that there are.

    Raises UsageError, StoreRefused where signals are in a mailbox that only a holder reads, and
    StoreError if the store gives no answer at the beginning; later that is logged.
    """

    def __init__(self, name: str, store: str | None = None, slots: int = 1) -> None:
        self.name = check_lease_name(name)
        self._slots = check_slots(slots)
        self._store = store_at(store)
        self._boxes: list[Box] = []
        self._came: queue.Queue[Overheard] = queue.Queue(_MOST)
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Listen no more."""
        for box in self._boxes:
            self._store.post.listener.remove(box)
        self._boxes.clear()

    def __next__(self) -> Overheard:
        while True:
            with suppress(queue.Empty):
                return self._came.get(timeout=max(self._looks - boottime(), 0.0))
            with suppress(StoreError):  # the listener tells of that, and goes on
                self._look()

    def _look(self) -> None:
        """Listen to the slots that there are by now."""
        self._looks = boottime() + _LOOK
        held = [seen.slots for seen in self._store.holders(self.name)]
        for slot in range(len(self._boxes), max(self._slots, *held, 0)):
            box = Box(self.name, slot, None, lambda: True, self._give_to(slot))
            self._boxes.append(box)
            self._store.post.listener.add(box)

    def _give_to(self, slot: int) -> Callable[[Delivery], bool]:
        def give(delivery: Delivery) -> bool:
            with suppress(queue.Full):
                self._came.put_nowait((slot, delivery.payload))
                return True
            return False

        return give

    def __enter__(self) -> Overhearing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
