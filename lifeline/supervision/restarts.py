"""When a job is started again. Pure: what happened in, a decision out."""

HEALTHY = 60.0  # seconds; a job that ran for so long begins again with the shortest delay


class Backoff:
    """Delays before a restart: doubling from `first` to `longest` seconds, for ever.

    `chance` gives a number in [0, 1): each delay is shortened by up to a quarter of itself, so
    that jobs that failed together do not start together.
    """

    def __init__(self, first: float, longest: float) -> None:
        self.first = first
        self.longest = longest
        self._failures = 0

    def delay(self, ran: float, chance: float) -> float:
        """Seconds to wait now, after a run of `ran` seconds."""
        if ran >= HEALTHY:
            self._failures = 0
        delay = self.longest
        if self._failures < 64:
            delay = min(self.longest, self.first * 2.0**self._failures)
        self._failures += 1
        return delay * (1 - chance / 4)


def is_wanted(policy: str, code: int) -> bool:
    """Whether a job that ended with exit code `code` is to be started again."""
    return policy == "always" or (policy == "on-failure" and code != 0)
