"""What the keys of a lifeline mean: command, directory, environment, options of `run`."""

from __future__ import annotations

import os
import shlex

from .. import options as run_options
from ..errors import CannotTell, UsageError
from .envfile import check_variable, read_env_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .reading import Entry

    Raw = str | bool

#: In a command that is split but run without a shell, these would be arguments like any other.
_OF_A_SHELL = frozenset(("&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1"))


def command(entry: Entry) -> tuple[str, ...]:
    """The argument list. Raises UsageError if there is none that can be run."""
    given = entry.keys.get("command")
    if given is None:
        raise entry.wrong("", f"{entry.name} has no command")
    if isinstance(given, str):
        given = _split(entry, given)
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        raise entry.wrong("command", 'command is a text or a list of texts: ["program", "word"]')
    if not given or not given[0]:
        raise entry.wrong("command", "the command's first word is missing or empty")
    if any("\0" in word for word in given):
        raise entry.wrong("command", "no word of a command can hold a NUL")
    return tuple(given)


def _split(entry: Entry, text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise entry.wrong("command", f"command: {str(error).lower()}") from None
    for word in words:
        if word in _OF_A_SHELL:
            raise entry.wrong(
                "command", f'no shell runs the command, and {word} needs one: ["sh", "-c", "…"]'
            )
    return words


def directory(entry: Entry) -> str:
    """The working directory: `cwd`, relative to the file, or that of the file."""
    given = entry.keys.get("cwd", ".")
    if not isinstance(given, str) or not given or "\0" in given:
        raise entry.wrong("cwd", "cwd is the path of a directory")
    return os.path.normpath(os.path.join(entry.directory, given))


def environment(entry: Entry) -> dict[str, str]:
    """What is added to the environment: of `env_file`, then of `env`, which wins."""
    return {**file_variables(entry), **variables(entry)}


def file_variables(entry: Entry) -> dict[str, str]:
    """The variables of the files of `env_file`; a later file wins."""
    found: dict[str, str] = {}
    for path in env_files(entry):
        try:
            found.update(read_env_file(path))
        except (CannotTell, UsageError) as error:
            told = f"{entry.where('env_file')}: {entry.name}: env_file: {error}"
            raise type(error)(told) from None
    return found


def env_files(entry: Entry) -> list[str]:
    """The absolute paths of the files of environment variables, in their order."""
    given = entry.keys.get("env_file", [])
    paths = [given] if isinstance(given, str) else given
    if not isinstance(paths, list) or not all(isinstance(each, str) and each for each in paths):
        raise entry.wrong("env_file", "env_file is a path, or a list of paths")
    return [os.path.normpath(os.path.join(entry.directory, each)) for each in paths]


def variables(entry: Entry) -> dict[str, str]:
    """The variables of the table `env`."""
    given = entry.keys.get("env", {})
    if not isinstance(given, dict):
        raise entry.wrong("env", 'env is a table: { NAME = "value" }')
    return {name: _variable(entry, name, value) for name, value in given.items()}


def _variable(entry: Entry, name: str, value: object) -> str:
    check_variable(name, entry.where("env"))
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise entry.wrong("env", f"env: the value of {name} is a text or a number")
    if "\0" in str(value):
        raise entry.wrong("env", f"env: the value of {name} cannot hold a NUL")
    return str(value)


# --- options of `run` -------------------------------------------------------------------------


def file_options(entry: Entry) -> dict[str, Raw]:
    """The options of `lifeline run` that the file gives, as the command line would have them.

    Raises UsageError with the line of the first one that cannot be meant.
    """
    return {name: file_option(entry, name) for name in entry.keys if is_option(name)}


def is_option(name: str) -> bool:
    """True for an option of `lifeline run`."""
    return name in run_options._FLAGS or name in run_options._CONVERT


def file_option(entry: Entry, name: str) -> Raw:
    """What the file gives for an option. Raises UsageError if that cannot be meant."""
    value = entry.keys[name]
    if name in run_options._FLAGS:
        if not isinstance(value, bool):
            raise entry.wrong(name, f"{name} is true or false, not {_spelled(value)}")
        return value
    if value is True and name in run_options._ALONE:
        return run_options._ALONE[name]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise entry.wrong(name, f"{name} is a text or a number, not {_spelled(value)}")
    text = str(value)
    if is_path(name) and text:
        text = os.path.join(entry.directory, text)
    return text


def _spelled(value: object) -> str:
    """A value as TOML has it, as far as that differs where a mistake is told."""
    return str(value).lower() if isinstance(value, bool) else f"{value!r:.40}"


def is_path(name: str) -> bool:
    """True for an option whose value is the path of a file."""
    return run_options._CONVERT.get(name) is run_options._path


def environment_options(environ: Mapping[str, str]) -> dict[str, Raw]:
    """The options that variables give: LIFELINE_TIMEOUT=1h is `--timeout 1h`.

    Not the name: what a lifeline starts has LIFELINE_NAME in its environment.
    """
    return {
        name: _flag(name, text) if name in run_options._FLAGS else text
        for name, text in _of_options(environ)
    }


def option_variables(environ: Mapping[str, str]) -> list[str]:
    """The names of the variables that give options."""
    return [variable(name) for name, _ in _of_options(environ)]


def _of_options(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in (*run_options._CONVERT, *sorted(run_options._FLAGS)):
        text = environ.get(variable(name), "")
        if text and name != "name":
            yield name, text


def variable(name: str) -> str:
    """The variable of an option: LIFELINE_MAX_MEMORY of `max_memory`."""
    return f"LIFELINE_{name.upper()}"


_WORDS = {"1": True, "true": True, "yes": True, "on": True}
_WORDS.update({"0": False, "false": False, "no": False, "off": False})


def _flag(name: str, text: str) -> bool:
    if text.lower() not in _WORDS:
        raise UsageError(f"{variable(name)} takes 1 or 0, not {text!r:.40}")
    return _WORDS[text.lower()]


def check_option(name: str, raw: Raw, origin: str) -> None:
    """Raise UsageError, which names the origin, for a value that the option cannot have."""
    if isinstance(raw, bool):
        return
    label = f"{origin}: {name}"
    try:
        run_options._CONVERT[name](label, raw)
    except UsageError as error:
        told = str(error)
        raise UsageError(told if told.startswith(label) else f"{label}: {told}") from None
