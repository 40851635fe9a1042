"""Signals for the runner's job: heard in a thread of their own, handed on one at a time.

The pipe to the runner is never filled with them: a runner that hangs would hang this process, too.
"""

from __future__ import annotations

import os
from binascii import b2a_base64
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from ..leases import protocol
from ..leases.port import Claim
from ..leases.shared import SharedStore
from ..signals.box import Box, Delivery
from ..signals.listener import Listener
from ..supervision.loop import Loop

ANY = "any"  # payload is wanted: there is a hook for it
_MOST = 65536  # payloads that wait for the runner
_PATIENCE = 2.0  # seconds for the first connection, before the job is started without


class Calls:
    """What comes for the holder of `claim`. `wanted` is ANY, or the payloads that are, by commas.

    Raises StoreRefused if the store carries no signals.
    """

    def __init__(
        self,
        store: SharedStore,
        claim: Claim,
        wanted: str,
        is_alive: Callable[[], bool],
        every: float,
        loop: Loop,
        say: Callable[..., None],
    ) -> None:
        self._wanted = None if wanted == ANY else frozenset(wanted.encode().split(b","))
        self._say = say
        self._waiting: deque[Delivery] = deque()
        self._told: deque[str] = deque()
        self._passed: Delivery | None = None  # the runner has it, and has not begun with it
        self._heard, self._bell = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(self._bell, False)
        loop.watch(self._heard, self._wake)
        box = Box(claim.name, claim.slot, claim.owner, is_alive, self._give, every)
        Listener(store.mail, self._tell).add(box, min(_PATIENCE, every))

    def took(self) -> None:
        """The runner has begun with what it was given last."""
        if self._passed is not None:
            self._passed.took()
        self._passed = None
        self._pass_on()

    # --- in the listener's thread -------------------------------------------------------------

    def _give(self, delivery: Delivery) -> bool:
        if self._wanted is not None and delivery.payload.strip() not in self._wanted:
            return False
        if len(self._waiting) >= _MOST:
            return False
        self._waiting.append(delivery)
        self._ring()
        return True

    def _tell(self, message: str) -> None:
        self._told.append(message)
        self._ring()

    def _ring(self) -> None:
        with suppress(BlockingIOError):
            os.write(self._bell, b"!")

    # --- in the loop's ------------------------------------------------------------------------

    def _wake(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._heard, 4096)
        while self._told:
            self._say(protocol.STANDBY, self._told.popleft())
        self._pass_on()

    def _pass_on(self) -> None:
        if self._passed is None and self._waiting:
            self._passed = self._waiting.popleft()
            data = b2a_base64(self._passed.payload, newline=False).decode()
            self._say(protocol.SIGNAL, data)
