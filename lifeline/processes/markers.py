"""Passive markers: how a process that looks like the command says that it does not contend.

A process that waits for its turn, that has stood down and lives on, or that has finished, still
shows the command's argument list. It lowers its flag by a marker. Before it contends again it
takes the marker away, and only then looks: flag first, then look, as at its start.
"""

import os

from .identity import Identity
from .records import key
from .state import PASSIVE
from .table import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .state import State
    from .table import Table


def is_passive(state: "State", table: "Table", identity: "Identity", process: Process) -> bool:
    """True if `process` has said that it does not contend for `identity`."""
    return os.path.lexists(state.path(PASSIVE, _name(table, identity, process)))


def lower(state: "State", table: "Table", identity: "Identity", process: Process) -> None:
    """Say that `process` does not contend: others stop counting it."""
    state.write(PASSIVE, _name(table, identity, process), b"")
    sweep(state, table)  # one that ends in its time leaves its marker


def raise_again(state: "State", table: "Table", identity: "Identity", process: Process) -> None:
    """Take the marker away: others count `process` from now on. It must look after this."""
    state.remove(PASSIVE, _name(table, identity, process))


def sweep(state: "State", table: "Table") -> None:
    """Remove the markers of processes of this pid namespace that are gone."""
    boot, namespace = table.boot()[:8], table.namespace()
    for name in state.names(PASSIVE):
        parts = name.rsplit(b".", 4)
        if len(parts) != 5 or parts[2] != namespace:
            continue  # another namespace's processes are not ours to judge
        if not (parts[3].isdigit() and parts[4].isdigit()):
            continue  # none of ours
        process = Process(int(parts[3]), int(parts[4]))
        if parts[1] != boot or not table.is_alive(process):
            state.remove(PASSIVE, name)


def _name(table: "Table", identity: "Identity", process: Process) -> bytes:
    # Without the interpreter's environment: two spellings, of which one shows it, are one command.
    place = (
        key(Identity(identity.words)),
        table.boot()[:8],
        table.namespace(),
        process.pid,
        process.start,
    )
    return b"%s.%s.%s.%d.%d" % place
