"""When cron comes next: five fields of crontab(5) and a moment give another moment."""

from __future__ import annotations

import datetime

from .schedule import AT_BOOT

_FURTHEST = 366 * 8  # days: from one 29 February to the next over a year like 2100


def next_tick(fields: str, now: float) -> float | None:
    """Wall seconds of the first minute after `now` that the fields name, in local time.

    None if it never comes: `@reboot`, 30 February.
    """
    from crontab import CronSlices  # python-crontab

    if fields == AT_BOOT:
        return None
    slices = CronSlices(fields)
    minutes, hours, days, months, weekdays = ({int(one) for one in part} for part in slices)
    # Where both are given, either will do: crontab(5).
    either = not (_is_any(slices[2]) or _is_any(slices[4]))
    start = datetime.datetime.fromtimestamp(now).replace(second=0, microsecond=0)
    start += datetime.timedelta(minutes=1)
    for offset in range(_FURTHEST):
        day = start.date() + datetime.timedelta(days=offset)
        on_day, on_weekday = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month not in months or not (
            (on_day or on_weekday) if either else (on_day and on_weekday)
        ):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                when = datetime.datetime.combine(day, datetime.time(hour, minute))
                if when >= start:
                    return when.timestamp()
    return None


def _is_any(part: object) -> bool:
    return str(part).startswith("*")
