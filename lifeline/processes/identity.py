"""What a command is: argument lists made comparable, whoever spelled them.

Two argument lists are the same command if and only if `identify` gives them the same words
(and the same environment, where both show one). Nothing is ever joined to one string, nothing
is matched by substring or regular expression: `"a b" c` is not `a "b c"`.

* A script counts by its absolute path, however its interpreter was spelled: `python job.py` in
  /srv, `/venv/bin/python3 -u /srv/job.py` and `/srv/job.py` (where the kernel puts the
  interpreter of the `#!` line in front) are one command. Links are not resolved.
* `python -m module` counts by module, and by the interpreter's environment where it shows.
* `python -c text` counts by its text. Arguments always count.
* `invoke` counts by project directory and task; `x.lifeline` and `x.run` are one.
* `lifeline run -- CMD` is a runner of CMD; `lifeline run --name X` and `lifeline run X`, whose
  command is in a file, are runners of X.
* Anything else is the program, found through PATH, and its arguments.
* `nice`, `ionice`, `nohup` and `env` without assignments replace themselves by what they start,
  and are stepped over. `env A=1 …`, `timeout`, `flock` and `sudo` are part of the command.

Pure: whatever must be asked of the system is asked of the `Place` that is passed in.
"""

import os.path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    Words = tuple[bytes, ...]

    class Place(Protocol):
        """Where an argument list was found: what relative names in it mean.

        `absolute` joins a relative path to the process's working directory, `program` finds the
        program that the process itself runs, `search` finds one as exec would, `environment`
        gives the prefix that an interpreter shows or None, `shebang` the words that a `#!` line
        puts in front or `()`, and `is_file` tells whether an absolute path names a file.
        """

        def absolute(self, path: bytes) -> bytes: ...
        def program(self, name: bytes) -> bytes: ...
        def search(self, name: bytes) -> bytes: ...
        def environment(self, interpreter: bytes) -> "bytes | None": ...
        def shebang(self, path: bytes) -> "Words": ...
        def is_file(self, path: bytes) -> bool: ...


class Identity:
    """What a process is: `words` (comparable), `environment` (of `python -m`), `runner`.

    `runner` is true for a `lifeline run` process; its words are those of the command that it
    runs. `name` is set if `--name` replaced the command.
    """

    __slots__ = ("environment", "runner", "words")

    def __init__(
        self, words: "Words", environment: "bytes | None" = None, runner: bool = False
    ) -> None:
        self.words = words
        self.environment = environment
        self.runner = runner

    def __repr__(self) -> str:
        return f"Identity({self.words!r}, {self.environment!r}, runner={self.runner})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Identity)
            and self.words == other.words
            and self.environment == other.environment
            and self.runner == other.runner
        )

    def __hash__(self) -> int:
        return hash((self.words, self.environment, self.runner))

    @property
    def name(self) -> "bytes | None":
        """The `--name` that stands for the command, if one was given."""
        return self.words[1] if self.words[0] == b"name" else None

    def same_command(self, other: "Identity") -> bool:
        """True if both are the same command, whether run plainly or by a runner."""
        if self.words != other.words:
            return False
        mine, theirs = self.environment, other.environment
        return mine is None or theirs is None or mine == theirs


def named(name: bytes) -> Identity:
    """The identity of everything started with `--name NAME`."""
    return Identity((b"name", name))


def identify(argv: "Words", place: "Place") -> Identity:
    """What `argv`, found at `place`, is. Never raises, whatever bytes it is given."""
    started = _step_over_wrappers(argv)
    if started is not argv:
        argv, place = started, _Started(place)
    if not argv or not argv[0]:
        return Identity((b"run", *argv))
    family = _family(argv[0])
    if family == b"python":
        return _identify_python(argv, place)
    if family:
        from .interpreters import script_of

        at, counted = script_of(family, argv)
    else:
        at, counted = 0, ()
    if not at and family not in SHELLS:  # `sh -c text`: no word of it is a script
        at = _shebang_at(argv, place)
    if at:
        return _identify_script(argv[at], (*counted, *argv[at + 1 :]), place)
    return _identify_program(argv, place)


def runner_command(arguments: "Words") -> "tuple[bytes | None, Words] | None":
    """The (`--name` value, command) of the arguments of a `lifeline` call, if it is `run`.

    `run NAME` has its command from a file: the name that stands there is its `--name`, unless
    another is given.
    """
    if not arguments or arguments[0] != b"run":
        return None
    name = None
    if b"--" in arguments:
        dashes = arguments.index(b"--")
    elif len(arguments) > 1 and _is_name(arguments[1]):
        dashes, name = len(arguments), arguments[1]
    else:
        return None
    for at in range(1, dashes):
        if arguments[at] == b"--name" and at + 1 < dashes:
            name = arguments[at + 1]
        elif arguments[at].startswith(b"--name="):
            name = arguments[at][len(b"--name=") :]
    return name, arguments[dashes + 1 :]


def _is_name(word: bytes) -> bool:
    """Whether `word` can be a name, and not an option or a path."""
    return bool(word) and not word.startswith(b"-") and b"/" not in word


class _Started:
    """The place of a command that a process is going to start: its program is yet to be found."""

    def __init__(self, place: "Place") -> None:
        self._place = place
        self.absolute = place.absolute
        self.program = place.search
        self.search = place.search
        self.shebang = place.shebang
        self.is_file = place.is_file

    def environment(self, interpreter: bytes) -> "bytes | None":
        return self._place.environment(self._place.search(interpreter))


# --- programs and scripts ---------------------------------------------------------------------


def _identify_program(argv: "Words", place: "Place") -> Identity:
    program = place.program(argv[0])
    return _identify_known(os.path.basename(program), program, argv[1:], place)


def _identify_script(script: bytes, arguments: "Words", place: "Place") -> Identity:
    return _identify_known(os.path.basename(script), place.absolute(script), arguments, place)


def _identify_known(base: bytes, path: bytes, arguments: "Words", place: "Place") -> Identity:
    if base in (b"lifeline", b"lifeline.exe"):
        found = _identify_runner(arguments, place)
        if found:
            return found
    elif base in (b"inv", b"invoke"):
        return Identity(_invoke_words(arguments, place))
    return Identity((b"run", path, *arguments))


def _invoke_words(arguments: "Words", place: "Place") -> "Words":
    from .invoking import words_of  # nearly no tick has one to look at

    return words_of(arguments, place)


def _identify_runner(arguments: "Words", place: "Place") -> "Identity | None":
    found = runner_command(arguments)
    if found is None:
        return None
    name, command = found
    inner = named(name) if name is not None else identify(command, _Started(place))
    return Identity(inner.words, inner.environment, runner=True)


def _family(program: bytes) -> bytes:
    """The kind of interpreter that `program` is by its name, or b""."""
    base = os.path.basename(program)
    if base.startswith((b"python", b"pypy", b"Python")):  # a framework's on macOS has a capital
        rest = base.lower().replace(b"python", b"", 1).replace(b"pypy", b"", 1)
        return b"python" if _VERSION.issuperset(rest) else b""
    stem = base.rstrip(b"0123456789.")
    return stem if stem in _FAMILIES else b""


SHELLS = (b"sh", b"bash", b"dash", b"ash", b"ksh", b"mksh", b"zsh")
_FAMILIES = frozenset((*SHELLS, b"node", b"nodejs", b"ruby", b"perl", b"php", b"java"))
_VERSION = frozenset(b"0123456789.td")  # python3.13t is free-threaded, python3.12d a debug build


def _shebang_at(argv: "Words", place: "Place") -> int:
    """Where the script stands if the words of its `#!` line were put in front, or 0."""
    for at in range(1, min(len(argv), _SHEBANG_WORDS + 1)):
        if argv[at] and place.shebang(argv[at]) == argv[:at]:
            return at
    return 0


_SHEBANG_WORDS = 8  # the kernel gives two, `env -S` more


# --- python -----------------------------------------------------------------------------------


def _identify_python(argv: "Words", place: "Place") -> Identity:
    """Interpreter options are skipped; see "Interface options" in the Python documentation."""
    at = 1
    while at < len(argv):
        word = argv[at]
        if word == b"--check-hash-based-pycs":
            at += 2
            continue
        if word.startswith(b"--") and len(word) > 2:
            at += 1
            continue
        if word == b"--":
            at += 1
            break
        if not word.startswith(b"-") or word == b"-":
            break
        kind, value, at = _python_option(argv, at)
        if kind == b"m":
            return _identify_module(argv[0], value, argv[at:], place)
        if kind == b"c":
            return Identity((b"code", value, *argv[at:]))
    if at >= len(argv) or argv[at] == b"-":
        return Identity((b"run", place.program(argv[0]), *argv[at:]))
    return _identify_script(argv[at], argv[at + 1 :], place)


def _python_option(argv: "Words", at: int) -> "tuple[bytes, bytes, int]":
    """Read the cluster of letters at `at`: (b"m" or b"c" or b"", its value, the next position)."""
    word = argv[at]
    for index in range(1, len(word)):
        letter = word[index : index + 1]
        if letter in (b"m", b"c", b"W", b"X"):
            attached = word[index + 1 :]
            if attached:
                value, after = attached, at + 1
            else:
                value, after = (argv[at + 1] if at + 1 < len(argv) else b""), at + 2
            return (letter if letter in (b"m", b"c") else b""), value, after
    return b"", b"", at + 1


def _identify_module(
    interpreter: bytes, module: bytes, arguments: "Words", place: "Place"
) -> Identity:
    if module == b"invoke":
        return Identity(_invoke_words(arguments, place))
    if module == b"lifeline":
        found = _identify_runner(arguments, place)
        if found:
            return found
    return Identity((b"module", module, *arguments), place.environment(interpreter))


# --- wrappers that become what they start -----------------------------------------------------


def _step_over_wrappers(argv: "Words") -> "Words":
    while argv:
        base = os.path.basename(argv[0])
        at = 0
        if base == b"nohup":
            at = _options_end(argv, ())
        elif base == b"nice":
            at = _options_end(argv, (b"-n", b"--adjustment"))
        elif base == b"ionice":
            at = _options_end(argv, (b"-c", b"--class", b"-n", b"--classdata"))
        elif base == b"env" and len(argv) > 1 and argv[1][:1] != b"-" and b"=" not in argv[1]:
            at = 1
        if not 0 < at < len(argv):
            return argv
        argv = argv[at:]
    return argv


def _options_end(argv: "Words", valued: "tuple[bytes, ...]") -> int:
    """Where the wrapped command begins, or 0 if there is none (`ionice -p PID`)."""
    at = 1
    while at < len(argv) and argv[at].startswith(b"-"):
        if argv[at] == b"--":
            return at + 1
        if argv[at][:2] in (b"-p", b"-P", b"-u") or argv[at].startswith((b"--p", b"--u")):
            return 0
        at += 2 if argv[at] in valued else 1
    return at
