"""Everything that is wrong with a configuration, one line each."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import LifelineError, UsageError
from ..leases.urls import redact
from . import schedule, values
from .merging import merge, run_options_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .reading import Config, Entry


def problems(config: Config) -> list[str]:
    """A line for each mistake, with its file and line; at most a few for each lifeline."""
    strays = [str(wrong()) for wrong in config.strays.values()]
    return [*strays, *(line for name in config.entries for line in _of(config, name))]


def _of(config: Config, name: str) -> list[str]:
    entry = config.entries[name]
    looks: list[Callable[[], object]] = [
        lambda: config.entry(name),
        lambda: values.command(entry),
        lambda: schedule.fields(entry),
        lambda: _options(entry),
    ]
    found: list[str] = []
    for look in looks:
        try:
            look()
        except LifelineError as error:
            if str(error) not in found:
                found.append(str(error))
    if not os.path.isdir(values.directory(entry)) and not found:
        found.append(f"{entry.where('cwd')}: cwd: there is no {values.directory(entry)}")
    return found


def _options(entry: Entry) -> None:
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
