"""A systemd unit: see systemd.service(5), systemd.exec(5), systemd.resource-control(5).

What has a schedule is started by a timer beside it, systemd.timer(5), and by nothing else.
"""

from __future__ import annotations

import os
import re
import shlex

from ..config import schedule
from ..errors import UsageError
from .calendar import calendars
from .plan import Plan, no_line_ends, not_read

_KEPT = frozenset(
    ("grace", "signal_to", "timeout", "max_memory", "restart", "backoff", "log", "lock")
)
_MINUTE = 60  # seconds: a tick starts again what has ended

GAINS = (
    "systemd starts it at boot and again within seconds, and ends its whole control group",
    "the journal, dependencies, resource limits and sandboxing: systemd.exec(5)",
)
JOB_GAINS = ("systemd ends its whole control group", GAINS[1])
LOSES = (
    "a copy started by hand or by another unit is not seen: systemd knows its own only",
    "it can be stopped and forgotten: systemctl stop has no end like lifeline hold --for 2h",
)


def unit(plan: Plan) -> str:
    """The text of `NAME.service`."""
    words = plan.started_command
    no_line_ends(*words, *plan.variables.values(), plan.directory, plan.path)
    # A unit with a timer and a target of its own would run at each boot, too.
    install = [] if _has_timer(plan) else _section("Install", [("WantedBy", _target())])
    return "\n".join(
        [
            *(f"# {line}" for line in notes(plan)),
            *_section("Unit", _unit(plan)),
            *_section("Service", _service(plan, words)),
            *install,
        ]
    )


def timer(plan: Plan) -> str:
    """The text of `NAME.timer`. Raises UsageError if there is nothing for one to say."""
    if not _has_timer(plan):
        raise UsageError(f"{plan.name} has no hours of its own, so it needs no timer")
    # cron looks once a minute and catches nothing up: Persistent= stays as it is, at false.
    found = [("OnCalendar", each) for each in calendars(plan.fields or "")]
    if plan.options.jitter:
        found.append(("RandomizedDelaySec", f"{plan.options.jitter:g}s"))
    return "\n".join(
        [
            f"# {plan.name}, from {plan.source}: {plan.fields}",
            f"# in {_place(plan, '.timer')}, beside {file_name(plan)}; then {_enable(plan)}",
            *_section("Unit", [("Description", _plain(f"when {plan.name} runs"))]),
            *_section("Timer", [*found, ("AccuracySec", "1s")]),
            *_section("Install", [("WantedBy", "timers.target")]),
        ]
    )


def _has_timer(plan: Plan) -> bool:
    return plan.is_scheduled and plan.fields != schedule.AT_BOOT


def notes(plan: Plan) -> list[str]:
    """What is gained and what is lost, one sentence each."""
    found = [f"{plan.name}, from {plan.source}", f"in {_place(plan)}; then {_enable(plan)}"]
    found += [f"gained: {each}" for each in (JOB_GAINS if plan.is_scheduled else GAINS)]
    found += [f"lost: {each}" for each in LOSES]
    if lost := plan.lost(_KEPT | {"jitter"} if _has_timer(plan) else _KEPT):
        found.append(f"lost: no equivalent of {', '.join(lost)}")
    if "lock" in plan.given:
        found.append("kept: the lease, and every option with it, because lifeline runs inside")
    if _has_timer(plan):
        made = f"lifeline export systemd --timer {shlex.quote(plan.name)}"
        found.append(f"make its timer first ({plan.fields}): {made} >{file_name(plan, '.timer')}")
    if "lock" not in plan.given:  # lifeline itself reads the file as ever
        found += not_read(plan, "systemd")
    return found


def file_name(plan: Plan, kind: str = ".service") -> str:
    """The unit's name, with what unit names cannot hold escaped."""
    escaped = re.sub(
        r"[^A-Za-z0-9:_.-]",
        lambda found: "".join(f"\\x{byte:02x}" for byte in os.fsencode(found.group())),
        plan.name,
    )
    return f"{escaped}{kind}"


def _place(plan: Plan, kind: str = ".service") -> str:
    home = "/etc/systemd/system" if os.geteuid() == 0 else "~/.config/systemd/user"
    return f"{home}/{file_name(plan, kind)}"


def _enable(plan: Plan) -> str:
    user = "" if os.geteuid() == 0 else " --user"
    if plan.fields == schedule.AT_BOOT:
        return f"systemctl{user} enable {file_name(plan)}"  # it runs with the next boot
    unit_name = file_name(plan, ".timer") if _has_timer(plan) else file_name(plan)
    return f"systemctl{user} enable --now {unit_name}"


def _target() -> str:
    return "multi-user.target" if os.geteuid() == 0 else "default.target"


def _section(name: str, pairs: list[tuple[str, str]]) -> list[str]:
    return [f"[{name}]", *(f"{key}={value}" for key, value in pairs), ""]


def _unit(plan: Plan) -> list[tuple[str, str]]:
    return [
        ("Description", _plain(plan.name)),
        ("After", "network-online.target"),
        ("Wants", "network-online.target"),
        ("StartLimitIntervalSec", "0"),  # never given up, as cron never gives up
    ]


def _service(plan: Plan, words: tuple[str, ...]) -> list[tuple[str, str]]:
    options = plan.options
    variables = {"PATH": plan.path, **plan.variables}
    if "lock" not in plan.given:
        # An EnvironmentFile= wins over Environment=, and a lifeline's env over its env_file.
        both = [name for name in plan.variables if name in plan.env_file_names]
        if both:
            words = ("/usr/bin/env", *(f"{name}={variables.pop(name)}" for name in both), *words)
    found = [
        ("Type", "exec"),
        ("ExecStart", " ".join(map(_word, words))),
        ("WorkingDirectory", _plain(plan.directory)),
    ]
    if "lock" not in plan.given:
        found += [("EnvironmentFile", _plain(path)) for path in plan.env_files]
        found += [("Environment", _quoted(f"{name}={value}")) for name, value in variables.items()]
    found += _restart(plan)
    found.append(("KillMode", "mixed" if plan.is_told_alone else "control-group"))
    found.append(("TimeoutStopSec", f"{plan.stop_seconds:g}s"))
    if "lock" in plan.given:
        return found
    if options.timeout is not None:
        found.append(("RuntimeMaxSec", f"{options.timeout:g}s"))
    if options.max_memory is not None:
        found.append(("MemoryMax", str(options.max_memory)))
    if options.log is not None:
        log = _plain(os.fsdecode(options.log))
        found += [("StandardOutput", f"append:{log}"), ("StandardError", f"append:{log}")]
    return found


def _restart(plan: Plan) -> list[tuple[str, str]]:
    """Without --restart it is the next tick that starts it again."""
    if plan.is_scheduled and ("lock" in plan.given or plan.options.restart == "never"):
        return [("Restart", "no")]
    if "lock" in plan.given or plan.options.restart == "never":
        return [("Restart", "always"), ("RestartSec", f"{_MINUTE}s")]
    first, longest = plan.options.backoff
    found = [("Restart", plan.options.restart), ("RestartSec", f"{first:g}s")]
    if longest > first:  # since systemd 254; older ones ignore both
        found += [("RestartSteps", "6"), ("RestartMaxDelaySec", f"{longest:g}s")]
    return found


def _word(word: str) -> str:
    """A word of a command line, where systemd would replace `$NAME`."""
    return _quoted(word.replace("$", "$$"))


def _quoted(text: str) -> str:
    text = text.replace("%", "%%")
    if re.fullmatch(r"[A-Za-z0-9_@+:,./=$%-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _plain(text: str) -> str:
    """A value that is taken as it stands, but for `%`."""
    return text.replace("%", "%%")
