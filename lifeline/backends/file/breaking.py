"""Taking a slot from a holder that keeps it: another file in the place of the one it has locked."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from filelock import FileLock, Timeout

from . import slot as slots
from .layout import Layout


def break_slot(layout: Layout, path: str) -> int | None:
    """Put a free file with a fence beyond the holder's at `path`: that fence.

    None if somebody else breaks a lease in this moment: of two, the second would put back what
    the first has replaced.
    """
    try:
        with FileLock(os.path.join(layout.directory, ".break"), timeout=0, mode=0o600):
            return _replace(path)
    except Timeout:
        return None


def _replace(path: str) -> int:
    fresh = path.removesuffix(".lock") + ".new"
    with suppress(FileNotFoundError):
        os.unlink(fresh)  # of a breaker who was killed
    old = slots.open_slot(path, os.O_RDONLY)
    try:
        new = slots.open_slot(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            slots.lock(new)  # nobody gets in before this is done
            return _put_in_place(old, new, fresh, path)
        finally:
            os.close(new)
    finally:
        os.close(old)


def _put_in_place(old: int, new: int, fresh: str, path: str) -> int:
    broken = replace(slots.read(old, path), owner="")
    fence = broken.fence + 1
    slots.write(new, replace(broken, fence=fence))
    os.rename(fresh, path)
    slots.settle(os.path.dirname(path))
    # One who took the old file in this moment either sees that it is gone, or has written its
    # fence by now.
    again = slots.read(old, path).fence
    if again >= fence:
        fence = again + 1
        slots.write(new, replace(broken, fence=fence))
    return fence
