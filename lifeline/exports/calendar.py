"""From the five fields of crontab(5) to OnCalendar= of systemd.time(7)."""

from __future__ import annotations

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_ALL = ((0, 59), (0, 23), (1, 31), (1, 12))  # minutes, hours, days, months


def calendars(fields: str) -> list[str]:
    """The expressions that together name the minutes that the fields name.

    Two where crontab(5) lets either the day of the month or that of the week do.
    """
    from crontab import CronSlices  # python-crontab

    slices = CronSlices(fields)
    parts = [sorted({int(one) for one in part}) for part in slices]
    minutes, hours, days, months = (
        _field(values, *limits) for values, limits in zip(parts, _ALL, strict=False)
    )
    weekdays = sorted({value % 7 for value in parts[4]})
    named = "" if len(weekdays) == len(_DAYS) else ",".join(_DAYS[each] for each in weekdays) + " "
    time = f"{hours}:{minutes}:00"
    if any(str(slices[at]).startswith("*") for at in (2, 4)):
        return [f"{named}*-{months}-{days} {time}"]
    return [f"*-{months}-{days} {time}", f"{named}*-{months}-* {time}"]


def _field(values: list[int], first: int, last: int) -> str:
    """`*` for all of them, `A/STEP` for what goes on evenly to the end, else a list."""
    if values == list(range(first, last + 1)):
        return "*"
    if len(values) > 1:
        step = values[1] - values[0]
        if values == list(range(values[0], last + 1, step)):
            return f"{values[0]}/{step}"
    return ",".join(map(str, values))
