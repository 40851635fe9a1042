"""All that one process has to do with the signals of one store."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

from .listener import Listener
from .port import Mail
from .sender import Sender

_posts: WeakSet[Post] = WeakSet()


class Post:
    """The listener for what is held, and senders that can be used again."""

    def __init__(self, open_mail: Callable[[], Mail]) -> None:
        self._open = open_mail
        self.listener = Listener(open_mail)
        self._idle: list[Sender] = []
        _posts.add(self)

    @contextmanager
    def sender(self) -> Iterator[Sender]:
        """A sender for one call; threads that speak at once have one each."""
        try:
            sender = self._idle.pop()
        except IndexError:
            sender = Sender(self._open)
        try:
            yield sender
        except BaseException:
            sender.close()
            raise
        if self._idle:
            sender.close()
        else:
            self._idle.append(sender)

    def close(self) -> None:
        """Let go of the senders."""
        while self._idle:
            self._idle.pop().close()

    def forget(self) -> None:
        """In a forked child."""
        self.listener.forget()
        for sender in self._idle:
            sender.forget()
        self._idle.clear()


@atexit.register
def _close_all() -> None:
    for post in list(_posts):
        post.close()
