"""Leases in files of this host: `file:` below the state directory, or `file:/directory`.

Keeps the processes of one host apart, in containers too if they share the directory. Other hosts
are not kept out; a directory on NFS or SMB is refused, because a lock there can be lost unnoticed.

The lease is a lock on a file (see `file_slot`), so it has no time to run out: it ends when the
last copy of its descriptor is closed. Give that to the job (`fd_of`), and a job that outlives its
supervisor keeps others away. Nothing but `break_lease` takes it from a holder.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from urllib.parse import unquote

from ...errors import SlotsMismatch, StoreError, StoreRefused, StoreUnreachable, UsageError
from ...leases.port import (
    BAD,
    GOOD,
    LOST,
    NOTE,
    RENEWED,
    UNKNOWN,
    Claim,
    Finding,
    Granted,
    Info,
    Mail,
    Request,
    Seen,
    Taken,
    Wake,
)
from ...leases.urls import take_options
from . import slot as slots
from .layout import Layout
from .place import file_system, place, shown, told
from .slot import Record

_OPTIONS = frozenset({"namespace"})


def open_backend(url: str) -> FileStore:
    """The store at `url`; nothing is made before the first acquisition."""
    base, options = take_options(url, _OPTIONS)
    path, mark, _ = base.removeprefix("file:").partition("?")
    if mark:
        raise UsageError("the lock URL: file: has no option but namespace")
    return FileStore(place(unquote(path)), options.get("namespace", ""))


@dataclass(frozen=True, slots=True)
class _Held:
    """A lease that this process holds: its descriptor, and where its file has to be."""

    fd: int
    fence: int
    path: str


class FileStore:
    """Leases as locked files, one directory for each name, one file for each slot."""

    patience = 4.0  # seconds; a local disk answers or fails

    def __init__(self, directories: tuple[str, ...], namespace: str) -> None:
        self.directory = directories[-1]
        self._layout = Layout(directories, namespace)
        self._namespace = namespace
        self._held: dict[tuple[str, int, str], _Held] = {}

    # --- the three verbs ----------------------------------------------------------------------

    def try_acquire(self, request: Request) -> Granted | Taken:
        """Take the first free slot of the request's order."""
        with self._told():
            for slot in request.order:
                if granted := self._again(request, slot):
                    return granted
            self._layout.prepare(self._layout.home(request.name))
            for slot in request.order:
                if granted := self._take(request, slot):
                    return granted
            return self._taken(request)

    def renew(self, claims: Sequence[Claim]) -> list[str]:
        """RENEWED as long as the descriptor is ours and the file of that name still is the same."""
        return [self._renew(claim) for claim in claims]

    def release(self, claim: Claim) -> bool:
        """Free the slot, for every copy of the descriptor."""
        held = self._held.get(_label(claim))
        if held is None or held.fence != claim.fence:
            return False
        del self._held[_label(claim)]
        with self._told():
            try:
                return slots.is_at(held.fd, held.path)
            finally:
                slots.unlock(held.fd)

    def _again(self, request: Request, slot: int) -> Granted | None:
        """What this owner was granted before, if it still has it."""
        held = self._held.get((request.name, slot, request.owner))
        if held is None:
            return None
        if slots.is_at(held.fd, held.path):
            return Granted(slot, held.fence)
        del self._held[request.name, slot, request.owner]  # broken: nobody else's file by now
        os.close(held.fd)
        return None

    def _take(self, request: Request, slot: int) -> Granted | None:
        path = self._layout.path(request.name, slot)
        fd = slots.take(path)
        if fd is None:
            return None
        try:
            fence = self._settle(fd, path, request, slot)
        except BaseException:
            os.close(fd)
            raise
        if not slots.is_at(fd, path):  # broken in this moment: the breaker may not have seen us
            os.close(fd)
            return None
        self._held[request.name, slot, request.owner] = _Held(fd, fence, path)
        return Granted(slot, fence)

    def _settle(self, fd: int, path: str, request: Request, slot: int) -> int:
        """Write down the new holder of a slot that is locked: its fence."""
        before = slots.read(fd, path)
        _check_name(before, request.name, path)
        fence = before.fence + 1
        info: Info = dict(request.info)
        slots.write(
            fd,
            Record(fence, request.name, slot, request.slots, request.owner, request.ttl, info),
        )
        if fence == 1:
            slots.settle(os.path.dirname(path), self.directory)
        # Only now: of two that begin at once with different numbers, the later one sees the other.
        for other in self._layout.slots_of(request.name):
            there = self._layout.path(request.name, other)
            found = slots.read_at(there) if other != slot else Record()
            if found.slots not in (0, request.slots) and slots.is_held(there):
                raise SlotsMismatch(request.name, found.slots, request.slots)
        return fence

    def _taken(self, request: Request) -> Taken:
        paths = [self._layout.path(request.name, slot) for slot in sorted(request.order)]
        found = [record for record in map(slots.read_at, paths) if record.owner]
        for record in found:
            if record.slots != request.slots:
                raise SlotsMismatch(request.name, record.slots, request.slots)
        return Taken(tuple(record.seen() for record in found))

    def _renew(self, claim: Claim) -> str:
        held = self._held.get(_label(claim))
        if held is None or held.fence != claim.fence:
            return LOST
        try:
            return RENEWED if slots.is_at(held.fd, held.path) else LOST
        except OSError:  # the directory cannot be looked at; the lock is not touched by that
            return UNKNOWN

    # --- the rest of the port -----------------------------------------------------------------

    def holders(self, name: str | None = None) -> list[Seen]:
        """Every lease that is held, of `name` or of all names, by name and slot."""
        with self._told():
            found = [
                slots.read_at(path) for path in self._layout.files(name) if slots.is_held(path)
            ]
        return sorted((each.seen() for each in found), key=lambda seen: (seen.name, seen.slot))

    def break_lease(self, name: str, slot: int) -> int | None:
        """Put another file in place of the one that the holder has locked."""
        path = self._layout.path(name, slot)
        with self._told():
            if not slots.is_held(path):
                return None
            from .breaking import break_slot  # filelock is not needed for anything else

            fence = break_slot(self._layout, path)
        if fence is None:
            raise StoreUnreachable(f"{self._layout.shown}: somebody else breaks a lease just now")
        return fence

    def watch(self, name: str) -> Wake | None:
        """Hear of closed slot files; None where the system has no inotify to spare."""
        from .wake import FileWake

        with self._told():
            home = self._layout.home(name)
            self._layout.prepare(home)
            return FileWake.of(home, self._layout.shown)

    def mail(self) -> Mail:
        """A socket of this process in the directory."""
        from .mail import FileMail

        return FileMail(self._layout, self._namespace)

    def fd_of(self, claim: Claim) -> int:
        """The descriptor that is the lease. Whoever inherits it keeps the lease from others.

        Raises KeyError if the claim is not held by this process.
        """
        return self._held[_label(claim)].fd

    def check(self) -> list[Finding]:
        """The directory, its file system, and what this store does not do."""
        try:
            self._layout.prepare()
        except StoreError as error:
            what, _, advice = str(error).partition("; ")
            return [Finding(BAD, what, advice)]
        kind = file_system(self.directory) or "a file system that cannot be told"
        return [
            Finding(GOOD, f"{self._layout.shown} is yours alone, on {kind}"),
            Finding(
                NOTE,
                "keeps the processes of this host apart, nobody else",
                "for several machines name a store that all of them reach",
            ),
        ]

    def setup(self) -> list[str]:
        """Make the directory."""
        return [f"made {self._layout.shown}"] if self._layout.prepare() else []

    def close(self) -> None:
        """Does nothing: there is no connection, and a descriptor that is closed is a lease lost."""

    def forget(self) -> None:
        """Close this process's copies of the descriptors; the parent's keep the leases.

        Also of what another thread of the parent was about to take: it is held until the last copy
        is closed, so it would outlive the parent.
        """
        for fd in {held.fd for held in self._held.values()} | slots.opened(self.directory):
            with suppress(OSError):
                os.close(fd)  # not LOCK_UN: that would unlock the parent's as well
        self._held.clear()

    def _told(self) -> AbstractContextManager[None]:
        return told(self.directory)


def _label(claim: Claim) -> tuple[str, int, str]:
    return claim.name, claim.slot, claim.owner


def _check_name(record: Record, name: str, path: str) -> None:
    if record.name not in ("", name):
        raise StoreRefused(
            f"{shown(path)} belongs to {record.name!a}, which has the same key as "
            f"{name!a}: give one of them another name"
        )
