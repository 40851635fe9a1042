"""Everything that is wrong with a configuration, one line each."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from ..errors import LifelineError, UsageError
from ..leases.urls import redact
from . import schedule, values
from .envfile import VARIABLE, with_dollar
from .merging import merge, run_options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .reading import Config, Entry


_SHELLS = ("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh")
_SINGLE_QUOTED = re.compile(r"'[^']*'|\\.")
_DOUBLE_QUOTED = re.compile(r'"[^"]*"')


def problems(config: Config) -> list[str]:
    """A line for each mistake, with its file and line."""
    strays = [str(wrong()) for wrong in config.strays.values()]
    found = (line for name in config.entries for line in problems_of(config, name))
    # What is wrong with two of them, or with the environment, is told by each.
    return list(dict.fromkeys([*strays, *found]))


def problems_of(config: Config, name: str) -> list[str]:
    """A line for each mistake of one lifeline."""
    entry = config.entries[name]
    found = [str(error) for error in entry.wrong_keys()]
    found += _told(
        [
            lambda: config.entry(name),
            lambda: values.command(entry),
            lambda: values.directory(entry),
            lambda: schedule.fields(entry),
        ]
    )
    wrong = _told([lambda: values.variables(entry), lambda: values.file_variables(entry)])
    with in_environment(None if wrong else entry):
        found += [*wrong, *_told(partial(_option, entry, key) for key in entry.keys)]
    found += _told([lambda: _options_here(os.environ)])
    if not found:
        found = _told([lambda: _put_together(entry)])
    if not found and not os.path.isdir(values.directory(entry)):
        found = [f"{entry.where('cwd')}: cwd: there is no {values.directory(entry)}"]
    return found


def _option(entry: Entry, key: str) -> None:
    """One option of the file by itself."""
    if values.is_option(key):
        values.check_option(key, values.file_option(entry, key), entry.where(key))


def _options_here(environ: Mapping[str, str]) -> None:
    """The options that the environment gives to every lifeline."""
    for name, raw in values.environment_options(environ).items():
        values.check_option(name, raw, f"environment ({values.variable(name)})")


def _told(looks: Iterable[Callable[[], object]]) -> list[str]:
    """What each look raises, once."""
    found: dict[str, None] = {}
    for look in looks:
        try:
            look()
        except LifelineError as error:
            found[str(error)] = None
    return list(found)


def _put_together(entry: Entry) -> None:
    """As `run` would read them: what is named by `env:NAME` may come from the entry's env_file."""
    merged = merge(entry, {}, os.environ)
    with in_environment(entry):
        options = run_options_of(entry, merged)
        if options.lock is None:
            return
        from ..leasing import terms_of

        try:
            terms_of(options)
        except UsageError as error:
            raise entry.wrong("lock", f"{entry.name}: {error}") from None


def scaler_problems(config: Config) -> list[str]:
    """A line for each mistake in the `[scale.NAME]` tables of the file."""
    if not config.scalers:
        return []
    from ..scaling.config import problems as wrong  # most files have none

    return wrong(config.path)


def literal(config: Config) -> Iterator[str]:
    """What looks as if a shell were to read it, though none does. It may be meant as it stands."""
    for entry in config.entries.values():
        text = entry.keys.get("command")
        if isinstance(text, str) and (words := _of_a_shell(text)):
            told = f"no shell runs the command: {' '.join(words)} is taken as it stands"
            yield f"{entry.where('command')}: {told}"
        for file in values.env_files(entry):
            for where in with_dollar(file):
                yield f"{where}: $NAME in an env_file is taken as it stands"


def _of_a_shell(text: str) -> list[str]:
    """The words of a command that a shell would put something else in place of."""
    words = shlex.split(text)
    if "-c" in words and os.path.basename(words[0]) in _SHELLS:
        return []  # there is one
    plain = _DOUBLE_QUOTED.sub("", text := _SINGLE_QUOTED.sub("", text))
    found = [each.group() for each in VARIABLE.finditer(text)]
    found += [word for word in plain.split() if "*" in word or word.startswith("~")]
    return found


@contextmanager
def in_environment(entry: Entry | None) -> Iterator[None]:
    """Inside, this process has the environment that the lifeline would have."""
    before = dict(os.environ)
    try:
        os.environ.update(values.environment(entry) if entry else {})
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def shown(name: str, raw: str | bool) -> str:
    """An option's value as it may be printed: no password, no monitor's secret path."""
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if raw.startswith(("env:", "secret-file:")):
        return raw
    if name == "lock":
        return redact(raw)
    if name == "ping":
        scheme, _, rest = raw.partition("://")
        return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2].partition('?')[0]}/…"
    return raw


def open_secret(config: Config) -> str | None:
    """The key whose value is a secret in a file that everybody can read, None if there is none."""
    try:
        if not os.stat(config.path).st_mode & stat.S_IROTH:
            return None
    except OSError:
        return None
    for entry in config.entries.values():
        for name in ("lock", "ping"):
            raw = entry.keys.get(name)
            if isinstance(raw, str) and _is_secret(name, raw):
                return f"{entry.where(name)}: {name}"
    return None


def _is_secret(name: str, raw: str) -> bool:
    if raw.startswith(("env:", "secret-file:")):
        return False
    return name == "ping" or ":" in raw.partition("://")[2].rpartition("@")[0]
