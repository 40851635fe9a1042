"""What an invoke command line is. Pure, as `identity` is.

`x.lifeline` and `x.run` are one task.
"""

import os.path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .identity import Place, Words

# Core options of invoke 3 whose value is the next word (`invoke --help`).
_INVOKE_VALUED = frozenset(
    (
        *(b"-c", b"--collection", b"-f", b"--config", b"-r", b"--search-root"),
        *(b"-T", b"--command-timeout", b"-F", b"--list-format", b"-D", b"--list-depth", b"--hide"),
    )
)


def words_of(arguments: "Words", place: "Place") -> "Words":
    """The comparable words of an invoke line: project directory and exact task.

    A line with several tasks counts by its first `lifeline` or `run` task and the options of
    that, else by all of it.
    """
    root, collection, at = b".", b"tasks", 0
    while at < len(arguments) and arguments[at].startswith(b"-"):
        word, value, step = _invoke_option(arguments, at)
        if word in (b"-r", b"--search-root"):
            root = value
        elif word in (b"-c", b"--collection"):
            collection = value
        at += step
    rest = arguments[at:]
    directory = _project(place.absolute(root), collection, place)
    for index, word in enumerate(rest):
        if _is_body(rest, index):
            task = word[: -len(b"lifeline")] if word.endswith(b"lifeline") else word[: -len(b"run")]
            options = rest[index + 1 :]
            if not options[:1] or not options[0].startswith(b"-"):
                options = ()  # another task follows, or none
            return (b"invoke", directory, task.replace(b"_", b"-") + b"run", *options)
    return (b"invoke", directory, *rest)


def _is_body(words: "Words", index: int) -> bool:
    """Whether the word there is a `lifeline` or `run` task, and not the value of an option."""
    prefix, _, last = words[index].rpartition(b".")
    if last not in (b"lifeline", b"run"):
        return False
    return index == 0 or (bool(prefix) and not words[index - 1].startswith(b"-"))


def _invoke_option(arguments: "Words", at: int) -> "tuple[bytes, bytes, int]":
    """(option, value, words used) for the core option at `at`."""
    word = arguments[at]
    option, equals, value = word.partition(b"=")
    if equals:
        return option, value, 1
    if word in _INVOKE_VALUED:
        return word, (arguments[at + 1] if at + 1 < len(arguments) else b""), 2
    if word[:2] in _INVOKE_VALUED and not word.startswith(b"--"):
        return word[:2], word[2:], 1
    return word, b"", 1


def _project(start: bytes, collection: bytes, place: "Place") -> bytes:
    """The directory from `start` upwards that holds the task collection, else `start`."""
    directory = start
    while True:
        base = os.path.join(directory, collection)
        if place.is_file(base + b".py") or place.is_file(base + b"/__init__.py"):
            return directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return start
        directory = parent
