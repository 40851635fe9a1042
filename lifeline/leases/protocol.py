"""What a runner and its keeper say to each other: a line of words each, over two pipes.

Light, because the runner stays resident. Times are seconds of `clock.boottime`, which is one
clock for all processes of a host. The first lines from the runner are the order, up to an empty
line; `key value` each, because a URL may hold a secret and does not go onto a command line.
"""

import os

# From the keeper.
GRANTED = "granted"  # slot, fence, owner, sent: work may begin
RENEWED = "renewed"  # sent
LOST = "lost"  # why
TAKEN = "taken"  # by whom: nobody waits, it is over
FAILED = "failed"  # exit code, message: it is over
STANDBY = "standby"  # why: it goes on
GO = "go"  # the job that was named last may begin: it is known here
RELEASED = "released"  # it is over
SIGNAL = "signal"  # a payload in base64; the next one comes once the runner has taken it
# From the runner.
JOB = "job"  # pid of the job's session, id of its run
SEEN = "seen"  # sent: the renewal has been heard of
TOOK = "took"  # the payload
DONE = "done"  # nothing of the job is left: release


def encode(*words: "str | int | float") -> bytes:
    """One line. A word but the last one holds no space; none holds a line feed."""
    return (" ".join(str(word).replace("\n", " ") for word in words) + "\n").encode(
        "utf-8", "surrogateescape"
    )


class Lines:
    """The lines that have come through a descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._rest = b""
        self.ended = False

    def read(self) -> "list[str]":
        """What is there by now, whole lines; `ended` is set once the other side has gone.

        Waits if the descriptor blocks and nothing is there.
        """
        try:
            data = os.read(self.fd, 65536)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            data = b""
        if not data:
            self.ended = True
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "surrogateescape") for line in lines]
