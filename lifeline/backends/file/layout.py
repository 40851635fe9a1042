"""Where the files of a file store are: a directory for each name, in it a file for each slot."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

from ...leases.keys import key
from . import place as places

_SLOT_FILE = re.compile(r"([0-9]+)\.lock\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_READABLE = 40  # characters of the name that its directory shows


class Layout:
    """The directories and files of one store and namespace."""

    def __init__(self, directories: tuple[str, ...], namespace: str) -> None:
        self.directory = directories[-1]
        self.shown = places.shown(self.directory)
        self._directories = directories
        self._namespace = namespace
        self._is_local = False

    def prepare(self, *homes: str) -> bool:
        """Make what is missing; true if anything was. Raises StoreRefused for a bad place."""
        made = places.prepare((*self._directories, *homes))
        if not self._is_local:
            places.refuse_remote(self.directory)
            self._is_local = True
        return made

    def home(self, name: str) -> str:
        """The directory of a name: something to read, and what tells every name from another."""
        digest = key(self._namespace, name, "file") & 0xFFFFFFFFFFFFFFFF
        readable = _UNSAFE.sub("_", name[:_READABLE])
        return os.path.join(self.directory, f"{digest:016x}-{readable}")

    def path(self, name: str, slot: int) -> str:
        return os.path.join(self.home(name), f"{slot}.lock")

    def slots_of(self, name: str) -> list[int]:
        """The slots of a name that were ever held."""
        found = map(_SLOT_FILE.match, os.listdir(self.home(name)))
        return [int(match.group(1)) for match in found if match]

    def files(self, name: str | None) -> Iterator[str]:
        """The slot files of a name, or of all."""
        for home in self._homes() if name is None else [self.home(name)]:
            with suppress(FileNotFoundError):
                for each in os.listdir(home):
                    if _SLOT_FILE.match(each):
                        yield os.path.join(home, each)

    def _homes(self) -> list[str]:
        try:
            return [entry.path for entry in os.scandir(self.directory) if entry.is_dir()]
        except FileNotFoundError:
            return []
