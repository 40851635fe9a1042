"""The lease of `lifeline run --lock`: what is asked for, and of whom."""

import os

from . import clock
from .errors import show_words, warn_of_password
from .lease_names import lease_name
from .leases.terms import Terms
from .processes import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import RunOptions
    from .processes.identity import Identity
    from .supervision.leased import Leased

_PLAIN = ("file", "postgresql", "postgres", "redis", "rediss", "redlock", "dynamodb")


def check(options: "RunOptions") -> None:
    """Return if the options can be kept. Raises UsageError otherwise."""
    assert options.lock is not None
    terms_of(options)
    if options.lock.partition(":")[0] not in _PLAIN:
        from .leases.urls import resolve, scheme_of

        scheme_of(resolve(options.lock))


def terms_of(options: "RunOptions") -> Terms:
    """The terms that the options ask for. Raises UsageError if they cannot be kept."""
    return Terms(options.ttl, grace=options.grace)


def obtain(options: "RunOptions", command: "Identity") -> "Leased | str":
    """The lease, or who has it if nobody waits for it.

    Raises LifelineError if the store is out of reach or says no: then nothing is started.
    """
    assert options.lock is not None
    url = options.lock
    name = lease_name(command)
    warn_of_password(url)
    if url.startswith("file:"):
        from .supervision.filed import Filed

        terms, shown = terms_of(options), show_words(options.command, 200)
        return Filed.obtain(url, name, options.slots, terms, options.wait, shown)
    from .supervision.kept import Kept

    kept = Kept(terms_of(options), _order(options, command, url, name))
    taken = kept.obtain()
    return kept if taken is None else taken


def _order(options: "RunOptions", command: "Identity", url: str, name: str) -> "dict[str, str]":
    return {
        "url": url,
        "name": name,
        "slots": str(options.slots),
        "ttl": repr(options.ttl),
        "grace": repr(options.grace),
        "wait": repr(options.wait),
        "host": os.uname().nodename,
        "pid": str(os.getpid()),
        "since": f"{clock.wall():.3f}",
        "command": show_words(options.command, 200),
        "memory": os.fsdecode(records.key(command)),
        "signals": "any" if options.on_signal else ",".join(options.forward_signals),
    }
