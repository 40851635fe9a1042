"""What is said to a holder: bytes, as a rule a text."""

from __future__ import annotations

import json
from typing import Any

from ..errors import UsageError

LARGEST = 7000  # bytes


class Payload(bytes):
    """The bytes that were sent, with `text` and `json()` for those that are."""

    @property
    def text(self) -> str:
        """As UTF-8; what is none shows as the replacement character."""
        return self.decode("utf-8", "replace")

    def json(self) -> Any:
        """What it says as JSON. Raises ValueError if it is none."""
        return json.loads(self)


def check_payload(payload: bytes | str) -> bytes:
    """The bytes of a payload. Raises UsageError if it is none or too large."""
    if isinstance(payload, str):
        try:
            payload = payload.encode()
        except UnicodeEncodeError:
            raise UsageError("the payload is no Unicode text: give its bytes") from None
    if not isinstance(payload, (bytes, bytearray, memoryview)):
        raise UsageError(f"a payload is bytes or text, not {type(payload).__name__}")
    payload = bytes(payload)
    if len(payload) > LARGEST:
        raise UsageError(
            f"the payload has {len(payload)} bytes and may have {LARGEST}: "
            "put it somewhere and send where"
        )
    return payload
