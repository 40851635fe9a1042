"""Running a command to the end, with a limit, for what it prints."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from ..errors import LifelineError

_MOST = 65536  # bytes of output: more is no answer, and part of one is none either


def run(
    words: Sequence[str],
    timeout: float,
    error: Callable[[str], LifelineError],
    more: Mapping[str, str] | None = None,
) -> str:
    """Its output; `more` is added to its environment.

    Raises what `error` makes of one line if it fails or takes too long; it and its process group
    are killed then. What it says on stderr goes to ours.
    """
    name = os.path.basename(words[0])
    try:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **(more or {})},
        )
    except OSError as failed:
        raise error(f"{name} cannot be run ({failed.strerror})") from None
    with process:
        try:
            out, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise error(f"{name} gave no answer within {timeout:g} s") from None
        except BaseException:
            _kill(process)
            raise
    if process.returncode:
        raise error(f"{name} failed with exit code {process.returncode}")
    if len(out) > _MOST:
        raise error(f"{name} printed more than {_MOST} bytes")
    return out.decode("utf-8", "replace")


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
