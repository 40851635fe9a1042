"""Every error that lifeline raises on purpose: its data, its message, its exit code.

The message always fits one line and names the next step. `exit_code` is what the command
line returns; the table is in docs/exit-codes.md and each row has a test.
"""

import sys

EXIT_RUNNING = 0  # a twin is running: cron stays quiet
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3  # `status`: nothing there
EXIT_CANNOT_TELL = 75  # EX_TEMPFAIL of sysexits.h
EXIT_LOST = 76  # the lease was lost and the job was ended
EXIT_CANNOT_EXECUTE = 126  # POSIX shells, 2.8.2
EXIT_NOT_FOUND = 127
EXIT_SIGNAL_BASE = 128  # 128 + n: signal n ended the job


class LifelineError(Exception):
    """Base of everything lifeline raises on purpose."""

    exit_code = 1


class UsageError(LifelineError):
    """The call itself is wrong: an option, a name, a duration."""

    exit_code = EXIT_USAGE


class CannotTell(LifelineError):
    """It cannot be seen whether a twin is running, so nothing was started."""

    exit_code = EXIT_CANNOT_TELL


class StateUnusable(CannotTell):
    """The state directory cannot be trusted or written.

    `path` is the directory, `reason` says what is wrong with it.
    """

    def __init__(self, path: bytes, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"state directory {show(path)} {reason}; mend it or point LIFELINE_STATE_DIR elsewhere"
        )


class DiskFull(StateUnusable):
    """The state directory is sound, but nothing more fits into it (or the disk fails)."""


class StoreError(LifelineError):
    """A store gave no answer, or none that proves anything: nothing was started.

    The message names the store without its secrets, says what failed and what to do.
    """

    exit_code = EXIT_CANNOT_TELL


class StoreUnreachable(StoreError):
    """No answer, for now: a connection that fails, hangs or breaks. Trying again may help."""


class StoreRefused(StoreError):
    """The store answers and says no: a password, a right, a missing table. People have to act."""


class SlotsMismatch(UsageError):
    """The name is held with another number of slots."""

    def __init__(self, name: str, theirs: int, ours: int) -> None:
        self.name = name
        self.theirs = theirs
        self.ours = ours
        super().__init__(
            f"{show(name.encode())} is held with {theirs} slots, not {ours}: give every machine "
            "the same number, and change it while nobody holds one"
        )


class LeaseLost(LifelineError):
    """The lease is not this holder's any more: stop the work."""

    exit_code = EXIT_LOST


class CommandFailed(LifelineError):
    """The job could not be started. `program` is what was asked for."""

    def __init__(self, program: bytes, reason: str, exit_code: int) -> None:
        self.program = program
        self.exit_code = exit_code
        super().__init__(f"{show(program)}: {reason}")


def complain(message: object) -> None:
    """One line on stderr. If that is closed or full, the exit code has to do."""
    text = show(str(message).encode("utf-8", "backslashreplace"), 1000)
    try:
        sys.stderr.write(f"lifeline: {text}\n")
    except (AttributeError, OSError):  # closed before Python began, broken, full
        pass


def show(value: bytes, limit: int = 200) -> str:
    """`value` as text that is safe to print on one line, cut after `limit` characters."""
    text = value.decode("utf-8", "backslashreplace")
    safe = printable(text[: limit + 1])
    return safe if len(text) <= limit else safe[:limit] + "…"


def printable(text: str) -> str:
    """`text` without what a terminal would obey: line ends, escape codes, changes of direction."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def show_words(words: "tuple[bytes, ...] | list[bytes]", limit: int = 200) -> str:
    """An argument list as a person would type it in a shell, safe to print, cut after `limit`.

    Without the passwords of its URLs. Empty words at the end are left out: a rewritten title leaves
    dozens of them.
    """
    return show(typed([without_secrets(word) for word in words]), limit)


def show_word(word: bytes) -> str:
    """One word of an argument list, whole, but for the passwords of its URLs."""
    return show(without_secrets(word), 1 << 20)


def typed(words: "tuple[bytes, ...] | list[bytes]") -> bytes:
    """An argument list as a person would type it in a shell."""
    words = list(words)
    while words and not words[-1]:
        words.pop()
    return b" ".join(_quoted(word) for word in words)


def warn_of_password(url: str) -> None:
    """Say so if the URL is on this process's command line with a password in it."""
    is_given = any(url in word for word in sys.argv)
    if is_given and without_secrets(raw := url.encode("utf-8", "surrogateescape")) != raw:
        complain(
            "the lock URL on the command line holds a password, which everybody can see: "
            "use --lock env:NAME or --lock secret-file:PATH"
        )


def without_secrets(word: bytes) -> bytes:
    """The word without the passwords of the URLs in it, wherever those have one.

    Written out by hand: a tick has neither `re` nor `urllib`.
    """
    scheme, *urls = word.split(b"://")
    return b"://".join((scheme, *map(_without_password, urls)))


def _without_password(url: bytes) -> bytes:
    """`url` begins after its `//`, and may go on with other things, as `redlock:` does."""
    end = min((at for at in map(url.find, (b"/", b"?", b"#")) if at >= 0), default=len(url))
    place, rest = url[:end], url[end:]
    account, at, host = place.rpartition(b"@")
    if at:
        user = account.partition(b":")[0]
        place = user + at + host if user else host
    elif b":" in place and b"@" in rest:  # perhaps a password with a / or ? or # in it
        place, rest = b"", rest.rpartition(b"@")[2]
    path, mark, query = rest.partition(b"?")
    return place + path + mark + b"&".join(map(_without_value, query.split(b"&")))


def _without_value(option: bytes) -> bytes:
    key, sign, _ = option.partition(b"=")
    is_secret = any(each in key.lower() for each in (b"pass", b"secret", b"token"))
    return key + sign if is_secret else option


_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")


def _quoted(word: bytes) -> bytes:
    if word and _PLAIN.issuperset(word):
        return word
    return b"'" + word.replace(b"'", b"'\\''") + b"'"
