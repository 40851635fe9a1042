"""What this very program is by its command line, even if it has changed its directory since."""

import os
import sys

from .errors import UsageError
from .processes.identity import identify
from .processes.places import MyPlace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .processes.identity import Identity, Words


def own_command() -> "Identity":
    """What this process is by its own command line."""
    command = identify(argv(), ProgramPlace())
    script = getattr(sys.modules["__main__"], "__file__", None)
    if (
        script in (None, "<stdin>")
        and command.words[0] == b"run"
        and command.words[2:] in ((), (b"-",))
    ):
        raise UsageError("lifeline() needs a program to look for; an interactive session is none")
    return command


def is_worker() -> bool:
    """True in a process that multiprocessing started anew: it shows nothing of the program.

    Its command line (`-c "from multiprocessing.spawn import …"`) is that of every such process,
    whatever program it works for. With the start methods spawn and forkserver it imports the main
    module again, and so comes to calls of lifeline() at its top.
    """
    if sys.modules["__main__"].__name__ == "__mp_main__":
        return True
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is None:
        return False
    # So it is marked while it imports the main module, before that has its place.
    return getattr(multiprocessing.current_process(), "_inheriting", False)


def argv() -> "Words":
    """The argument list that this interpreter was started with."""
    return tuple(os.fsencode(word) for word in sys.orig_argv)


class ProgramPlace(MyPlace):
    """What this program's own words mean, even if it has changed its directory since."""

    def absolute(self, path: bytes) -> bytes:
        script = getattr(sys.modules["__main__"], "__file__", None)
        if script and not path.startswith(b"/"):
            full = os.path.normpath(os.fsencode(script))
            if full.endswith(b"/" + os.path.normpath(path).lstrip(b"./")):
                return full
        return super().absolute(path)
