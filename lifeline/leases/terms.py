"""The terms of a lease: how long it runs, how often it is renewed, how work is ended in time.

All in seconds on a clock that counts suspended time (`clock.boottime`). The holder's clock and
the store's may run at rates that differ by `drift`.
"""

from ..errors import UsageError

TTL = 30.0
RENEW = 5.0
GRACE = 10.0
DRIFT = 0.02
KILL_COST = 1.0  # seconds from KILL until the kernel has removed the last process
_LEAST_RENEW = 0.1  # seconds between renewals
LEAST_RENEWALS = 3  # that must fit before the work has to be stopped


class Terms:
    """Terms that leave room for three renewals before the job has to be stopped.

    Raises UsageError with the sum otherwise.
    """

    __slots__ = ("drift", "grace", "renew", "ttl")

    def __init__(
        self,
        ttl: float = TTL,
        renew: "float | None" = None,
        grace: float = GRACE,
        drift: float = DRIFT,
    ) -> None:
        if not (ttl > 0 and grace >= 0 and 0 <= drift < 1):
            raise UsageError("a lease needs a ttl above 0, a grace of 0 or more, a drift below 1")
        self.ttl = ttl
        self.grace = grace
        self.drift = drift
        room = self.room
        wanted = max(min(RENEW, room / LEAST_RENEWALS), _LEAST_RENEW) if renew is None else renew
        self.renew = wanted
        # Said so that what is no number is refused; a third of the room may be rounded up.
        if not (wanted > 0 and room * (1 + 1e-9) >= LEAST_RENEWALS * wanted):
            raise UsageError(self._sum(room))

    @property
    def room(self) -> float:
        """Seconds from the sending of a renewal until the job has to be stopped without another."""
        return self.ttl * (1 - self.drift) - self.grace - KILL_COST

    def _sum(self, room: float) -> str:
        need = LEAST_RENEWALS * self.renew
        return (
            f"the ttl is too short: {self.ttl:g} s less {self.drift:.0%} drift, {self.grace:g} s "
            f"grace and {KILL_COST:g} s for KILL leaves {max(room, 0):g} s, and "
            f"{LEAST_RENEWALS} renewals every {self.renew:g} s need {need:g} s; "
            "raise the ttl or shorten the grace"
        )


def default_grace(ttl: float) -> float:
    """A third of the ttl, ten seconds at most."""
    return min(GRACE, ttl / 3)
