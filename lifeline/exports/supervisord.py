"""A supervisord section: see the [program:x] settings of its manual."""

from __future__ import annotations

import os
import shlex

from ..errors import UsageError
from .plan import Plan, no_line_ends

_KEPT = frozenset(("grace", "signal_to", "restart", "log", "log_size", "log_keep", "lock"))

GAINS = (
    "supervisord starts it again at once, and supervisorctl shows and steers it",
    "its output is kept and rotated without being asked for",
)
LOSES = (
    "nobody looks after supervisord itself: if it ends, so does everything",
    "a copy started by hand is not seen: supervisord knows its own only",
    "what escapes to a session of its own is left behind (Supervisor#1101)",
    "after three quick failures it gives up; startretries is set high against that",
)


def section(plan: Plan) -> str:
    """The text of a file for supervisord's conf.d."""
    _check_name(plan.name)
    if plan.is_scheduled:
        raise UsageError(
            f"{plan.name} runs at times of its own ({plan.fields}), and supervisord has no "
            "schedules: leave it to lifeline cron install, or to export systemd or kubernetes"
        )
    pairs = _pairs(plan)
    no_line_ends(*(value for _, value in pairs))
    return "\n".join(
        [
            *(f"; {line}" for line in notes(plan)),
            f"[program:{plan.name}]",
            *(f"{key}={value}" for key, value in pairs),
            "",
        ]
    )


def notes(plan: Plan) -> list[str]:
    """What is gained and what is lost, one sentence each."""
    found = [f"{plan.name}, from {plan.source}", "in supervisord's conf.d; supervisorctl update"]
    found += [f"gained: {each}" for each in GAINS]
    found += [f"lost: {each}" for each in LOSES]
    if lost := plan.lost(_KEPT):
        found.append(f"lost: no equivalent of {', '.join(lost)}")
    if "lock" in plan.given:
        found.append("kept: the lease, and every option with it, because lifeline runs inside")
    elif plan.env_files:
        found.append(f"lost: supervisord reads no {', '.join(plan.env_files)}; sh -c '. FILE' does")
    return found


def _check_name(name: str) -> None:
    if any(letter in name for letter in ": []/;") or not name.isprintable():
        raise UsageError(
            f"supervisord has no programs called {name!r}: no blanks, colons, brackets"
        )


def _pairs(plan: Plan) -> list[tuple[str, str]]:
    restart = {"never": "true", "always": "true", "on-failure": "unexpected"}
    found = [
        ("command", _plain(" ".join(map(shlex.quote, plan.started_command)))),
        ("directory", _plain(plan.directory)),
        ("autostart", "true"),
        ("autorestart", restart[plan.options.restart]),
        ("startretries", "1000000"),
        ("stopwaitsecs", str(max(1, round(plan.stop_seconds)))),
        ("stopasgroup", "false" if plan.is_told_alone else "true"),
        ("killasgroup", "true"),
    ]
    if "lock" in plan.given:
        return found
    variables = {"PATH": plan.path, **plan.variables}
    text = ",".join(f'{name}="{_escaped(value)}"' for name, value in variables.items())
    found.append(("environment", _plain(text)))
    if plan.options.log is not None:
        found += [
            ("redirect_stderr", "true"),
            ("stdout_logfile", _plain(os.fsdecode(plan.options.log))),
            ("stdout_logfile_maxbytes", str(plan.options.log_size)),
            ("stdout_logfile_backups", str(plan.options.log_keep)),
        ]
    return found


def _plain(text: str) -> str:
    """`%` begins an expansion, and ` ;` a comment."""
    if " ;" in text:
        raise UsageError("supervisord takes what follows a blank and a semicolon for a comment")
    return text.replace("%", "%%")


def _escaped(value: str) -> str:
    if '"' in value or "\\" in value:
        raise UsageError("supervisord's environment cannot hold a double quote or a backslash")
    return value
