"""The runner's end of a lease that a keeper process holds (`keeping` is the other end).

The runner acts on its own clock: it ends the job in time if it hears nothing more.
"""

import os
import select

from .. import clock
from ..errors import EXIT_CANNOT_TELL, LeaseLost, LifelineError, complain
from ..leases import protocol
from ..leases.lease import LOST, RENEWED, Lease
from .helpers import spawn_module
from .leased import environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..leases.terms import Terms
    from .calls import Calls
    from .loop import Loop, Timer

_RELEASE_PATIENCE = 10.0  # seconds: two verbs of the store


class StoreFailed(LifelineError):
    """What the keeper could not do, in its words."""

    def __init__(self, message: str, exit_code: int = EXIT_CANNOT_TELL) -> None:
        self.exit_code = exit_code
        super().__init__(message)


class Kept:
    """A lease, from the moment in which it is asked for. `order` goes to the keeper.

    `descriptors` are to be inherited by the job: none here.
    """

    descriptors: "tuple[int, ...]" = ()
    environment: "dict[bytes, bytes]"
    slot: int

    def __init__(self, terms: "Terms", order: "dict[str, str]") -> None:
        self._order = order
        self.lease = Lease(terms, 0.0, lost=True)
        self._is_granted = False
        self._told = False
        self._timer: Timer | None = None
        self._calls: Calls | None = None
        self._early: str | None = None  # a payload that came before anybody could deal with it
        theirs, self._to = os.pipe()
        heard, ours = os.pipe()
        self.pid = spawn_module("lifeline.keeping.__main__", theirs, ours, stderr=2)
        os.close(theirs)
        os.close(ours)
        self._lines = protocol.Lines(heard)
        for key, value in order.items():
            self._say(key, value)
        self._say()

    # --- before the job -----------------------------------------------------------------------

    def obtain(self) -> "str | None":
        """Wait until the lease is granted, or who has it if nobody waits.

        None if it was granted. Raises StoreFailed if the store is out of reach or says no.
        """
        while not self._lines.ended:
            for line in self._lines.read():
                kind, _, rest = line.partition(" ")
                if kind == protocol.GRANTED:
                    self._take(*rest.split(" "))
                elif kind == protocol.TAKEN:
                    self._reap()
                    return rest
                else:
                    self._hear(kind, rest)
            if self._is_granted:  # what came in the same breath is heard, too
                return None
        self._reap()
        raise StoreFailed("the keeper of the lease ended before it had one")

    def _take(self, slot: str, fence: str, owner: str, sent: str) -> None:
        self._is_granted = True
        self.slot = int(slot)
        name, slots = self._order["name"], self._order["slots"]
        self.environment = environment(name, slot, slots, fence, owner)
        self.lease = Lease(self.lease.terms, float(sent))
        os.set_blocking(self._lines.fd, False)

    def _hear(self, kind: str, rest: str) -> None:
        if kind == protocol.FAILED:
            code, _, message = rest.partition(" ")
            if not self._is_granted:
                self._reap()
                raise StoreFailed(message, int(code))
            self._lose(message)  # it ends, and a job may run: this process has to see to that
        elif kind == protocol.STANDBY:
            complain(rest)
        elif kind == protocol.RENEWED:
            self.lease = self.lease.after(RENEWED, float(rest))
            self._say(protocol.SEEN, rest)
        elif kind == protocol.SIGNAL:
            if self._calls is None:
                self._early = rest
            else:
                self._pass_on(self._calls, rest)
        elif kind == protocol.LOST:
            self._lose(rest)

    def _lose(self, why: str) -> None:
        if not self._told:
            self._told = True
            complain(f"the lease is lost: {why}")
        self.lease = self.lease.after(LOST, 0.0)

    @property
    def is_lost(self) -> bool:
        """True once the work has to end."""
        return not self.lease.covers(clock.boottime())

    def admit(self, job: int, run: str) -> None:
        """Name a job that waits to be told to go. Raises LeaseLost if it may not.

        The keeper knows it from now on: if this process stops here, it ends the job.
        """
        self._say(protocol.JOB, job, run)
        poll = select.poll()
        poll.register(self._lines.fd, select.POLLIN)
        may_go = False
        while not self.is_lost and not self._lines.ended:
            poll.poll(max(self.lease.stop - clock.boottime(), 0.0) * 1000)
            for line in self._lines.read():
                kind, _, rest = line.partition(" ")
                may_go = may_go or kind == protocol.GO
                self._hear(kind, rest)
            if may_go and not self.is_lost:
                return
        raise LeaseLost("the lease was lost before the job began")

    # --- while it runs ------------------------------------------------------------------------

    def watch(self, loop: "Loop", lost: "Callable[[float], None]") -> None:
        """Have `lost(seconds until KILL)` called, again at KILL, once the work has to end."""
        self._loop, self._lost = loop, lost
        loop.watch(self._lines.fd, self._listen)
        self._set_timer()

    def hear(self, calls: "Calls") -> None:
        """Give `calls` what is sent to the lease; after `watch`."""
        self._calls = calls
        if self._early is not None:
            self._pass_on(calls, self._early)
            self._early = None

    def _pass_on(self, calls: "Calls", data: str) -> None:
        from binascii import a2b_base64

        def took() -> None:
            self._say(protocol.TOOK)

        if not calls.accept(a2b_base64(data), took):
            took()  # or the next one would never come

    def _listen(self) -> None:
        for line in self._lines.read():
            kind, _, rest = line.partition(" ")
            self._hear(kind, rest)
        if self._lines.ended:
            self._loop.forget(self._lines.fd)
            self._lose("its keeper is gone")
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        now = clock.boottime()
        if self.is_lost:
            self._lose("it was not renewed in time")
            left = max(self.lease.kill - now, 0.0)
            self._lost(left)
            self._timer = self._loop.after(left, lambda: self._lost(0.0))
        else:
            self._timer = self._loop.after(self.lease.stop - now, self._set_timer)

    # --- after it -----------------------------------------------------------------------------

    def release(self, *, gone: bool) -> None:
        """Have the lease released and see the keeper out.

        If not all of the job is gone, the keeper is left to end it: the pipe closes.
        """
        if not gone:
            self._reap()
            return
        os.set_blocking(self._lines.fd, False)
        self._say(protocol.DONE)
        poll = select.poll()
        poll.register(self._lines.fd, select.POLLIN)
        deadline = clock.boottime() + _RELEASE_PATIENCE
        while not self._lines.ended and (left := deadline - clock.boottime()) > 0:
            poll.poll(left * 1000)
            for line in self._lines.read():
                kind, _, rest = line.partition(" ")
                if kind == protocol.STANDBY:
                    complain(rest)
        self._reap()

    def _say(self, *words: "str | int") -> None:
        try:
            os.write(self._to, protocol.encode(*words))
        except OSError:
            pass  # it is gone: its end is read from the other pipe

    def _reap(self) -> None:
        """The keeper ends by itself once it hears nothing more."""
        for fd in (self._to, self._lines.fd):
            if fd >= 0:
                os.close(fd)
        self._to = self._lines.fd = -1
        self._lines.ended = True
