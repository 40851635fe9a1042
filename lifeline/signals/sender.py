"""The sender's side: a call to each holder, and the answers."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..clock import boottime
from ..errors import StoreError, StoreUnreachable
from .letters import HEARD, TAKEN, Answer, Call
from .port import Mail, Posted

Holder = tuple[int, str]  # slot and owner, which is empty if the store does not tell

# Seconds: without --wait, with it, between copies; where mail is looked for now and then, and else.
SHORT, SHORT_POLLED = 1.0, 7.0
LONG, LONG_POLLED = 10.0, 20.0
_AGAIN, _AGAIN_POLLED = 0.5, 5.0
_LOOK = 0.25


class Sender:
    """One who speaks to holders, one call after the other. Used by one thread at a time."""

    def __init__(self, open_mail: Callable[[], Mail]) -> None:
        self._open = open_mail
        self._id = os.urandom(8).hex()
        self._reply = os.urandom(16).hex()
        self._number = 0
        self._mail: Mail | None = None
        self._polls = False

    def send(
        self,
        name: str,
        payload: bytes,
        holders: Callable[[], Sequence[Holder]],
        wait: float | None,
        acknowledge: bool,
    ) -> int:
        """How many answered within `wait` seconds. `holders` asks the store who is to be called.

        With `acknowledge` all of them are called again until each has taken it. Raises StoreError.
        """
        self._number += 1
        if not acknowledge:
            present = holders()
            return self._ask_once(name, payload, present, wait) if present else 0
        return self._insist(name, payload, holders, wait)

    def close(self) -> None:
        if self._mail is not None:
            with suppress(StoreError):
                self._mail.close()
        self._mail = None

    def forget(self) -> None:
        if self._mail is not None:
            self._mail.forget()
        self._mail = None

    def _ask_once(
        self, name: str, payload: bytes, present: Sequence[Holder], wait: float | None
    ) -> int:
        was_open = self._mail is not None
        self._connected()
        if wait is None:
            wait = SHORT_POLLED if self._polls else SHORT
        until = boottime() + wait
        heard: set[int] = set()
        while True:
            try:
                self._post(name, payload, present, HEARD if wait else "")
                self._gather(heard, {slot for slot, _ in present}, until)
                return len(heard)
            except StoreUnreachable:
                # The connection may have broken since the last call. To call again does no harm:
                # it is the same call.
                self.close()
                if not was_open:
                    raise
                was_open = False

    def _insist(
        self,
        name: str,
        payload: bytes,
        holders: Callable[[], Sequence[Holder]],
        wait: float | None,
    ) -> int:
        begun = boottime()
        heard: set[int] = set()
        while True:
            failed: StoreUnreachable | None = None
            pause = boottime() + (_AGAIN_POLLED if self._polls else _AGAIN)
            deadline = begun + ((LONG_POLLED if self._polls else LONG) if wait is None else wait)
            try:
                present = holders()
                due = [holder for holder in present if holder[0] not in heard]
                if due:
                    self._post(name, payload, due, TAKEN)
                    self._gather(heard, {slot for slot, _ in due}, min(pause, deadline))
                if present and heard.issuperset(slot for slot, _ in present):
                    return len(heard)
            except StoreUnreachable as error:
                self.close()
                failed = error
            if boottime() >= deadline:
                if failed and not heard:
                    raise failed
                return len(heard)
            left = min(pause, deadline) - boottime()
            select.poll().poll(max(left, 0) * 1000)

    def _connected(self) -> Mail:
        if self._mail is None:
            mail = self._open()
            try:
                mail.listen(self._reply)
            except BaseException:
                mail.close()
                raise
            self._mail, self._polls = mail, mail.polls
        return self._mail

    def _post(self, name: str, payload: bytes, due: Sequence[Holder], when: str) -> None:
        mail = self._connected()
        reply = self._reply if when else ""
        letters: list[Posted] = [
            (
                mail.box(name, slot),
                Call(self._id, self._number, owner, reply, when or HEARD, payload).encode(),
            )
            for slot, owner in due
        ]
        mail.post(letters)

    def _gather(self, heard: set[int], slots: set[int], until: float) -> None:
        """Add the slots that answer, until all have or the time has come."""
        mail = self._connected()
        missing = slots - heard
        while missing:
            for _, letter in mail.collect():
                answer = Answer.parse(letter)
                if answer and (answer.sender, answer.number) == (self._id, self._number):
                    heard |= {answer.slot} & slots
            missing = slots - heard
            left = until - boottime()
            if left <= 0 or not missing:
                return
            poll = select.poll()
            for fd in mail.descriptors():
                poll.register(fd, select.POLLIN)
            poll.poll((min(left, _LOOK) if mail.polls else left) * 1000)
