"""The parts of charts as inline SVG: plain shapes with CSS classes, so that the colours of the page apply to them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from exitprint.reports.text import number

WIDTH = 420.0
"""Width of a picture in its own units."""


@dataclass(frozen=True)
class Frame:
    """The drawing area inside a chart, and the data that its edges stand for."""

    left: float
    right: float
    top: float
    bottom: float
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)

    def px(self, x: float) -> float:
        """Horizontal position of `x`, held inside the frame."""
        share = (x - self.x[0]) / (self.x[1] - self.x[0])
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def py(self, y: float) -> float:
        """Vertical position of `y`, held inside the frame; larger values are higher up."""
        share = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.bottom - min(max(share, 0.0), 1.0) * (self.bottom - self.top)


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """One SVG element; children and attributes are escaped unless they are markup already."""
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    head = "".join(f' {names[name]}="{escape(_written(value))}"' for name, value in attributes.items())
    inner = "".join(escape(child) for child in children)
    return Markup(f"<{tag}{head}>{inner}</{tag}>" if children else f"<{tag}{head}/>")


def _written(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def chart(height: float, label: str, *children: str, width: float = WIDTH) -> Markup:
    """A whole picture; `label` is what a screen reader says of it."""
    box = f"0 0 {_written(width)} {_written(height)}"
    return element("svg", *children, class_="chart", viewBox=box, role="img", aria_label=label)


def words(x: float, y: float, said: str, anchor: str = "start", kind: str = "tick") -> Markup:
    """Words at a place, `kind` their CSS class."""
    return element("text", said, x=x, y=y, text_anchor=anchor, class_=kind)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line, `kind` its CSS class."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers, evenly spaced, within [low, high]: at least two and at most `most`."""
    raw = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    for step in (1 * power, 2 * power, 2.5 * power, 5 * power, 10 * power, 20 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            break
    if last - first < 1:
        return [low, high]
    return [k * step for k in range(first, last + 1)]


def spread_apart(positions: Sequence[float], gap: float) -> list[float]:
    """Positions moved as little as needed, in the same order, so that neighbours are at least `gap` apart."""
    order = np.argsort(positions, kind="stable")
    placed = np.asarray(positions, dtype=np.float64)[order]
    for index in range(1, len(placed)):
        overlap = placed[index - 1] + gap - placed[index]
        if overlap > 0:
            placed[index - 1] -= overlap / 2
            placed[index] += overlap / 2
    for index in range(1, len(placed)):
        placed[index] = max(placed[index], placed[index - 1] + gap)
    result = np.empty_like(placed)
    result[order] = placed
    return [float(position) for position in result]


def x_axis(frame: Frame, label: str, values: Sequence[float], digits: int) -> list[Markup]:
    """A frame's lower edge with its scale, and lines upwards from it."""
    return [
        *(line(frame.px(v), frame.top, frame.px(v), frame.bottom, "grid") for v in values),
        line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"),
        *(words(frame.px(v), frame.bottom + 16, number(v, digits), "middle") for v in values),
        words((frame.left + frame.right) / 2, frame.bottom + 34, label, "middle", "label"),
    ]


def milliseconds(frame: Frame, end: float) -> list[Markup]:
    """A scale for times in seconds at the left of a frame, with lines as far as `end`."""
    marks = ticks(1e3 * frame.y[0], 1e3 * frame.y[1], 5)
    digits = max(0, 1 - math.floor(math.log10(marks[1] - marks[0]))) if len(marks) > 1 else 3
    return y_scale(frame, {mark / 1e3: number(mark, min(digits, 4)) for mark in marks}, end)


def y_scale(frame: Frame, labels: Mapping[float, str] | Mapping[int, str], end: float) -> list[Markup]:
    """A scale at the left of a frame: each value's label, and a line from it as far as `end`."""
    drawn = []
    for value, label in labels.items():
        y = frame.py(value)
        drawn += [line(frame.left, y, end, y, "grid"), words(frame.left - 6, y + 4, label, "end")]
    return drawn


def curve(frame: Frame, points: Iterable[tuple[float, float]], kind: str) -> Markup:
    """A line through points, `kind` its CSS class."""
    places = " ".join(f"{frame.px(x):.1f},{frame.py(y):.1f}" for x, y in points)
    return element("polyline", points=places, class_=f"curve {kind}")
