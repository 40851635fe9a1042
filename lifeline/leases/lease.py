"""One lease as data: what is known of it, and what follows. Pure; time comes in as numbers.

The rules (design: "Part 3"; measured against client-go's leaderelection and the Redlock page):

* A request's time is read before it is sent, and only a confirmed answer commits it.
* Unknown answers change nothing; the deadlines of the last confirmed one stand.
* Lost is final: a renewal never re-creates a claim.

Why two holders' work never overlaps, if clocks run at rates that differ by `drift` at most: the
store counts `ttl` from some moment after `sent` (or, where it knows no time, a taker counts it
from a moment after that), the holder counts `ttl * (1 - drift)` from `sent`, and what it started is
gone by then.
"""

from .terms import KILL_COST, Terms

# What a store answers to a renewal.
RENEWED = "renewed"  # ours, and extended: the deadlines count from when the request was sent
LOST = "lost"  # definitely not ours any more
UNKNOWN = "unknown"  # no answer, or one that proves nothing

# What the holder is to do now.
KEEP = "keep"
ASK = "ask"  # renew
STOP = "stop"  # TERM the job
KILL = "kill"


class Lease:
    """A lease under `terms`, last confirmed by an answer to what was sent at `sent`.

    Immutable: each answer gives a new one.
    """

    __slots__ = ("lost", "sent", "terms")

    def __init__(self, terms: Terms, sent: float, *, lost: bool = False) -> None:
        self.terms = terms
        self.sent = sent
        self.lost = lost

    @property
    def dead(self) -> float:
        """Nothing that was started under the lease may live on after this."""
        return self.sent + self.terms.ttl * (1 - self.terms.drift)

    @property
    def kill(self) -> float:
        """KILL no later, for all to be gone in time."""
        return self.dead - KILL_COST

    @property
    def stop(self) -> float:
        """TERM no later, for the grace to fit in."""
        return self.kill - self.terms.grace

    @property
    def renew(self) -> float:
        """When to ask again."""
        return self.sent + self.terms.renew

    def after(self, answer: str, sent: float) -> "Lease":
        """The lease once `answer` has come to a renewal that was sent at `sent`."""
        if self.lost or answer == UNKNOWN:
            return self
        if answer == LOST:
            return Lease(self.terms, self.sent, lost=True)
        return Lease(self.terms, max(sent, self.sent))

    def due(self, now: float) -> str:
        """What the holder has to do at `now`, by this lease alone."""
        if now >= self.kill:
            return KILL
        if self.lost or now >= self.stop:
            return STOP
        return ASK if now >= self.renew else KEEP

    def covers(self, now: float) -> bool:
        """True while work under this lease may go on: there is time left to end it in order."""
        return not self.lost and now < self.stop
