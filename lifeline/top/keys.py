"""From bytes of a terminal to keys."""

from __future__ import annotations

_SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
}
_ESCAPE = b"\x1b"


class Keys:
    """A sequence may come in pieces; what is not understood is left out."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending(self) -> bool:
        """True if the beginning of a sequence is there, or the Escape key."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete with `data`."""
        self._rest += data
        found = []
        while self._rest:
            size = _length(self._rest)
            if size == 0:
                break
            word, self._rest = self._rest[:size], self._rest[size:]
            if word in _SEQUENCES:
                found.append(_SEQUENCES[word])
            elif not word.startswith(_ESCAPE):
                found.append(word.decode("latin-1"))
        return found

    def flush(self) -> list[str]:
        """Nothing more came: an Escape by itself was that key."""
        rest, self._rest = self._rest, b""
        return ["escape"] if rest == _ESCAPE else []


def _length(data: bytes) -> int:
    """How many bytes the first key has; 0 if they are not all there."""
    if not data.startswith(_ESCAPE):
        return 1
    if data[1:2] == b"O":  # SS3
        return 3 if len(data) >= 3 else 0
    if data[1:2] != b"[":
        return 0 if len(data) == 1 else 1
    for at, byte in enumerate(data[2:], 2):  # CSI: ECMA-48, 5.4
        if 0x40 <= byte <= 0x7E:
            return at + 1
    return 0 if len(data) < 32 else len(data)
