"""Commands that tell and set how many workers run.

    target = { kind = "command", get = ["/srv/app/workers"], set = ["/srv/app/workers", "set"] }

`get` prints a whole number; `set` gets the number as its last word and in LIFELINE_WORKERS. It has
to be absolute: the same call twice does nothing the second time.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..bounded import TIMEOUT, Bounded
from ..commands import run
from ..errors import TargetError
from ..options import Options

SETS = {"get": None, "set": None}


class CommandTarget(Bounded):
    """As many workers as `get` prints; `set` is run with the number that there should be."""

    def __init__(self, get: list[str], set_: list[str], timeout: float = TIMEOUT) -> None:
        super().__init__(timeout)
        self._get = get
        self._set = set_

    def read(self) -> int:
        """The number that `get` prints. Raises TargetError if it prints none, fails or hangs."""
        printed = run(self._get, self.timeout, TargetError).strip()
        if not (printed.isascii() and printed.isdigit() and len(printed) < 10):
            raise TargetError("get printed no whole number")
        return int(printed)

    def write(self, n: int) -> None:
        """Run `set` with the number. Raises TargetError if it fails or hangs."""
        run([*self._set, str(n)], self.timeout, TargetError, {"LIFELINE_WORKERS": str(n)})


def make(options: Mapping[str, object]) -> CommandTarget:
    """The target of two commands."""
    given = Options(options, "command")
    get, set_ = given.words("get"), given.words("set")
    timeout = given.seconds("timeout", TIMEOUT)
    given.done()
    return CommandTarget(get, set_, timeout)
