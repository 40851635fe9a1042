"""What a lease is called in a store. The same on every machine, endianness and version.

Changing anything here lets two versions of lifeline hold the same lease: it is a format.
"""

import hashlib
from functools import lru_cache

_FORMAT = b"lifeline/1"


@lru_cache(maxsize=4096)
def key(namespace: str, name: str, part: "int | str") -> int:
    """64 signed bits for one slot of a name (or another `part` of it), as advisory locks take.

    SHA-256, so two of six million names meet with a chance of one in a million.
    """
    words = (_FORMAT, *(str(word).encode() for word in (namespace, name, part)))
    return int.from_bytes(hashlib.sha256(b"\0".join(words)).digest()[:8], "big", signed=True)


def slot_order(owner: str, slots: int) -> "tuple[int, ...]":
    """The slots in the order in which `owner` tries them: from one of its own, round once.

    Starters that meet begin at different slots and seldom ask for the same one.
    """
    if slots == 1:
        return (0,)
    first = int(owner[:8], 16) % slots
    return tuple((first + step) % slots for step in range(slots))
