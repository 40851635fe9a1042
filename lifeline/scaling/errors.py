"""What goes wrong at the two ends of the scaler: counting work, setting how many workers run."""

from ..errors import EXIT_CANNOT_TELL, LifelineError


class ProbeError(LifelineError):
    """It cannot be told how much work there is. Never the same as "none"."""

    exit_code = EXIT_CANNOT_TELL


class TargetError(LifelineError):
    """How many workers run cannot be read or set.

    `retry_after` is the number of seconds that the platform asks to be left alone for, None if it
    does not say.
    """

    exit_code = EXIT_CANNOT_TELL

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)
