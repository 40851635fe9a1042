"""What other verbs need to know of a name."""

from __future__ import annotations

from ..errors import LifelineError
from . import reading, values


def called(name: str) -> str:
    """The name that the lifeline of the file has among processes: its own unless it says so.

    `name` itself if no file here has it: names also come from `--name`. Raises LifelineError if
    there is a file that cannot be read, for it could say otherwise.
    """
    config = reading.here()
    return config.entry(name).called if config and name in config.entries else name


def option(name: str, key: str) -> str | None:
    """The text that the file has for an option of a lifeline, None without."""
    config = reading.here()
    if config is None or name not in config.entries:
        return None
    found = values.file_options(config.entry(name)).get(key)
    return found if isinstance(found, str) else None


def complete(beginning: str) -> list[str]:
    """The names of the file that begin so: for the shell, so nothing is ever raised."""
    try:
        config = reading.here()
    except LifelineError:
        return []
    return [name for name in config.entries if name.startswith(beginning)] if config else []
