"""What a runner needs of the lease that it is under, whoever holds it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from .calls import Calls
    from .loop import Loop

    class Leased(Protocol):
        """A granted lease. `environment` and `descriptors` are for the job."""

        @property
        def slot(self) -> int: ...
        @property
        def environment(self) -> "dict[bytes, bytes]": ...
        @property
        def descriptors(self) -> "tuple[int, ...]": ...
        @property
        def is_lost(self) -> bool:
            """True once the work has to end."""

        def watch(self, loop: "Loop", lost: "Callable[[float], None]") -> None:
            """Have `lost(seconds until KILL)` called, again at KILL, once the work has to end."""

        def admit(self, job: int, run: str) -> None:
            """Name a job that waits to be told to go. Raises LeaseLost if it may not."""

        def hear(self, calls: "Calls") -> None:
            """Give `calls` what is sent to the lease; after `watch`."""

        def release(self, *, gone: bool) -> None:
            """It is over; `gone` if nothing of the job is left. Else it keeps the lease."""


def environment(name: str, *facts: "str | int") -> "dict[bytes, bytes]":
    """What the job sees of the lease: its name, slot, slots, fence and owner, in this order."""
    added = {b"LIFELINE_NAME": name.encode("utf-8", "surrogateescape")}
    for key, fact in zip((b"SLOT", b"SLOTS", b"FENCE", b"OWNER"), facts, strict=True):
        added[b"LIFELINE_" + key] = str(fact).encode()
    return added
