"""Store URLs: where the secret comes from, what is shown of it, what options it carries."""

import os
import re
import stat
from urllib.parse import parse_qsl, urlencode

from ..errors import UsageError

_LONGEST_SECRET = 65536  # bytes
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")


def resolve(url: str) -> str:
    """The URL itself, what `env:NAME` names, or the first line of `secret-file:PATH`.

    Raises UsageError if there is none. No message shows any of a secret.
    """
    if url.startswith("env:"):
        found = os.environ.get(url[4:], "")
        if not found:
            raise UsageError(f"the lock URL: the environment variable {url[4:]!a} is not set")
        return found.strip()
    if url.startswith("secret-file:"):
        return _first_line(url.removeprefix("secret-file:"))
    return url


def _first_line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.readline(_LONGEST_SECRET).strip()
    except OSError as error:
        raise UsageError(f"the lock URL: {path!a} cannot be read ({error.strerror})") from None
    if mode & stat.S_IROTH:
        raise UsageError(f"the lock URL: {path!a} can be read by everybody; chmod o-r it")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise UsageError(f"the lock URL: {path!a} holds no URL")
    return text


def scheme_of(url: str) -> str:
    """What stands before the colon. Raises UsageError if that is no scheme."""
    scheme, colon, _ = url.partition(":")
    if not colon or not _SCHEME.match(scheme):
        raise UsageError(
            "the lock URL has no scheme: file:, postgresql://…, redis://…, redlock:…, "
            "dynamodb://TABLE, env:NAME or secret-file:PATH"
        )
    return scheme


def check_account(url: str) -> str:
    """The URL of a server, unless its password would be taken for something that may be shown.

    Raises UsageError for an @ after the host: what stands before it belongs to an account, and was
    cut off by a /, ? or # that should have been written as a code.
    """
    rest = url.partition("://")[2]
    if "@" in rest[len(re.split("[/?#]", rest, maxsplit=1)[0]) :]:
        raise UsageError(
            "the lock URL has an @ after its host; write special characters of a user or a "
            "password as codes: / as %2F, ? as %3F, # as %23, @ as %40"
        )
    return url


def take_options(url: str, names: "frozenset[str]") -> "tuple[str, dict[str, str]]":
    """The URL without the query options called `names`, and those.

    What is left in the query is the driver's. Raises UsageError if one is given twice, or is not
    UTF-8.
    """
    base, mark, query = url.partition("?")
    if not mark:
        return url, {}
    if not _is_text(query):
        raise UsageError("the lock URL: its options are not UTF-8")
    ours: dict[str, str] = {}
    rest = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in names:
            rest.append((key, value))
        elif key in ours:
            raise UsageError(f"the lock URL gives {key!a} twice")
        else:
            ours[key] = value
    return (f"{base}?{urlencode(rest)}" if rest else base), ours


def _is_text(word: str) -> bool:
    """False if it came from bytes that are no UTF-8."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def redact(url: str) -> str:
    """The URL with nothing secret in it: no user's password, no query."""
    scheme, colon, rest = url.partition(":")
    if scheme == "redlock":
        return "redlock:" + ",".join(redact(each) for each in re.split(",(?=rediss?://)", rest))
    slashes, rest = rest[:2] if rest.startswith("//") else "", rest.removeprefix("//")
    place = re.split("[?#]", rest, maxsplit=1)[0]
    if "@" in rest[len(place) :]:  # perhaps a password with a ? or # in it
        return f"{scheme}{colon}{slashes}…"
    account, at, host = place.rpartition("@")
    if not at:
        return f"{scheme}{colon}{slashes}{place}"
    user = account.partition(":")[0]
    return f"{scheme}{colon}{slashes}{user and user + '@'}{host}"
