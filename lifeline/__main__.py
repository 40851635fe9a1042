"""The tick, then the command line.

`lifeline run` is what cron starts every minute for ever, nearly always to find its twin and
leave: it is served here, before anything heavy is imported. All other verbs go to `cli`.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main(arguments: "list[str] | None" = None) -> int:
    """The `lifeline` command. Returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["run"] and not _asks_for_help(arguments):
            from .tick import tick

            if "--" in arguments:
                from .options import parse_run

                return tick(parse_run(arguments[1:]))
            from .config.quick import stands_down

            if stands_down(arguments[1:]):
                return 0
            from .config.running import named_run

            return tick(named_run(arguments[1:]))
        from .cli.app import main as cli_main

        return cli_main(arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from .errors import EXIT_CANNOT_TELL, LifelineError, complain

        if isinstance(error, OSError):
            complain(_what_failed(error))
            return EXIT_CANNOT_TELL
        if not isinstance(error, LifelineError):
            raise
        complain(error)
        return error.exit_code


def _what_failed(error: OSError) -> str:
    """What the system did not do, for people: where it names no path, only the number tells."""
    import errno

    told = str(error.strerror or error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"no more files can be opened: {told} (see ulimit -n)"
    if error.filename is not None:
        return f"{told}: {error.filename!a}"
    if error.errno == errno.ENOENT:  # getcwd(3)
        return "the working directory is gone, so relative paths mean nothing"
    if error.errno == errno.EAGAIN:  # fork(2)
        return f"no more processes can be started: {told} (see ulimit -u)"
    return f"the system does not do what is needed: {told}"


def _asks_for_help(arguments: "list[str]") -> bool:
    for word in arguments:
        if word == "--":
            return False
        if word in ("-h", "--help", "--help-all"):
            return True
    return False


def start() -> "NoReturn":
    """What the `lifeline` command calls: run it and leave."""
    code = main()
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:  # closed
                stream.flush()
        except OSError:  # told already; what is still in the buffer goes nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    if sys.argv[1:2] == ["run"]:
        # Nothing is left to finalise, and doing it costs a seventh of a bare interpreter.
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    start()
