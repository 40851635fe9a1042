"""Checks of values that become part of a request, or come back in an answer."""

from __future__ import annotations

from .checking import BadOption
from .errors import TargetError

_LONGEST_NAME = 253  # of a Kubernetes object: RFC 1123


def name(option: str, value: str) -> str:
    """`value`, if it names something and is no path. Raises BadOption."""
    text(option, value)
    if len(value) > _LONGEST_NAME or set(value) & set("/?#% ") or value in (".", ".."):
        raise BadOption((option,), f"{option} is no name: {value!r:.60}")
    return value


def text(option: str, value: str) -> str:
    """`value`, if it can stand in a request. Raises BadOption, which does not show it."""
    if not value or not value.isprintable() or not value.isascii():
        raise BadOption((option,), f"{option} holds a character that has no place there")
    return value


def workers(value: object, what: str) -> int:
    """`value`, if it is a number of workers. Raises TargetError that says `what` is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TargetError(f"{what} is {value!r:.40}, which is no number of workers")
    return value
