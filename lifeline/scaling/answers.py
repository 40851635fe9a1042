"""What a command or a web page says of the work there is: one number, or a JSON object."""

from __future__ import annotations

import json

from .errors import ProbeError
from .sample import Sample, sample_of

_FIELDS = frozenset(("ready", "busy", "future", "oldest_age", "exact"))


def sample_in(text: str, source: str) -> Sample:
    """The Sample in `12` or `{"ready": 12, "busy": 3, "oldest_age": 4.5}`.

    Raises ProbeError for everything else: an empty answer is no zero.
    """
    try:
        data = json.loads(text)
    except ValueError:
        raise ProbeError(f"{source} gave no number and no JSON object") from None
    if not isinstance(data, dict):
        return sample_of(data)
    if "ready" not in data:
        raise ProbeError(f"{source} gave an object without ready")
    if unknown := sorted(set(data) - _FIELDS):
        raise ProbeError(
            f"{source} gave {unknown[0]!r:.40}; known are {', '.join(sorted(_FIELDS))}"
        )
    exact = data.pop("exact", True)
    return Sample(**data, exact=exact is True)
