"""What an exported lifeline needs, from any of the places that can say it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .. import cron
from ..config import schedule, values
from ..config.checking import in_environment
from ..config.envfile import lifelines_own
from ..config.merging import merge, run_options_of
from ..config.reading import Config
from ..errors import UsageError
from ..options import RunOptions

_RUNNERS_LAST = 5.0  # seconds


@dataclass(frozen=True)
class Plan:
    """One lifeline, checked. `given` are the options that are not at their default.

    Of its env_files, `env_file_names` are the variables, `env_file_lines` the places of those
    lines that only lifeline reads.
    """

    name: str
    source: str
    command: tuple[str, ...]
    directory: str
    variables: dict[str, str]
    env_files: tuple[str, ...]
    env_file_names: frozenset[str]
    env_file_lines: tuple[str, ...]
    path: str
    fields: str | None
    options: RunOptions
    given: frozenset[str]

    @property
    def is_scheduled(self) -> bool:
        """True for what runs at times of its own and ends, False for what runs all the time.

        What is always started again runs all the time, however seldom cron looks after it.
        """
        is_ticked_every_minute = self.fields in (None, schedule.EVERY_MINUTE)
        return not is_ticked_every_minute and self.options.restart != "always"

    @property
    def is_told_alone(self) -> bool:
        """True if TERM is for its main process: it wants that, or is a runner and passes it on."""
        return "lock" in self.given or self.options.signal_to == "main"

    @property
    def stop_seconds(self) -> float:
        """From TERM to KILL. A runner has its own KILL first, and releases its lease then."""
        return self.options.grace + (_RUNNERS_LAST if "lock" in self.given else 0)

    @property
    def started_command(self) -> tuple[str, ...]:
        """What the other one has to start: with a lock, lifeline, which alone can keep a lease."""
        if "lock" not in self.given:
            return (self._program(), *self.command[1:])
        return (*cron.program(), "run", self.name, "--config", self.source)

    def _program(self) -> str:
        """The command's program by its absolute path, if it is found here."""
        word = self.command[0]
        if "/" in word:
            return os.path.normpath(os.path.join(self.directory, word))
        return cron.found_in(word, self.path) or word

    def lost(self, kept: frozenset[str]) -> list[str]:
        """The options that were given and have no equivalent, as they are spelled."""
        if "lock" in self.given:
            return []
        return sorted(name.replace("_", "-") for name in self.given - kept - {"name"})


def plan(config: Config, name: str) -> Plan:
    """Everything about a lifeline that an export may need. Raises LifelineError if it is wrong."""
    entry = config.entry(name)
    merged = merge(entry, {}, {})
    variables = values.variables(entry)
    with in_environment(entry):
        options = run_options_of(entry, merged)
    path = variables.get("PATH") or cron.search_path(entry)
    given = frozenset(name for name, value in merged.items() if value.raw is not False)
    return Plan(
        name=name,
        source=entry.path,
        command=values.command(entry),
        directory=values.directory(entry),
        variables=variables,
        env_files=tuple(values.env_files(entry)),
        env_file_names=frozenset(values.file_variables(entry)),
        env_file_lines=tuple(
            where for file in values.env_files(entry) for where in lifelines_own(file)
        ),
        path=path,
        fields=schedule.fields(entry),
        options=options,
        given=given,
    )


def no_line_ends(*texts: str) -> None:
    """Raise UsageError for a text that a file of lines cannot hold."""
    if any("\n" in text or "\r" in text for text in texts):
        raise UsageError("a word with a line end in it cannot be written there")


def not_read(plan: Plan, reader: str) -> list[str]:
    """What to say of lines of an env_file that another reader does not understand."""
    if not plan.env_file_lines:
        return []
    places = ", ".join(plan.env_file_lines)
    return [f"to see to: {reader} reads no include and no export in an env_file: {places}"]
