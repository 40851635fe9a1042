"""Telling others what happens to a run: the history, syslog, a monitor, hooks."""

import os

from .. import events
from ..errors import complain
from .helpers import Pinger, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from ..errors import CommandFailed
    from ..options import RunOptions
    from ..processes.identity import Identity
    from ..processes.state import State
else:
    import _signal as signal

_HOOK_PATIENCE = 30.0  # seconds for hooks
_PING_PATIENCE = 10.0  # seconds, where the helper would die with this process
_MOST_PINGS = 8  # helpers at a time; more mean that the monitor hangs


class Reports:
    """One runner's reports. `helpers` are the pids of processes beside the job, none of its own."""

    def __init__(self, state: "State", command: "Identity", options: "RunOptions") -> None:
        self._state = state
        self._command = command
        self._options = options
        self._pinger = Pinger(options.ping, events.title(command)) if options.ping else None
        self._complained = False
        self._run = ""
        self._job = 0
        self._hooks: set[int] = set()
        self._pings: set[int] = set()
        self.helpers: set[int] = set()
        self.lease: dict[bytes, bytes] = {}  # what hooks see of it
        self.restarts = 0
        self.last_exit: int | None = None

    @property
    def patience(self) -> float:
        """Seconds that the end of a run waits for its helpers."""
        return _HOOK_PATIENCE if self._hooks else _PING_PATIENCE

    def event(self, kind: str, **facts: "str | int | float | None") -> None:
        """Add to the history, and to syslog if asked."""
        syslog = self._options.syslog
        kept = events.append(self._state, kind, self._command, syslog=syslog, **facts)
        if not kept:
            self.complain_once("the history cannot be written; going on without")

    def complain_once(self, message: str) -> None:
        """Say it, unless a line about the state directory has been said: one is enough."""
        if not self._complained:
            self._complained = True
            complain(message)

    def started(self, job: int, run: str) -> None:
        """The job has begun."""
        self._run, self._job = run, job
        self.event(
            "restart" if self.restarts else "start",
            pid=os.getpid(),
            job=job,
            run=run,
            restarts=self.restarts or None,
        )
        self._ping("/start")
        self._hook(self._options.on_start, {"LIFELINE_EVENT": "start"})

    def not_started(self, run: str, failed: "CommandFailed") -> None:
        """The command could not be executed: nothing but an end, which says why."""
        self._run, self._job = run, 0
        self.ended(failed.exit_code, "", 0.0, str(failed).encode(), failed.exit_code)

    def signalled(self, payload: bytes) -> int:
        """Somebody has sent this to the lease: the pid of the hook for it, 0 if there is none."""
        facts = {"LIFELINE_EVENT": "signal"}
        if b"\0" not in payload:
            facts["LIFELINE_PAYLOAD"] = os.fsdecode(payload)
        return self._hook(self._options.on_signal, facts, payload)

    def healthy(self) -> None:
        """The job goes on."""
        if not self._pings:  # a monitor that hangs does not hear of it more often
            self._ping("")

    def ended(self, code: int, reason: str, seconds: float, tail: bytes, own: "int | None") -> None:
        """The job and everything below it is gone; `own` is its exit code, if it had one."""
        self.event(
            "end",
            pid=os.getpid(),
            job=self._job or None,
            run=self._run,
            code=code,
            reason=reason or None,
            seconds=round(seconds, 3),
        )
        self._ping(f"/{own}" if own else "/fail" if code else "", tail)
        self._hook(
            self._options.on_exit,
            {
                "LIFELINE_EVENT": "exit",
                "LIFELINE_CODE": str(code),
                "LIFELINE_OUTCOME": reason or ("failed" if code else "ok"),
                "LIFELINE_SECONDS": f"{seconds:.3f}",
            },
        )

    def reaped(self, pid: int, status: int) -> None:
        """A child has ended; if it was a helper, it is one no more."""
        code = os.waitstatus_to_exitcode(status)
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        if pid in self._hooks and code:
            complain(f"a hook ended with {how}")
        if pid in self._pings and code:  # else the helper itself has told of any failure
            self.event("ping failed", run=self._run, reason=f"its helper ended with {how}")
        for pids in (self.helpers, self._hooks, self._pings):
            pids.discard(pid)

    def awaited(self) -> bool:
        """True while a helper runs that the end of the run waits for."""
        waits_for_pings = os.getpid() == 1  # they would end with this process
        return bool(self._hooks or (waits_for_pings and self._pings))

    def give_up(self) -> None:
        """End the hooks that are still there; pings end by themselves."""
        for pid in self._hooks:
            complain("a hook does not end; it is ended now")
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._hooks.clear()

    def _ping(self, path: str, body: bytes = b"") -> None:
        if self._pinger is None:
            return
        try:
            if len(self._pings) >= _MOST_PINGS:
                raise OSError("the ones before have not ended")
            pid = self._pinger.ping(path, self._run, body)
        except OSError as error:  # no pings then, but the job goes on
            self.event("ping failed", run=self._run, reason=error.strerror or str(error))
            return
        self._pings.add(pid)
        self.helpers.add(pid)

    def _hook(self, command: "str | None", facts: "dict[str, str]", given: bytes = b"") -> int:
        """Run a shell command with `given` on its standard input: its pid, 0 if there is none."""
        if command is None:
            return 0
        facts = {
            **facts,
            "LIFELINE_NAME": str(next(iter(events.title(self._command).values()))),
            "LIFELINE_PID": str(self._job),
            "LIFELINE_RUN": self._run,
            "LIFELINE_RESTARTS": str(self.restarts),
        }
        added = {os.fsencode(key): os.fsencode(value) for key, value in facts.items()}
        try:
            pid = _spawn_shell(command, {**dict(os.environb), **self.lease, **added}, given)
        except OSError as error:
            complain(f"a hook was not started: {error.strerror}")
            return 0
        self._hooks.add(pid)
        self.helpers.add(pid)
        return pid


def _spawn_shell(command: str, environment: "dict[bytes, bytes]", given: bytes) -> int:
    if not given:
        read = os.open(os.devnull, os.O_RDONLY)
    else:
        read, write = os.pipe()
        os.write(write, given)  # 7 kB at most: a fresh pipe takes 64
        os.close(write)
    try:
        return spawn(["/bin/sh", "-c", command], environment, lambda: os.dup2(read, 0))
    finally:
        os.close(read)
