"""`python -m lifeline.keeping`: started by a runner, with its order on standard input."""

from __future__ import annotations

import os
import sys

from ..errors import EXIT_CANNOT_TELL, LifelineError
from ..leases import protocol
from ..leases.shared import SharedStore, fault
from ..leases.stores import open_store
from ..supervision.loop import Loop
from .keeper import Keeper
from .order import Order

_FROM_RUNNER, _TO_RUNNER = 0, 1


def main() -> None:
    """Serve the order; ends the process."""
    lines = protocol.Lines(_FROM_RUNNER)
    facts: dict[str, str] = {}
    while not lines.ended:
        for line in lines.read():
            if not line:
                _serve(facts, lines)
            key, _, value = line.partition(" ")
            facts[key] = value


def say(*words: str | int | float) -> None:
    """One line to the runner; if it is gone, that is seen elsewhere."""
    try:
        os.write(_TO_RUNNER, protocol.encode(*words))
    except OSError:
        pass


def _serve(facts: dict[str, str], lines: protocol.Lines) -> None:
    try:
        # What is sent to the runner's terminal or process group is the runner's to deal with.
        loop = Loop((), lambda _: None)
        store = SharedStore(open_store(facts["url"]))
        Keeper(Order.parse(facts), store, loop, lines, say).run()
    except LifelineError as error:
        say(protocol.FAILED, error.exit_code, str(error))
    except Exception as error:
        say(protocol.FAILED, EXIT_CANNOT_TELL, f"the keeper of the lease failed: {fault(error)}")
    sys.exit(0)


if __name__ == "__main__":
    main()
