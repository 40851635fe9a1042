"""What `lifeline doctor` finds out about ticks: has cron come when it was to come?

That a daemon runs and that a line is installed proves nothing. A tick that is in the history does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from . import clock, cron, crontab, history
from .clock import parse_duration, show_duration
from .config import schedule, values
from .config.nexttick import next_tick
from .config.reading import Config, Entry
from .errors import LifelineError
from .events import HELD, STAND_DOWN
from .leases.port import GOOD, NOTE, WARNING, Finding
from .processes.state import State

_TICKS = ("start", STAND_DOWN, HELD)
_LATE = 90.0  # seconds: cron looks once a minute, and a busy machine is slow to start what it says


def ticks(config: Config | None) -> Iterator[Finding]:
    """For each lifeline whose line is in the crontab: when was its last tick, is one missing?"""
    if config is None or not _is_installed(config):
        return
    state, now = State(), clock.wall()
    try:
        newest = _newest(state) if state.check() else {}
    except LifelineError:
        return  # told already
    # Ticks before these are nothing that cron has missed.
    begin = max(now - clock.boottime(), crontab.changed_at(state))
    for entry in config.entries.values():
        fields = schedule.fields(entry)
        if fields is not None:
            yield _told(entry, fields, newest.get(entry.called), begin, now)


def _is_installed(config: Config) -> bool:
    """True if the crontab has exactly the lines of the configuration."""
    try:
        part = cron.sources(cron.installed(crontab.read())).get(os.fsencode(config.path))
        return part is not None and part == cron.lines(config)
    except LifelineError:
        return False  # told already


def _newest(state: State) -> dict[str, float]:
    """When each named lifeline was last ticked, as the history has it."""
    return {
        str(event["name"]): float(event["time"])
        for event in history.read(state)
        if event["event"] in _TICKS and "name" in event
    }


def _told(entry: Entry, fields: str, last: float | None, begin: float, now: float) -> Finding:
    due = next_tick(fields, max(begin, last or 0.0))
    if due is not None and due + _jitter(entry) + _LATE < now:
        since = "none is in the history" if last is None else f"the last was {_ago(last, now)}"
        what = f"{entry.name}: a tick was due {_ago(due, now)}, but {since}"
        return Finding(WARNING, what, "cron's log says why: journalctl -u cron, or its mails")
    if last is not None:
        return Finding(GOOD, f"{entry.name}: the last tick was {_ago(last, now)}")
    when = "" if due is None else f"; the first is due in {show_duration(due - now)}"
    return Finding(NOTE, f"{entry.name}: no tick has come yet{when}")


def _ago(then: float, now: float) -> str:
    return f"{show_duration(now - then)} ago"


def _jitter(entry: Entry) -> float:
    """Seconds by which a tick may come late because it was told to."""
    try:
        return parse_duration(str(values.file_options(entry).get("jitter", "0")))
    except LifelineError:
        return 0.0
