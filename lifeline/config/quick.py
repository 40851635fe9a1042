"""The tick of a lifeline from a file, as far as it can go without reading that file as TOML.

The parser and what it imports cost more than a bare interpreter. Nearly every tick finds its twin's
record; it needs the file only to know that nothing in there changes what follows from that.
"""

from __future__ import annotations

import os

from .. import events
from ..errors import UsageError
from ..options import check_name
from ..processes import records
from ..processes.identity import named
from ..processes.state import State
from ..processes.table import open_table
from . import place

# What decides how a tick ends if a twin runs, by whatever spelling. A file that holds one of these,
# be it in a comment, is read properly.
_DECISIVE = (b"name", b"on_running", b"on-running", b"exit", b"syslog", b"\\")
_VARIABLES = ("LIFELINE_ON_RUNNING", "LIFELINE_EXIT_CODE_IF_RUNNING", "LIFELINE_SYSLOG")


def stands_down(words: list[str]) -> bool:
    """True if a twin runs, and this tick has nothing more to do than to leave with exit code 0.

    `words` is what follows `run`. False says nothing.
    """
    left = place.take_option(words)
    if len(left) != 1 or left != words[:1] or left[0].startswith("-"):
        return False
    try:
        name = os.fsencode(check_name(left[0]))
    except UsageError:
        return False  # told of where a file could have had it
    path = place.find()
    if path is None or any(os.environ.get(each) for each in _VARIABLES) or _decides(path, name):
        return False
    identity, state = named(name), State()
    twin = records.living_twin(state, open_table(), identity)
    if twin:
        events.append(state, events.STAND_DOWN, identity, pid=twin.process.pid)
    return twin is not None


def _decides(path: str, name: bytes) -> bool:
    """True unless a file can be seen to have the name, and no word of what would matter."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            content = os.read(fd, 1 << 20)
        finally:
            os.close(fd)
    except OSError:
        return True
    return name not in content or any(each in content for each in _DECISIVE)
