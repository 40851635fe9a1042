"""The stores that this process uses: one connection for each URL, one thread at a time in it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..signals.port import Mail
from ..signals.post import Post
from .candidate import Observations
from .keeper import Keeper
from .stores import mail_of, open_store
from .urls import resolve

if TYPE_CHECKING:
    from .port import Backend, Claim, Granted, Request, Seen, Taken, Wake


class SharedStore:
    """A store for all threads of this process. After a fork the child has a connection anew."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._mutex = threading.Lock()
        self.post = Post(self._mail)
        self.keeper = Keeper(self)
        #: What all who ask in this process have seen: one who asks once sees nothing stand still.
        self.observations = Observations()

    def hurry(self, patience: float) -> None:
        """Let a verb take so many seconds at most, or fewer if that was asked for before."""
        with self._mutex:
            if patience < self._backend.patience:
                self._backend.patience = patience

    def try_acquire(self, request: Request) -> Granted | Taken:
        with self._mutex:
            return self._backend.try_acquire(request)

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        with self._mutex:
            return self._backend.renew(claims)

    def release(self, claim: Claim) -> bool:
        with self._mutex:  # a store of somebody else's may not tell, and says None
            return self._backend.release(claim) is not False

    def holders(self, name: str | None = None) -> list[Seen]:
        with self._mutex:
            return self._backend.holders(name)

    def watch(self, name: str) -> Wake | None:
        with self._mutex:
            return self._backend.watch(name)

    def _mail(self) -> Mail:
        return mail_of(self._backend)

    def forget(self) -> None:
        """In a forked child: whoever was in the store at the fork is not in this process."""
        self.post.forget()
        self.keeper.abandon_all()
        self._mutex = threading.Lock()
        self._backend.forget()


_stores: dict[str, SharedStore] = {}
_guard = threading.Lock()


def store_at(url: str | None) -> SharedStore:
    """The store at `url`, or at LIFELINE_LOCK if that is None, or in the default directory."""
    url = resolve(url or os.environ.get("LIFELINE_LOCK") or "file:")
    with _guard:
        if url not in _stores:
            _stores[url] = SharedStore(open_store(url))
        return _stores[url]


def forget_all() -> None:
    """In a forked child: have connections of its own."""
    global _guard
    _guard = threading.Lock()
    for store in _stores.values():
        store.forget()


os.register_at_fork(after_in_child=forget_all)
