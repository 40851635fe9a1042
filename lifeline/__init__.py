"""lifeline keeps a command running, exactly once, from a single cron line.

Importing this costs next to nothing: each public name is loaded when it is first used.
"""

__version__ = "0.1.0"
__all__ = [
    "AsyncLock",
    "CannotTell",
    "Claim",
    "Ended",
    "Exclusive",
    "Fence",
    "Holding",
    "LeaseLost",
    "LifelineError",
    "Lock",
    "Outcome",
    "Payload",
    "SlotsMismatch",
    "StaleFence",
    "StateUnusable",
    "StoreError",
    "StoreRefused",
    "StoreUnreachable",
    "Twin",
    "UsageError",
    "alock",
    "define_lifeline_tasks",
    "exclusive",
    "find_twins",
    "lifeline",
    "lock",
    "run_locked",
    "terminate",
]  # and `signal`, which `import *` would put in the place of the standard library's

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .embed import Claim, lifeline
    from .ending import terminate
    from .errors import (
        CannotTell,
        LeaseLost,
        LifelineError,
        SlotsMismatch,
        StateUnusable,
        StoreError,
        StoreRefused,
        StoreUnreachable,
        UsageError,
    )
    from .finding import Twin, find_twins
    from .leases.alock import AsyncLock, alock
    from .leases.exclusive import Exclusive, exclusive
    from .leases.guard import Fence, StaleFence
    from .leases.holding import Holding
    from .leases.lock import Lock, lock
    from .leases.speaking import signal as signal
    from .locked import run_locked
    from .outcome import Outcome
    from .processes.tree import Ended
    from .signals.payload import Payload
    from .tasks import define_lifeline_tasks

_HOMES = {
    "AsyncLock": "leases.alock",
    "CannotTell": "errors",
    "Claim": "embed",
    "Ended": "processes.tree",
    "Exclusive": "leases.exclusive",
    "Fence": "leases.guard",
    "Holding": "leases.holding",
    "LeaseLost": "errors",
    "LifelineError": "errors",
    "Lock": "leases.lock",
    "Outcome": "outcome",
    "Payload": "signals.payload",
    "SlotsMismatch": "errors",
    "StaleFence": "leases.guard",
    "StateUnusable": "errors",
    "StoreError": "errors",
    "StoreRefused": "errors",
    "StoreUnreachable": "errors",
    "Twin": "finding",
    "UsageError": "errors",
    "alock": "leases.alock",
    "define_lifeline_tasks": "tasks",
    "exclusive": "leases.exclusive",
    "find_twins": "finding",
    "lifeline": "embed",
    "lock": "leases.lock",
    "run_locked": "locked",
    "signal": "leases.speaking",
    "terminate": "ending",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{home}", fromlist=[name])
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> "list[str]":
    return sorted({*globals(), *_HOMES})
