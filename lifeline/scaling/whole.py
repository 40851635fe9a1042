"""Reading the body of an HTTP answer: all or an error, for a part of a number is a number, too.

`http.client` raises for a body that ends too soon only if it is asked for all that there is; asked
for so many bytes at most, it returns what came.
"""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse, IncompleteRead


class TooLong(HTTPException):
    """More than anybody reads."""


def whole(answer: HTTPResponse, most: int) -> bytes:
    """The body, of no more than `most` bytes.

    Raises HTTPException for one that is longer, or broken off before its Content-Length or its
    last chunk. One without either ends where the server closes: nothing tells if that was the end.
    """
    content = answer.read(most + 1)
    if len(content) > most:
        raise TooLong
    if answer.length:  # of Content-Length, what did not come
        raise IncompleteRead(b"", answer.length)
    return content
