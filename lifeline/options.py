"""What `lifeline run` was asked to do, read without typer: this is on the tick's path.

Values are converted only if they were given; nearly every tick gives none.
"""

import os

from .errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NAME_LIMIT = 300  # characters
# Seconds. From its exec to its leaving a starter takes a tenth, a busy machine makes that several;
# who gives up sooner leaves as well, and nobody runs.
LEAST_SETTLE = 1.0


class RunOptions:
    """The options of `lifeline run`, checked. Durations in seconds, sizes in bytes."""

    name: "bytes | None" = None
    exec = False
    on_running = "skip"
    exit_code_if_running = 0
    settle: "float | None" = None
    leftovers = "end"
    grace = 10.0
    signal_to = "group"
    timeout: "float | None" = None
    max_memory: "int | None" = None
    restart = "never"
    backoff = (1.0, 60.0)
    jitter = 0.0
    log: "bytes | None" = None
    log_size = 10_000_000
    log_keep = 5
    timestamps = False
    quiet = False
    ping: "str | None" = None
    ping_every: "float | None" = None
    heartbeat: "bytes | None" = None
    heartbeat_timeout: "float | None" = None
    on_start: "str | None" = None
    on_exit: "str | None" = None
    on_signal: "str | None" = None
    forward_signals: "dict[str, int]" = {}  # noqa: RUF012 -- by name; never changed in place
    syslog = False
    lock: "str | None" = None
    slots = 1
    wait = 0.0
    ttl = 30.0
    per_host = 1

    def __init__(self, command: "tuple[bytes, ...]", **given: object) -> None:
        """`given` maps the names above to values as they were written, or already converted."""
        self.command = command
        for name, value in given.items():
            option = "--" + name.replace("_", "-")
            if isinstance(value, str):
                setattr(self, name, _CONVERT[name](option, value))
            elif value is not None:
                setattr(self, name, value)
        if not command:
            raise UsageError("no command: write it after two dashes, lifeline run -- CMD…")
        if not command[0]:
            raise UsageError("the command's first word is empty")
        self._check_together({name for name, value in given.items() if value not in (None, False)})

    def _check_together(self, given: "set[str]") -> None:
        for name, needs in _NEEDS:
            if name in given and needs not in given:
                raise UsageError(f"{_spell(name)} needs {_spell(needs)}")
        if self.exec and self.lock and self.lock == os.environ.get("LIFELINE_LOCK"):
            raise UsageError(
                "--exec leaves no runner to hold the lease that LIFELINE_LOCK asks for"
            )
        if self.exec:
            for name in sorted(given & _OF_A_RUNNER):
                raise UsageError(f"{_spell(name)} needs a runner, and --exec leaves none")
        if self.per_host != 1 and "on_running" in given:
            raise UsageError("--per-host lets twins run beside each other: no --on-running then")
        if "backoff" in given and self.restart == "never":
            raise UsageError("--backoff needs --restart on-failure or --restart always")


def parse_run(arguments: "list[str]") -> RunOptions:
    """The options in what follows `run`. Raises UsageError with one line for each mistake."""
    values, dashes = read_values(arguments)
    command = tuple(os.fsencode(word) for word in arguments[dashes + 1 :])
    return RunOptions(command, **with_lock(values))


def with_lock(values: "dict[str, object]") -> "dict[str, object]":
    """`values`, with the store of LIFELINE_LOCK if they name none: the one variable that counts for
    a command after two dashes, too.
    """
    return {"lock": os.environ.get("LIFELINE_LOCK") or None, **values}


def read_values(arguments: "list[str]") -> "tuple[dict[str, object], int]":
    """What each option was given, as it was written, and where the two dashes stand."""
    values: dict[str, object] = {}
    at = 0
    while at < len(arguments) and arguments[at] != "--":
        word, equals, attached = arguments[at].partition("=")
        name = word[2:].replace("-", "_") if word.startswith("--") else ""
        if name in _FLAGS:
            if equals:
                raise UsageError(f"{word} takes no value")
            values[name] = True
        elif name in _CONVERT and "_" not in word:
            if name in _ALONE and not equals and not _is_value(arguments[at + 1 :]):
                attached = _ALONE[name]
            elif not equals:
                at += 1
                if at >= len(arguments) or arguments[at] == "--":
                    raise UsageError(f"{word} needs a value")
                attached = arguments[at]
            values[name] = attached
        elif word.startswith("-"):
            raise UsageError(f"no such option: {word}{_hint(word)} (see lifeline run --help-all)")
        else:
            raise UsageError(
                f"unexpected {arguments[at]!r}: write two dashes before the command, "
                "lifeline run -- CMD…"
            )
        at += 1
    return values, at


def _is_value(rest: "list[str]") -> bool:
    """True if the next word belongs to the option before it, which can do without."""
    return bool(rest) and not rest[0].startswith("-")


# --- values -----------------------------------------------------------------------------------


def check_name(name: str) -> str:
    """`name`, if it can be one. Raises UsageError otherwise."""
    if not name:
        raise UsageError("a name cannot be empty")
    if len(name) > _NAME_LIMIT:
        raise UsageError(f"a name has at most {_NAME_LIMIT} characters, this one {len(name)}")
    if "/" in name or name.startswith("-"):
        raise UsageError(f"a name has no slash and does not begin with a dash: {name!a}")
    if not name.isprintable():
        raise UsageError(f"a name has printable characters only: {name!a}")
    return name


def _name(_option: str, text: str) -> bytes:
    return os.fsencode(check_name(text))


def _text(option: str, text: str) -> str:
    if not text:
        raise UsageError(f"{option} cannot be empty")
    return text


def _path(option: str, text: str) -> bytes:
    return os.path.abspath(os.fsencode(_text(option, text)))


def _one_of(*allowed: str) -> "Callable[[str, str], str]":
    def convert(option: str, text: str) -> str:
        if text not in allowed:
            raise UsageError(f"{option} takes {', '.join(allowed)}, not {text!r}")
        return text

    return convert


def _number(least: int, most: int) -> "Callable[[str, str], int]":
    def convert(option: str, text: str) -> int:
        if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
            return int(text)
        raise UsageError(f"{option} takes a number from {least} to {most}, not {text!r}")

    return convert


def _seconds(option: str, text: str) -> float:
    from .clock import parse_duration  # nearly no tick has a duration to read

    try:
        return parse_duration(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def _some_seconds(option: str, text: str) -> float:
    seconds = _seconds(option, text)
    if seconds <= 0:
        raise UsageError(f"{option} has to be more than nothing")
    return seconds


def _settle(option: str, text: str) -> float:
    seconds = _seconds(option, text)
    if seconds < LEAST_SETTLE:
        raise UsageError(
            f"{option} has to be {LEAST_SETTLE:g}s or more: "
            "younger starters need that long to look and to leave"
        )
    return seconds


def _wait(option: str, text: str) -> float:
    return float("inf") if text == _ALONE["wait"] else _seconds(option, text)


def _range(option: str, text: str) -> "tuple[float, float]":
    first, dots, longest = text.partition("..")
    low = _some_seconds(option, first)
    high = _some_seconds(option, longest) if dots else low
    if high < low:
        raise UsageError(f"{option} goes from the shortest to the longest: 1s..60s")
    return low, high


def _signals(option: str, text: str) -> "dict[str, int]":
    """The numbers of USR1,HUP or SIGUSR1,SIGHUP, by full name."""
    import _signal  # type: ignore[import-not-found]  # below `signal`, and without its enums

    found = {}
    for word in text.upper().split(","):
        name = "SIG" + word.strip().removeprefix("SIG")
        number = getattr(_signal, name, None)
        if not isinstance(number, int) or name.startswith("SIG_"):
            raise UsageError(f"{option} takes signals with commas between them, USR1,HUP: {word!a}")
        found[name] = number
    return found


def _url(option: str, text: str) -> str:
    """The URL itself, or what `env:NAME` names. It is a secret: no message shows any of it."""
    if text.startswith("env:"):
        name = text[4:]
        text = os.environ.get(name, "")
        if not text:
            raise UsageError(f"{option}: the environment variable {name!a} is not set")
    scheme, _, rest = text.partition("://")
    place = rest.partition("/")[0].partition("?")[0]
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):  # an IPv6 address has colons of its own
        host, port = place, "80"
    if scheme not in ("http", "https"):
        raise UsageError(f"{option}: the URL has to begin with http:// or https://")
    if not (text.isascii() and text.isprintable()) or " " in text or "#" in text:
        raise UsageError(f"{option}: the URL holds a character that has no place there")
    if not host or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise UsageError(f"{option}: the URL names no host, or no port that can be one")
    return text


def _size(option: str, text: str) -> int:
    from .sizes import parse_size

    return parse_size(option, text)


_CONVERT: "dict[str, Callable[[str, str], object]]" = {
    "name": _name,
    "on_running": _one_of("skip", "wait", "replace"),
    "exit_code_if_running": _number(0, 255),
    "settle": _settle,
    "leftovers": _one_of("end", "count"),
    "grace": _seconds,
    "signal_to": _one_of("group", "main"),
    "timeout": _some_seconds,
    "max_memory": _size,
    "restart": _one_of("never", "on-failure", "always"),
    "backoff": _range,
    "jitter": _seconds,
    "log": _path,
    "log_size": _size,
    "log_keep": _number(0, 1000),
    "ping": _url,
    "ping_every": _some_seconds,
    "heartbeat": _path,
    "heartbeat_timeout": _some_seconds,
    "on_start": _text,
    "on_exit": _text,
    "on_signal": _text,
    "forward_signals": _signals,
    "lock": _text,
    "slots": _number(1, 1000),
    "wait": _wait,
    "ttl": _some_seconds,
    "per_host": _number(0, 1000),
}
_ALONE = {"wait": "ever"}  # options that can stand without a value, and what that means
_FLAGS = frozenset(("exec", "timestamps", "quiet", "syslog"))
_NEEDS = (
    ("log_size", "log"),
    ("log_keep", "log"),
    ("ping_every", "ping"),
    ("heartbeat", "heartbeat_timeout"),
    ("heartbeat_timeout", "heartbeat"),
    ("slots", "lock"),
    ("wait", "lock"),
    ("ttl", "lock"),
    ("per_host", "lock"),
    ("on_signal", "lock"),
    ("forward_signals", "lock"),
)
# What somebody has to stay for.
_OF_A_RUNNER = frozenset(
    (
        *("grace", "signal_to", "timeout", "max_memory", "restart", "log", "timestamps", "quiet"),
        *("ping", "heartbeat", "on_start", "on_exit", "lock", "on_signal", "forward_signals"),
    )
)


def _spell(name: str) -> str:
    return "--" + name.replace("_", "-")


def _hint(word: str) -> str:
    from difflib import get_close_matches  # only for a mistake

    near = get_close_matches(word, map(_spell, (*_FLAGS, *_CONVERT)), 1)
    return f", did you mean {near[0]}?" if near else ""
