"""A command that prints how much work there is: a number or a JSON object.

probe = { kind = "command", run = ["/srv/app/count-jobs"], timeout = "5s" }
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..answers import sample_in
from ..commands import run
from ..errors import ProbeError
from ..options import Options
from ..sample import Sample


def make(options: Mapping[str, object]) -> Callable[[], Sample]:
    """A probe that runs `run`; a failing, silent or late command is an error, never zero."""
    given = Options(options, "command")
    words = given.words("run")
    timeout = given.seconds("timeout", 5.0)
    given.done()

    def probe() -> Sample:
        return sample_in(run(words, timeout, ProbeError), "the command")

    return probe
