"""What a fork must not come upon half done."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_mutex = threading.RLock()


@contextmanager
def no_fork() -> Iterator[None]:
    """Inside, no thread of this process forks: one that wants to waits until it is over."""
    with _mutex:
        yield


os.register_at_fork(
    before=_mutex.acquire, after_in_parent=_mutex.release, after_in_child=_mutex.release
)
