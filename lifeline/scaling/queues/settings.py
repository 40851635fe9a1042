"""Reading the options of a probe. BadOption for what cannot be; no message shows a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ...leases.urls import redact
from .. import checking
from ..checking import BadOption
from ..options import secret

Options = Mapping[str, object]

TIMEOUT = 5.0  # seconds for each step of a reading
PEEK = 1000  # messages that are looked into
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}\Z")


def known(options: Options, *names: str) -> None:
    """Raise BadOption for an option that is none of `names` and not `timeout`."""
    checking.known(options, (*names, "timeout"), "option")


def timeout(options: Options) -> float:
    """Seconds."""
    return checking.some_seconds("timeout", options.get("timeout", TIMEOUT))


def text(options: Options, name: str, default: str | None = None) -> str:
    """A text, or what `env:NAME` or `secret-file:PATH` leads to."""
    value = options.get(name, default)
    if value is None:
        raise BadOption((), f"{name} is missing")
    if not isinstance(value, str) or not value:
        raise BadOption((name,), f"{name} has to be a text that is not empty")
    return secret(name, value)


def url(options: Options, schemes: Iterable[str], example: str) -> str:
    """The option `url`, or what it names, if its scheme is one of `schemes`."""
    found = text(options, "url")
    if found.partition(":")[0] not in schemes:
        raise BadOption(("url",), f"url is {example}, or env:NAME or secret-file:PATH for one")
    if not _ends_where_it_seems(found):
        raise BadOption(("url",), f"url is {example}, with %XX for special characters")
    return found


def _ends_where_it_seems(url: str) -> bool:
    """False if a password may hold what ends the account: the rest of it would be read as a host,
    which messages name."""
    place = url.partition("://")[2]
    account = re.split("[/?#]", place, maxsplit=1)[0]
    return "#" not in place and account.count("@") < 2 and "@" not in place[len(account) :]


def place(url: str) -> str:
    """What may be shown of a URL: next to nothing if a password may not be encoded as it should."""
    shown = redact(url)
    return shown if url.count("@") == shown.count("@") else "the server"


def queues(options: Options, default: str | None = None, name: str = "queues") -> tuple[str, ...]:
    """The names in a list, each once; `default` alone if there is no list."""
    value = options.get(name, None if default is None else [default])
    if value is None:
        raise BadOption((), f"{name} is missing")
    found = list(value) if isinstance(value, (list, tuple)) else []
    if not found or not all(isinstance(each, str) and each for each in found):
        raise BadOption((name,), f'{name} has to be a list of names: ["one", "two"]')
    if len(set(found)) < len(found):
        raise BadOption((name,), f"{name} says a name twice")
    return tuple(found)


def some_queues(options: Options, name: str = "queues") -> list[str] | None:
    """The names in a list; None, which stands for all of them, if there is no list."""
    return list(queues(options, name=name)) if name in options else None


def flag(options: Options, name: str, default: bool = False) -> bool:
    value = options.get(name, default)
    if not isinstance(value, bool):
        raise BadOption((name,), f"{name} is true or false, not {value!r:.40}")
    return value


def peek(options: Options) -> int:
    """How many messages to look into, from 1."""
    return checking.some_count("peek", options.get("peek", PEEK))


def plain(options: Options, name: str, default: str) -> str:
    """A text that is taken as it is, control characters and all."""
    value = options.get(name, default)
    if not isinstance(value, str):
        raise BadOption((name,), f"{name} has to be a text, not {type(value).__name__}")
    return value


def identifier(options: Options, name: str, default: str) -> str:
    """The name of a table or schema, without quotes or dots; `default` may be empty."""
    value = options.get(name, default)
    if value == default:
        return default
    if not isinstance(value, str) or not _IDENTIFIER.match(value):
        raise BadOption((name,), f"{name} is a plain name of letters, digits and _")
    return value
