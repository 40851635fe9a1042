"""Standing for a slot: what to ask of the store, and when to ask again. Pure; no clock, no store.

Where the store tells when a lease runs out, the next request comes right then; where it has no
clock, a lease that was seen unchanged for its whole ttl is asked for as such. Besides, a poll with
jitter, so that many who stand by do not ask in step.
"""

from __future__ import annotations

from .keys import slot_order
from .port import Granted, Info, Request, Seen, Taken
from .terms import Terms

POLL = 5.0  # seconds between two requests of one who stands by, at the least
HEARING = 2  # times as long if the store tells of releases: then it is for crashes only
_JITTER = 0.25  # of that, added at random
_AFTER_EXPIRY = 0.05  # seconds at random, so that those who stand by do not ask at once
_RETRY = 1.0  # seconds after a request without an answer


class Observations:
    """Since when each lease has been seen unchanged, by version, on this host's clock.

    A holder's own timestamps are never believed (AWS's DynamoDB lock client has the same rule).
    What is kept here may be written down and read again within one boot.
    """

    def __init__(self, seen: dict[str, tuple[str, float]] | None = None) -> None:
        self.seen = dict(seen or {})

    def note(self, seen: Seen, now: float) -> float:
        """Take note of a lease whose description arrived at `now`; seconds it was unchanged."""
        label = f"{seen.slot}:{seen.name}"
        version, since = self.seen.get(label, ("", now))
        if version != seen.version or since > now:
            self.seen[label] = seen.version, now
            return 0.0
        return now - since


class Candidate:
    """One who asks for a slot of `name`, again and again until it is granted."""

    def __init__(
        self,
        name: str,
        slots: int,
        owner: str,
        terms: Terms,
        info: Info,
        observations: Observations | None = None,
    ) -> None:
        self.name = name
        self.slots = slots
        self.owner = owner
        self.terms = terms
        self.info = info
        self.observations = observations or Observations()
        self._expired: dict[int, str] = {}
        #: Releases are heard of.
        self.hears = False
        #: The last answer showed what may be taken over now, and its request did not say so.
        self.at_once = False

    def request(self) -> Request:
        """What to send now. The same owner each time: an answer that got lost does no harm."""
        return Request(
            self.name,
            self.slots,
            slot_order(self.owner, self.slots),
            self.owner,
            self.terms.ttl,
            self.info,
            self._expired,
        )

    def answered(self, answer: Granted | Taken, now: float, chance: float) -> float:
        """Seconds until the next request, once `answer` has arrived at `now`; 0 if it was granted.

        `chance` is random, 0 to 1.
        """
        if isinstance(answer, Granted):
            return 0.0
        often = POLL * HEARING if self.hears else POLL
        poll = min(often, self.terms.ttl / 2) * (1 + _JITTER * chance)
        asked, self._expired = self._expired, {}
        for seen in answer.seen:
            left = seen.left
            if seen.version:
                left = seen.ttl - self.observations.note(seen, now)
                if left <= 0:
                    self._expired[seen.slot] = seen.version
            if left is not None:
                poll = min(poll, max(left, 0.0) + _AFTER_EXPIRY * chance)
        self.at_once = bool(self._expired) and self._expired != asked
        return poll

    def failed(self, chance: float) -> float:
        """Seconds until the next request, if this one had no answer."""
        return _RETRY * (1 + _JITTER * chance)
