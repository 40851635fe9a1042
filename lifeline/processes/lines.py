"""The form of every small file in the state directory: lines of `key value`, whole or nothing.

Readable with cat, greppable, written and read without json (whose import costs half a bare
interpreter on each tick). A file cut short, by a full disk or a power cut, decodes to None.
"""

_HEAD = b"lifeline 1"
_TAIL = b"end"


def encode(fields: "list[tuple[bytes, bytes]]") -> bytes:
    """The file for `fields`; a key may come more than once, a value may hold any bytes."""
    lines = [key + b" " + _escape(value) for key, value in fields]
    return b"\n".join([_HEAD, *lines, _TAIL, b""])


def decode(content: bytes) -> "dict[bytes, list[bytes]] | None":
    """The values by key, in order; None unless `content` is whole and of this version."""
    lines = content.split(b"\n")
    if len(lines) < 3 or lines[0] != _HEAD or lines[-2:] != [_TAIL, b""]:
        return None
    fields: dict[bytes, list[bytes]] = {}
    for line in lines[1:-2]:
        key, _, value = line.partition(b" ")
        fields.setdefault(key, []).append(_unescape(value))
    return fields


def _escape(value: bytes) -> bytes:
    return value.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")


def _unescape(value: bytes) -> bytes:
    if b"\\" not in value:
        return value
    parts = value.split(b"\\\\")  # an escaped backslash cannot begin an escaped newline
    return b"\\".join(part.replace(b"\\n", b"\n") for part in parts)
