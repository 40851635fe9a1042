"""The stores that this process uses: one connection for each URL, one thread at a time in it.

Whatever a driver raises comes out as a StoreError: nothing is known then, and no fault in a driver
is worth a keeper, on which every other lease depends.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from traceback import extract_tb
from typing import TYPE_CHECKING

from ..errors import LifelineError, StoreError
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
        self._free_locks()
        self.post = Post(self.mail)
        self.keeper = Keeper(self)
        #: What all who ask in this process have seen: one who asks once sees nothing stand still.
        self.observations = Observations()

    def _free_locks(self) -> None:
        self._mutex = threading.Lock()
        # What a holder needs goes first: of all others only one at a time waits for the store.
        self._others = threading.Lock()

    @property
    def patience(self) -> float:
        """How long a verb may take, in seconds."""
        return self._backend.patience

    def hurry(self, patience: float) -> None:
        """Let a verb take so many seconds at most, or fewer if that was asked for before."""
        with self._others, self._mutex, _sound():
            if patience < self._backend.patience:
                self._backend.patience = patience

    def try_acquire(self, request: Request) -> Granted | Taken:
        with self._others, self._mutex, _sound():
            return self._backend.try_acquire(request)

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        with self._mutex, _sound():
            answers = self._backend.renew(claims)
            if len(answers) != len(claims):
                raise ValueError("a store has to answer for each claim")
            return answers

    def release(self, claim: Claim) -> bool:
        with self._mutex, _sound():  # a store of somebody else's may not tell, and says None
            return self._backend.release(claim) is not False

    def holders(self, name: str | None = None) -> list[Seen]:
        with self._others, self._mutex, _sound():
            return self._backend.holders(name)

    def watch(self, name: str) -> Wake | None:
        with self._others, self._mutex, _sound():
            return self._backend.watch(name)

    def mail(self) -> Mail:
        """A connection for signals. Raises StoreError: StoreRefused if the store has none."""
        with _sound():
            return mail_of(self._backend)

    def close(self) -> None:
        """Let go of the connection."""
        with self._mutex, _sound():
            self._backend.close()

    def forget(self) -> None:
        """In a forked child: whoever was in the store at the fork is not in this process."""
        self.post.forget()
        self.keeper.abandon_all()
        self._free_locks()
        self._backend.forget()


@contextmanager
def _sound() -> Iterator[None]:
    """Around a verb: a fault in its driver is a StoreError, too."""
    try:
        yield
    except LifelineError:
        raise
    except Exception as error:
        raise StoreError(f"the store's driver failed: {fault(error)}") from error


def fault(error: BaseException) -> str:
    """What it was, and where. Not in its own words, which may hold the URL."""
    where = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(where.filename)}:{where.lineno}"


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
