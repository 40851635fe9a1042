"""`--per-host N`: how many of a lease's slots this one machine may fill.

With N = 1, the default, the process table decides, as ever. With more, twins are wanted beside each
other, and the table cannot tell how many; each takes a seat, a locked file that the kernel frees
with the process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from .backends.file import FileStore, open_backend
from .lease_names import lease_name
from .leases.named import about_me, new_owner
from .leases.port import Granted, Request
from .processes import records
from .processes.look import left_behind

if TYPE_CHECKING:
    from .options import RunOptions
    from .processes.identity import Identity
    from .processes.state import State
    from .processes.table import Process, Table


def take_seat(state: State, command: Identity, options: RunOptions) -> FileStore | None:
    """A seat, which is given back by closing it; None if all of this host are taken."""
    state.prepare()
    store = open_backend("file:" + quote(os.fsdecode(os.path.join(state.directory, b"seats"))))
    seats = range(options.per_host)
    asked = Request(
        lease_name(command), len(seats), tuple(seats), new_owner(), options.ttl, about_me()
    )
    if isinstance(store.try_acquire(asked), Granted):
        return store
    store.close()
    return None


def dead_runs(table: Table, state: State, command: Identity) -> list[Process]:
    """What dead runs of this command left on this host."""
    found: dict[Process, str] = {}
    for record in records.seats_of(state, command) if state.check() else ():
        if record.is_of(table) and not record.names_living(table):
            found.update(left_behind(table, record))
    return list(found)
