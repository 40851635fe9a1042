"""Where interpreters other than Python's own find their script in an argument list. Pure.

Only the options that matter for that are known: those that take a word of their own, and those
that leave no script to look for.
"""

from .identity import SHELLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .identity import Words


class Options:
    """How an interpreter reads its options.

    Letters: `none` leave no script, `next` take the next word, `value` take the rest of their
    word or else the next one, `rest` take the rest of their word or nothing. Long options: those
    in `long` take the next word, those in `alone` leave no script. With `dash` a lone dash ends
    the options, otherwise the script comes from standard input. `counted` tell the script what
    to do, and so are a part of the command.
    """

    def __init__(
        self,
        none: bytes = b"",
        next: bytes = b"",
        value: bytes = b"",
        rest: bytes = b"",
        long: "Words" = (),
        alone: "Words" = (),
        counted: "Words" = (),
        dash: bool = False,
    ) -> None:
        self.none = none
        self.next = next
        self.value = value
        self.rest = rest
        self.long = long
        self.alone = alone
        self.counted = counted
        self.dash = dash


# From sh(1), bash(1), node(1), ruby(1), perlrun(1), php(1).
_SHELL = Options(none=b"cs", next=b"oO", long=(b"--rcfile", b"--init-file"), dash=True)
_NODE = Options(
    none=b"ep",
    value=b"rC",
    long=(
        *(b"--require", b"--import", b"--loader", b"--experimental-loader", b"--conditions"),
        *(b"--env-file", b"--env-file-if-exists", b"--title", b"--input-type", b"--icu-data-dir"),
        *(b"--unhandled-rejections", b"--dns-result-order", b"--disable-warning"),
        *(b"--diagnostic-dir", b"--redirect-warnings", b"--openssl-config", b"--tls-cipher-list"),
        *(b"--report-dir", b"--report-directory", b"--report-filename", b"--report-signal"),
        *(b"--cpu-prof-dir", b"--cpu-prof-name", b"--heap-prof-dir", b"--heap-prof-name"),
        *(b"--trace-event-categories", b"--trace-event-file-pattern", b"--heapsnapshot-signal"),
        *(b"--inspect-port", b"--max-http-header-size", b"--secure-heap", b"--watch-path"),
        *(b"--v8-pool-size", b"--disable-proto", b"--tls-keylog"),
    ),
    alone=(b"--eval", b"--print", b"--test", b"--run"),
    counted=(b"--env-file", b"--env-file-if-exists"),
)
_RUBY = Options(
    none=b"eCSX",
    value=b"IrE",
    rest=b"FKTWix",
    long=(
        *(b"--encoding", b"--external-encoding", b"--internal-encoding"),
        *(b"--enable", b"--disable"),
    ),
)
_PERL = Options(none=b"eES", value=b"I", rest=b"CDFMVimx")
_PHP = Options(
    none=b"rSBRFE", value=b"dctz", long=(b"--define", b"--php-ini"), alone=(b"--run", b"--server")
)
_OTHERS = {b"node": _NODE, b"nodejs": _NODE, b"ruby": _RUBY, b"perl": _PERL, b"php": _PHP}

# Options of java whose value is the next word, from java(1).
_JAVA_LONG = (
    *(b"-cp", b"-classpath", b"--class-path", b"-p", b"--module-path", b"--upgrade-module-path"),
    *(b"--add-modules", b"--add-opens", b"--add-exports", b"--add-reads", b"--limit-modules"),
)


def script_of(family: bytes, argv: "Words") -> "tuple[int, Words]":
    """(where in `argv` the script stands, or 0 without one; the options that count).

    The options that count end with an empty word. Workers that differ in nothing else would keep
    each other from running: java's -D, node's --env-file.
    """
    if family == b"java":
        at = _jar_at(argv)
        counted = [word for word in argv[1:at] if word.startswith(b"-D")]
    else:
        options = _SHELL if family in SHELLS else _OTHERS[family]
        at = _script_at(argv, options)
        counted = _counted(argv[1:at], options)
    return at, ((*counted, b"") if counted else ())


def _script_at(argv: "Words", options: Options) -> int:
    at = 1
    while at < len(argv):
        word = argv[at]
        if word == b"--" or (word == b"-" and options.dash):
            return at + 1 if at + 1 < len(argv) else 0
        if word[:1] not in (b"-", b"+"):
            return at
        if len(word) == 1:
            return 0
        if word.startswith(b"--"):
            if word.split(b"=")[0] in options.alone:
                return 0
            at += 2 if word in options.long else 1
            continue
        used = _used(word, options)
        if not used:
            return 0
        at += used
    return 0


def _used(word: bytes, options: Options) -> int:
    """How many words the cluster of letters in `word` uses, or 0 if it leaves no script."""
    used = 1
    for index in range(1, len(word)):
        letter, rest = word[index : index + 1], word[index + 1 :]
        if letter in options.none:
            return 0
        if letter in options.next:
            used += 1
        elif letter in options.value:
            return used if rest else used + 1
        elif letter in options.rest or rest.startswith(b":"):  # perl -d:Module
            return used
    return used


def _counted(words: "Words", options: Options) -> "list[bytes]":
    found: list[bytes] = []
    for at, word in enumerate(words):
        if word.split(b"=")[0] in options.counted:
            # `--option=value` and `--option value` are one.
            found += word.split(b"=", 1) if b"=" in word else words[at : at + 2]
    return found


def _jar_at(argv: "Words") -> int:
    at = 1
    while at < len(argv) - 1:
        if argv[at] == b"-jar":
            return at + 1
        if not argv[at].startswith(b"-") or argv[at] in (b"-m", b"--module"):
            return 0
        at += 2 if argv[at] in _JAVA_LONG else 1
    return 0
