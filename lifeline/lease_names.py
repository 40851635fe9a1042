"""What the lease of a command is called: the same on every host that runs it."""

import os

from .errors import show, typed
from .processes import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .processes.identity import Identity

_LONGEST = 300  # characters


def lease_name(command: "Identity") -> str:
    """What the lease of a command is called on every host: its name, or else its words."""
    if command.name is not None:
        return show(command.name, _LONGEST)
    # With all that tells two commands apart, passwords too.
    words = show(typed(command.words[1:]), 2 * _LONGEST)
    if len(words) <= _LONGEST:
        return words
    # The whole is in the digest; the beginning is for people.
    return f"{words[:200]}… {os.fsdecode(records.key(command))[-32:]}"
