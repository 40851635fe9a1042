"""From data to text: no clock, no terminal, nothing is read here.

Every line fits the width and all of them the height, down to a terminal of 20 columns.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from ..clock import show_duration
from ..errors import printable
from .model import CONFIRM, HELP, Model
from .rows import ELSEWHERE, HELD, OFF, RUNNING, STANDBY, STOPPED, Row, View

_GAP = "  "
_NARROWEST = 6  # columns of a name
_STYLES = {
    RUNNING: "green",
    STANDBY: "cyan",
    STOPPED: "red",
    HELD: "yellow",
    OFF: "dim",
    ELSEWHERE: "dim",
}
# What a narrow or a low terminal cuts off is at the end: the way out and the keys come first, and
# each key has a line that 20 columns hold.
KEYS = "q quit  ? help  j k choose  h hold  r release  t terminate"
HELP_LINES = (
    "q, Ctrl-C  leave",
    "j, down    next one",
    "k, up      one above",
    "h          hold it",
    "r          release",
    "t          terminate",
    "",
    "What is held is not started until it is released; the next tick starts it then.",
    "Terminated is TERM, and KILL after the grace.",
    "What is terminated comes back with cron's next tick, unless it is held.",
    "Those of other hosts are shown from the store of --lock, and cannot be changed from here.",
    "What runs goes on running if you leave.",
)


def columns(view: View) -> list[tuple[str, Callable[[Row], str]]]:
    """Titles and cells after the name, the most wanted first."""
    now = view.now
    found: list[tuple[str, Callable[[Row], str]]] = [
        ("STATE", state_of),
        ("SINCE", lambda row: _moment(row.since, now)),
        ("RESTARTS", lambda row: _number(row.restarts)),
        ("MEMORY", lambda row: "-" if row.memory is None else f"{row.memory / 2**20:.1f} MiB"),
        ("LAST EXIT", lambda row: _number(row.last_exit)),
        ("NEXT TICK", lambda row: _until(row.next_tick, now)),
        ("PID", lambda row: _number(row.pid)),
    ]
    if view.fleet is not None:
        fleet: list[tuple[str, Callable[[Row], str]]] = [
            ("HOST", lambda row: row.host or "here"),
            ("SLOT", lambda row: row.slot or "-"),
            ("FENCE", lambda row: _number(row.fence)),
        ]
        found[2:2] = fleet
    return found


def state_of(row: Row) -> str:
    """One or two words."""
    if row.hold is None or row.state == HELD:
        return row.state
    return f"{row.state}, held"


def draw(view: View, model: Model, width: int, height: int) -> Text:
    """The whole screen: a title, the lifelines, what there is to say, the keys."""
    width, height = max(width, 1), max(height, 1)
    top = [_heading(view, width)]
    bottom = [*_told(view, model, width), _line(_keys(model), width, "dim")]
    bottom = bottom[-max(height - 2, 1) :]
    room = max(height - len(top) - len(bottom), 0)
    if model.mode == HELP:
        body = [_line(each, width) for part in HELP_LINES for each in _wrapped(part, width)]
    else:
        body = _table(view, model, width, room)
    lines = [*top, *body[:room]]
    lines += [Text()] * (height - len(lines) - len(bottom))
    return Text("\n").join([*lines, *bottom][:height])


def _heading(view: View, width: int) -> Text:
    running = sum(row.state in (RUNNING, STANDBY, STOPPED) for row in view.rows)
    held = sum(row.hold is not None for row in view.rows)
    when = datetime.datetime.fromtimestamp(view.now).strftime("%H:%M:%S")
    parts = [f"lifeline on {view.host}", f"{running} running"]
    parts += [f"{held} held"] if held else []
    if view.fleet is not None:
        elsewhere = sum(row.state == ELSEWHERE for row in view.rows)
        parts.append(f"{elsewhere} elsewhere in {view.fleet}")
    text = _GAP.join(parts)
    if cell_len(text) + len(when) + 2 <= width:
        text = set_cell_size(text, width - len(when)) + when
    return _line(text, width, "bold")


def _table(view: View, model: Model, width: int, room: int) -> list[Text]:
    if not view.rows:
        return [_line("no lifeline runs, is held or is configured here", width)]
    shown = columns(view)
    cells = [[cell(row) for _, cell in shown] for row in view.rows]
    widths = [
        max(cell_len(text) for text in (name, *(row[at] for row in cells)))
        for at, (name, _) in enumerate(shown)
    ]
    longest = max(cell_len("LIFELINE"), *(cell_len(row.title) for row in view.rows))
    widths[0] = max(min(widths[0], width - 2 - len(_GAP) - _NARROWEST), 0)
    count = _fitting(widths, min(longest, 24), width)
    used = sum(widths[:count]) + len(_GAP) * count
    named = max(min(longest, width - 2 - used), 1)
    layout = [named, *widths[:count]]
    head = _cells(["LIFELINE", *(name for name, _ in shown[:count])], layout)
    lines = [_line(f"  {head}", width, "bold")]
    chosen = model.index(view)
    first = max(0, min(chosen - (room - 2) // 2, len(view.rows) - (room - 1)))
    for at, row in enumerate(view.rows[first : first + max(room - 1, 1)], first):
        text = _cells([row.title, *cells[at][:count]], layout)
        # The mark is there as well: reverse video is nothing that every terminal shows.
        style = "reverse" if at == chosen else _STYLES[HELD if row.hold else row.state]
        lines.append(_line(f"{'>' if at == chosen else ' '} {text}", width, style))
    return lines


def _fitting(widths: Sequence[int], name: int, width: int) -> int:
    """How many columns fit beside the name, which gives way to the first of them."""
    room, count = width - 2 - min(name, _NARROWEST), 0
    for each in widths:
        room -= each + len(_GAP)
        if room < 0 or each == 0:
            break
        count += 1
        if count == 1:
            room -= max(name - _NARROWEST, 0)
    return count


def _cells(texts: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(_cut(text, size) for text, size in zip(texts, widths, strict=True)).rstrip()


def _cut(text: str, size: int) -> str:
    """Exactly so many columns; what is cut off shows, and what a terminal would obey as well."""
    text = printable(text)
    if cell_len(text) <= size:
        return set_cell_size(text, size)
    return set_cell_size(text, size - 1) + "…" if size > 0 else ""


def _line(text: str, width: int, style: str = "") -> Text:
    return Text(_cut(text, width).rstrip() if style != "reverse" else _cut(text, width), style)


def _told(view: View, model: Model, width: int) -> list[Text]:
    lines = [_line(note, width, "red") for note in view.notes]
    if model.mode == CONFIRM and model.asked:
        words = f"terminate {model.asked.title}?  y yes  h yes, and hold it  n no"
        lines += [_line(part, width, "bold yellow") for part in _wrapped(words, width)]
    elif model.message:
        lines += [_line(part, width, "yellow") for part in _wrapped(model.message, width)]
    return lines


def _keys(model: Model) -> str:
    return {HELP: "any key: back", CONFIRM: "y h n"}.get(model.mode, KEYS)


def _wrapped(text: str, width: int) -> list[str]:
    """At blanks, or else anywhere; an empty line stays one."""
    lines, line = [], ""
    for word in text.split(" "):
        if line and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line]


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _moment(seconds: float | None, now: float) -> str:
    """The time of the day, or the day if that is another one."""
    if seconds is None or not math.isfinite(seconds) or abs(seconds) > 1e11:
        return "-"
    when, today = (datetime.datetime.fromtimestamp(each) for each in (seconds, now))
    return when.strftime("%H:%M:%S" if when.date() == today.date() else "%Y-%m-%d")


def _until(seconds: float | None, now: float) -> str:
    return "-" if seconds is None else f"in {show_duration(seconds - now)}"
