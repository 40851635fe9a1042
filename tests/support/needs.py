"""What a test cannot do without: one probe for each name that `@pytest.mark.needs` takes.

A probe returns None when the thing is there, else the reason why it is not, for a person to read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from glob import glob
from importlib.util import find_spec
from typing import NoReturn

import pytest

from support.packages import PACKAGES

#: Starts a command in a pid namespace of its own with its own /proc; who is not root becomes root
#: in a user namespace.
UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
if os.geteuid() != 0:
    UNSHARE[1:1] = ["--user", "--map-root-user"]


def which(tool: str) -> str | None:
    """The path of `tool`; daemons such as cron live where an ordinary user's PATH does not look."""
    return shutil.which(tool, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def faketime_library() -> str | None:
    """Debian's libfaketime: it speeds cron up, the one in the wheel of that name does not."""
    return next(iter(glob("/usr/lib/*/faketime/libfaketime.so.1")), None)


def _tool(name: str) -> str | None:
    if which(name):
        return None
    return f"{name} is not installed (Debian: apt-get install {PACKAGES[name]})"


def _postgres() -> str | None:
    from support.servers.postgres import missing_postgres

    return missing_postgres()


def _rabbitmq() -> str | None:
    from support.servers.rabbitmq import missing as missing_rabbitmq

    return missing_rabbitmq()


def _root() -> str | None:
    return None if os.geteuid() == 0 else "only root may do this"


def _faketime() -> str | None:
    if faketime_library():
        return None
    return f"libfaketime is not installed (Debian: apt-get install {PACKAGES['faketime']})"


def _autogroup() -> str | None:
    return None if os.path.exists("/proc/self/autogroup") else "the kernel has no autogroups"


def _spin() -> str | None:
    return _tool("spin") or _tool("cc")


def _fuse() -> str | None:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "there is no /dev/fuse that may be opened"
    return _root() or _unshare()


def _nobody() -> str | None:
    return _root() or _tool("setpriv")


def _unprivileged() -> str | None:
    return None if os.geteuid() != 0 else _tool("setpriv")


def _linux() -> str | None:
    return None if os.path.exists("/proc/self/stat") else "there is no /proc as Linux has it"


def _unshare() -> str | None:
    if missing := _tool("unshare"):
        return missing
    tried = subprocess.run(
        [*UNSHARE, "true"], capture_output=True, text=True, check=False, timeout=20
    )
    return None if tried.returncode == 0 else f"unshare is refused here: {tried.stderr.strip()}"


PROBES: dict[str, Callable[[], str | None]] = {
    "autogroup": _autogroup,
    "cron": lambda: _tool("cron"),
    "faketime": _faketime,
    "fuse": _fuse,
    "groff": lambda: _tool("groff"),
    "linux": _linux,
    "nobody": _nobody,
    "pgbouncer": lambda: _postgres() or _tool("pgbouncer"),
    "postgres": _postgres,
    "rabbitmq": _rabbitmq,
    "root": _root,
    "setpriv": lambda: _tool("setpriv"),
    "spin": _spin,
    "supervisord": lambda: None if find_spec("supervisor") else "supervisor is not installed (pip)",
    "systemd-analyze": lambda: _tool("systemd-analyze"),
    "unprivileged": _unprivileged,
    "unshare": _unshare,
}


def lack(reason: str) -> NoReturn:
    """Skip the test for want of something; where nothing may be skipped, in CI, it fails."""
    if os.environ.get("LIFELINE_REQUIRE_TOOLS") == "1":
        pytest.fail(f"nothing may be skipped here: {reason}", pytrace=False)
    pytest.skip(reason)


def require(tool: str) -> None:
    """Skip, or fail in CI, unless this program is there."""
    if reason := _tool(tool):
        lack(reason)


@cache
def missing(name: str) -> str | None:
    """Why `name` is not to be had here, None if it is; each probe runs once."""
    return PROBES[name]()
