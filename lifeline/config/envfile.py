"""Files of environment variables: NAME=value lines, as systemd, Docker and honcho read them.

A line `include FILE` (or `. FILE`, `source FILE`, which shells understand as well) reads another
file first, relative to the one that names it.
"""

from __future__ import annotations

import os
import re

from ..errors import UsageError
from ..options import _CONVERT, _FLAGS
from ..toml import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_INCLUDE = re.compile(r"(?:include|source|\.)\s+(.+)")
VARIABLE = re.compile(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[^}]*\}?)")
_EXPORT = "export "
_DEEPEST = 20  # files

# They say where lifeline finds what it knows: in a file they would hold for some verbs only.
OURS = frozenset(("LIFELINE_STATE_DIR", "LIFELINE_CONFIG", "LIFELINE_RUN"))
# Keys of the table say the same, and every verb knows of them. LIFELINE_NAME is for the job.
_OPTIONS = {f"LIFELINE_{name.upper()}": name for name in (*_CONVERT, *_FLAGS) if name != "name"}


def read_env_file(path: str, above: tuple[str, ...] = ()) -> dict[str, str]:
    """The variables of a file and of those that it includes; a later line wins.

    Raises UsageError with the line of what is wrong, also for files that include each other;
    CannotTell if one cannot be read. No message shows a value: it may be a secret.
    """
    path = os.path.abspath(path)
    if os.path.realpath(path) in map(os.path.realpath, above):
        round_trip = " includes ".join([*above[above.index(path) if path in above else 0 :], path])
        raise UsageError(f"it goes round in a circle: {round_trip}")
    if len(above) >= _DEEPEST:
        raise UsageError(f"{above[0]} leads through more than {_DEEPEST} files")
    found: dict[str, str] = {}
    for number, line in _lines(path):
        include = _INCLUDE.match(line)
        if include:
            other = os.path.join(os.path.dirname(path), _value(include.group(1), path, number))
            found.update(read_env_file(other, (*above, path)))
        else:
            name, value = _assignment(line, path, number)
            found[name] = value
    return found


def lifelines_own(path: str) -> Iterator[str]:
    """FILE:LINE of each line that others, who read NAME=value, do not understand."""
    for number, line in _lines(path):
        if _INCLUDE.match(line) or line.startswith(_EXPORT):
            yield f"{path}:{number}"


def with_dollar(path: str) -> Iterator[str]:
    """FILE:LINE of each value that a shell would have put variables into."""
    for number, line in _lines(path):
        _, _, text = line.partition("=")
        text = re.sub(r"\\.", "", text.strip())
        if not _INCLUDE.match(line) and not text.startswith("'") and VARIABLE.search(text):
            yield f"{path}:{number}"


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with their numbers."""
    for number, line in enumerate(map(str.strip, read_text(path).splitlines()), 1):
        if line and not line.startswith("#"):
            yield number, line


def check_variable(name: str, where: str) -> None:
    """Raise UsageError unless a lifeline's environment can have a variable of that name."""
    if not NAME.match(name):
        raise UsageError(f"{where}: {name!a} cannot be the name of a variable")
    if name in OURS:
        raise UsageError(
            f"{where}: {name} has to be in the environment of every lifeline call, not in a file"
        )
    if name in _OPTIONS:
        raise UsageError(
            f"{where}: {name} would be seen by some verbs only: "
            f"write {_OPTIONS[name]} = … in the lifeline's table"
        )


def _assignment(line: str, path: str, number: int) -> tuple[str, str]:
    name, equals, text = line.removeprefix(_EXPORT).lstrip().partition("=")
    if not equals:
        raise UsageError(f"{path}:{number}: it is neither NAME=value nor include FILE")
    check_variable(name.rstrip(), f"{path}:{number}")
    return name.rstrip(), _value(text.strip(), path, number)


def _value(text: str, path: str, number: int) -> str:
    """What stands in quotes, or up to a comment; `\\n`, `\\"` and `\\\\` count in double quotes."""
    if text[:1] in ("'", '"'):
        quote = text[0]
        pattern = r'"((?:\\.|[^"\\])*)"' if quote == '"' else r"'([^']*)'"
        found = re.match(pattern + r"\s*(?:#.*)?\Z", text)
        if not found:
            raise UsageError(f"{path}:{number}: the quote is not closed, or more follows it")
        value = found.group(1)
        if quote == '"':
            value = re.sub(r"\\(.)", _unescaped, value)
    else:
        value = re.split(r"\s#", text, maxsplit=1)[0].rstrip()
    if "\0" in value:
        raise UsageError(f"{path}:{number}: a value cannot hold a NUL")
    return value


def _unescaped(found: re.Match[str]) -> str:
    letter = found.group(1)
    return {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "$": "$", "`": "`"}.get(
        letter, "\\" + letter
    )
