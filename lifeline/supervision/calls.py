"""Signals for the job: one named as a signal becomes that, any other is the hook's. In order.

While no job runs, between a failure and its restart, hooks wait. A signal does not: one that meets
a job before that has set its handler would kill it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..options import RunOptions
    from .reports import Reports

_MOST = 1000  # payloads that wait


class Calls:
    """Deals with one payload after the other. `send` gives the job a signal, if one runs."""

    def __init__(
        self,
        options: "RunOptions",
        reports: "Reports",
        is_running: "Callable[[], bool]",
        send: "Callable[[int], None]",
    ) -> None:
        self._has_hook = options.on_signal is not None
        self._forwarded = {
            name.encode(): number for name, number in options.forward_signals.items()
        }
        self._reports = reports
        self._is_running = is_running
        self._send = send
        self._waiting: list[tuple[bytes, Callable[[], None]]] = []
        self._hook = 0

    def accept(self, payload: bytes, took: "Callable[[], None]") -> bool:
        """Take a payload on, unless nobody would deal with it; `took` is called when one does."""
        known = self._has_hook or payload.strip() in self._forwarded
        if not known or len(self._waiting) >= _MOST:
            return False
        self._waiting.append((payload, took))
        self.go_on()
        return True

    def reaped(self, pid: int) -> None:
        """A child has ended."""
        if pid == self._hook:
            self._hook = 0
            self.go_on()

    def go_on(self) -> None:
        """Deal with what waits, as far as that can be done now."""
        while self._waiting and not self._hook:
            payload, took = self._waiting[0]
            number = self._forwarded.get(payload.strip())
            if number is None and not self._is_running():
                return
            del self._waiting[0]
            took()
            if number is not None:
                self._send(number)
            else:
                self._hook = self._reports.signalled(payload)
