"""A simulation as one picture (SVG 1.1): load, workers and their cost over time, per policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape as escape_html

from ..errors import show
from .sample import Sample
from .simulate import Point, Result
from .trace import Entry

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito
_WIDTH, _LEFT, _RIGHT = 960, 60, 20
_HEIGHT, _GAP, _TOP = 170, 46, 64

NOTE = (
    "Arrivals are reconstructed from recorded depth, which came about under the policy of its time."
)


@dataclass(frozen=True, slots=True)
class _Panel:
    """One diagram: where it lies and how values become places."""

    top: float
    start: float
    end: float
    most: float

    def x(self, t: float) -> float:
        return _LEFT + (t - self.start) / (self.end - self.start) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.top + _HEIGHT - value / self.most * _HEIGHT


def draw(title: str, entries: Sequence[Entry], results: Sequence[Result]) -> str:
    """The picture as text. Four panels under each other, one colour a policy."""
    recorded = [(e.moment.now, _ready(e)) for e in entries]
    start, end = entries[0].moment.now, entries[-1].moment.now
    points = [point for result in results for point in result.points]
    mosts = (
        max([p.ready for p in points] + [value for _, value in recorded if value is not None]),
        max(p.oldest_age for p in points),
        max([p.actual for p in points] + [p.desired or 0 for p in points]),
        max(p.worker_hours for p in points),
    )
    panels = [
        _Panel(_TOP + at * (_HEIGHT + _GAP), start, end, max(1.0, most * 1.05))
        for at, most in enumerate(mosts)
    ]
    names = ("ready jobs", "age of the oldest, s", "workers", "worker hours")
    parts = [_frame(panel, name) for panel, name in zip(panels, names, strict=True)]
    known = [(t, value) for t, value in recorded if value is not None]
    parts.append(_line(panels[0], known, "#999999", "recorded"))
    for result, colour in zip(results, _cycle(len(results)), strict=True):
        parts += _policy(result, colour, panels)
    parts.append(_legend(results))
    height = panels[-1].top + _HEIGHT + 50
    return _document(title, height, parts)


def _policy(result: Result, colour: str, panels: Sequence[_Panel]) -> list[str]:
    def line(panel: _Panel, value: Callable[[Point], float], **options: bool) -> str:
        pairs = [(point.t, value(point)) for point in result.points]
        return _line(panel, pairs, colour, result.name, **options)

    ready, age, workers, cost = panels
    found = [
        line(ready, lambda point: point.ready),
        line(age, lambda point: point.oldest_age),
        line(workers, lambda point: point.actual, steps=True),
        line(workers, lambda point: point.desired or 0, steps=True, dashed=True),
        line(cost, lambda point: point.worker_hours),
    ]
    killed = 0
    for point in result.points:
        x, y = workers.x(point.t), workers.y(point.actual)
        if point.held:
            found.append(f'<path class="hold" d="M{x:.1f} {workers.top}v{_HEIGHT}"/>')
        if point.killed > killed:
            told = f"{result.name}: {point.killed - killed} killed"
            mark = f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8"
            found.append(f'<path class="kill" d="{mark}"><title>{escape(told)}</title></path>')
        killed = point.killed
    return found


def _line(
    panel: _Panel,
    pairs: Sequence[tuple[float, float]],
    colour: str,
    name: str,
    *,
    steps: bool = False,
    dashed: bool = False,
) -> str:
    path, last = [], None
    for t, value in pairs:
        x, y = f"{panel.x(t):.1f}", f"{panel.y(value):.1f}"
        if last is None:
            path.append(f"M{x} {y}")
        elif steps:
            path.append(f"H{x}" + ("" if y == last else f"V{y}"))
        else:
            path.append(f"L{x} {y}")
        last = y
    style = ' stroke-dasharray="3 3"' if dashed else ""
    title = escape(f"{name}: desired" if dashed else name)
    return f'<path d="{"".join(path)}" stroke="{colour}"{style}><title>{title}</title></path>'


def _frame(panel: _Panel, name: str) -> str:
    right, bottom = _WIDTH - _RIGHT, panel.top + _HEIGHT
    parts = [f'<text class="name" x="{_LEFT}" y="{panel.top - 8}">{name}</text>']
    for value in _ticks(panel.most):
        y = panel.y(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text class="value" x="{_LEFT - 6}" y="{y + 4:.1f}">{value:g}</text>')
    for at in range(5):
        t = panel.start + (panel.end - panel.start) * at / 4
        told = f"{(t - panel.start) / 3600:.3g} h"
        parts.append(f'<text class="time" x="{panel.x(t):.1f}" y="{bottom + 16}">{told}</text>')
    return "".join(parts)


def _ticks(most: float) -> list[float]:
    """Three or four round values from 0."""
    step = 1.0
    while most / step > 4:
        for factor in (2, 2.5, 2):
            step *= factor
            if most / step <= 4:
                break
    return [step * at for at in range(int(most / step) + 1)]


def _legend(results: Sequence[Result]) -> str:
    parts = ['<text class="key" x="60" y="36" fill="#777777">recorded</text>']
    x = 60 + 9 * len("recorded") + 24
    for result, colour in zip(results, _cycle(len(results)), strict=True):
        name = escape(result.name)
        parts.append(f'<text class="key" x="{x}" y="36" fill="{colour}">{name}</text>')
        x += 9 * len(result.name) + 24
    note = "solid: there are; dashed: desired; bar: a probe failed; cross: jobs killed"
    parts.append(f'<text class="time" x="{_WIDTH - _RIGHT - 215}" y="36">{note}</text>')
    return "".join(parts)


def _document(title: str, height: float, parts: Sequence[str]) -> str:
    style = (
        "text{font:12px sans-serif}.key,.name{font-weight:bold}"
        ".value{text-anchor:end}.time{text-anchor:middle;fill:#777}"
        "path{fill:none;stroke-width:1.5}.grid{stroke:#ddd;stroke-width:1}"
        ".hold{stroke:#bbb;stroke-width:2;opacity:.6}.kill{stroke:#c00;stroke-width:2}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'width="{_WIDTH}" height="{height:.0f}" role="img">'
        f"<title>{escape(title)}</title><style>{style}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text class="name" x="60" y="18">{escape(title)}</text>{"".join(parts)}'
        f'<text class="time" x="{_WIDTH / 2}" y="{height - 8:.0f}">{NOTE}</text></svg>\n'
    )


def escape(text: str) -> str:
    """`text` for XML, which has no place for control characters."""
    return escape_html(show(text.encode("utf-8", "surrogateescape")))


def _cycle(count: int) -> list[str]:
    return [_COLOURS[at % len(_COLOURS)] for at in range(count)]


def _ready(entry: Entry) -> float | None:
    samples = [each for each in entry.moment.readings if isinstance(each, Sample)]
    return sum(each.ready for each in samples) if samples else None
