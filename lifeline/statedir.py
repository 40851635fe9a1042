"""Where state lives on this host: run records, holds, leases of the file store."""

import os

from .errors import StateUnusable


def default_directory() -> bytes:
    """Where state lives: LIFELINE_STATE_DIR, else /var/lib for root, else the home directory.

    The home directory is that of the password database: cron and shells disagree about HOME,
    and two state directories would be two different memories.
    """
    override = os.environb.get(b"LIFELINE_STATE_DIR")
    if override:
        if not override.startswith(b"/"):
            raise StateUnusable(override, "is relative, so another one in every directory")
        return os.path.normpath(override)
    uid = os.geteuid()
    if uid == 0:
        return b"/var/lib/lifeline"
    import pwd  # only here: a name service may be asked

    try:
        home = os.fsencode(pwd.getpwuid(uid).pw_dir)
    except KeyError:
        home = os.environb.get(b"HOME", b"")
    if not home.startswith(b"/"):
        raise StateUnusable(b"(none)", f"cannot be placed: user {uid} has no home directory")
    return home + b"/.local/state/lifeline"
