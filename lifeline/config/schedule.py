"""When a lifeline is ticked: `every = "5m"` or `cron = "*/5 * * * *"`, every minute without."""

from __future__ import annotations

from ..clock import parse_duration
from ..errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .reading import Entry

EVERY_MINUTE = "* * * * *"
AT_BOOT = "@reboot"
_HOUR, _DAY = 60, 24 * 60  # minutes
_FIELDS = 5


def fields(entry: Entry) -> str | None:
    """What stands before the command in a crontab; None if the lifeline is to have no line.

    Raises UsageError with the line of what no crontab can say.
    """
    every, cron = entry.keys.get("every"), entry.keys.get("cron")
    if every is not None and cron is not None:
        raise entry.wrong("cron", "give every or cron, not both")
    if cron is False:
        return None
    if cron is not None:
        return _cron_fields(entry, cron)
    return EVERY_MINUTE if every is None else _every_fields(entry, every)


def _cron_fields(entry: Entry, given: object) -> str:
    """crontab(5)'s five fields, or a word like @hourly."""
    from crontab import CronSlices  # python-crontab; the crontab program has the last word

    if not isinstance(given, str):
        raise entry.wrong("cron", 'cron is a text: "*/5 * * * *", or false for no line')
    words = given.split()
    is_word = len(words) == 1 and words[0].startswith("@")
    if not (is_word or len(words) == _FIELDS) or not CronSlices.is_valid(" ".join(words)):
        raise entry.wrong("cron", f"{given!r:.60} is no schedule: five fields as in crontab(5)")
    return " ".join(words)


def _every_fields(entry: Entry, given: object) -> str:
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise entry.wrong("every", 'every is a duration: "1m"')
    try:
        seconds = parse_duration(str(given))
    except UsageError as error:
        raise entry.wrong("every", f"every: {error}") from None
    minutes = int(seconds / 60)
    if minutes * 60 != seconds or minutes < 1:
        raise entry.wrong("every", f"every = {given!r:.40}: cron counts in whole minutes")
    found = _steps(minutes)
    if found is None:
        raise entry.wrong(
            "every",
            f"every = {given!r:.40} is no part of an hour or a day: 1, 2, 3, 4, 5, 6, 10, 12, 15, "
            "20 or 30 minutes, 1, 2, 3, 4, 6, 8 or 12 hours, or 1 day; or write cron = …",
        )
    return found


def _steps(minutes: int) -> str | None:
    """Fields that come round in exactly so many minutes: steps begin anew each hour and day."""
    if minutes == 1:
        return EVERY_MINUTE
    if minutes < _HOUR and _HOUR % minutes == 0:
        return f"*/{minutes} * * * *"
    if minutes == _HOUR:
        return "0 * * * *"
    if minutes % _HOUR == 0 and minutes < _DAY and _DAY % minutes == 0:
        return f"0 */{minutes // _HOUR} * * *"
    return "0 0 * * *" if minutes == _DAY else None
