"""Charts as inline SVG: plain shapes with CSS classes, so that the page's colours, light or dark, apply to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from exitprint.evidence.limits import Decision
from exitprint.fingerprints.score import eec, normalised
from exitprint.reports.text import duration, number, power_of_ten, shown

FloatArray = NDArray[np.float64]
GroupKey = Literal["fingerprint", "late", "early", "benign"]

WIDTH = 420.0
BINS = 40
MOST_DOTS = 80
MOST_POINTS = 400
MOST_BLOCKS = 60
"""Width of a picture in its own units, bins of a histogram, and how many dots, points and blocks it has at most."""


@dataclass(frozen=True)
class Group:
    """Runtimes of one kind of input, shape (inputs,), under the name that a reader sees."""

    key: GroupKey
    label: str
    seconds: FloatArray


@dataclass(frozen=True)
class Lane:
    """One suspect in a strip chart: its share of pairs, the 95 % interval, the threshold and what was decided."""

    name: str
    value: float | None
    interval: tuple[float, float] | None
    threshold: float
    decision: Decision


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


def _chart(height: float, label: str, *children: str, width: float = WIDTH) -> Markup:
    box = f"0 0 {_written(width)} {_written(height)}"
    return element("svg", *children, class_="chart", viewBox=box, role="img", aria_label=label)


def _text(x: float, y: float, words: str, anchor: str = "start", kind: str = "tick") -> Markup:
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=kind)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
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


def _x_axis(frame: Frame, label: str, values: Sequence[float], digits: int) -> list[Markup]:
    return [
        *(_line(frame.px(v), frame.top, frame.px(v), frame.bottom, "grid") for v in values),
        _line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"),
        *(_text(frame.px(v), frame.bottom + 16, number(v, digits), "middle") for v in values),
        _text((frame.left + frame.right) / 2, frame.bottom + 34, label, "middle", "label"),
    ]


def step_path(time: FloatArray, share: FloatArray, frame: Frame) -> str:
    """SVG path of a curve that stays at each share until the next time."""
    parts = [f"M{frame.px(time[0]):.2f} {frame.py(share[0]):.2f}"]
    parts += [f"H{frame.px(t):.2f}V{frame.py(s):.2f}" for t, s in zip(time[1:], share[1:], strict=True)]
    return "".join(parts)


def eec_chart(groups: Sequence[Group], longest: float, small: bool = False) -> Markup:
    """Early-exit capacity curves (figure 2): the share of inputs answered by each normalised time.

    Parameters
    ----------
    groups
        One curve each; the area under the first, which is its T_N, is shaded.
    longest
        The runtime that counts as 1.
    small
        Only the curves and the ends of the axes, for many charts side by side.
    """
    frame = Frame(46, 208, 10, 128) if small else Frame(50, 408, 30, 266)
    width, height = (214.0, 150.0) if small else (WIDTH, 310.0)
    shares = [0.0, 1.0] if small else [0.0, 0.25, 0.5, 0.75, 1.0]
    drawn: list[Markup] = []
    for share in shares:
        drawn.append(_line(frame.left, frame.py(share), frame.right, frame.py(share), "grid"))
        drawn.append(_text(frame.left - 6, frame.py(share) + 4, f"{share:.0%}", "end"))
    if small:
        drawn += [_line(frame.left, frame.bottom, frame.right, frame.bottom, "axis")]
        drawn += [_text(frame.px(v), frame.bottom + 16, f"{v:.0f}", "middle") for v in (0.0, 1.0)]
        drawn.append(_text((frame.left + frame.right) / 2, frame.bottom + 16, "time", "middle", "label"))
    else:
        drawn += _x_axis(frame, "time, as a share of the longest", ticks(0, 1), 1)
        drawn.append(_text(12, 14, "images answered", kind="label"))
    for position, group in enumerate(groups):
        path = step_path(*eec(group.seconds, longest), frame)
        if position == 0:
            floor = f"V{frame.bottom:.2f}H{frame.left:.2f}Z"
            drawn.append(element("path", d=path + floor, class_=f"area {group.key}"))
        drawn.append(element("path", d=path, class_=f"curve {group.key}"))
    names = " and ".join(group.label for group in groups)
    return _chart(height, f"Share of images answered over time: {names}.", *drawn, width=width)


def exit_histogram(groups: Sequence[Group], longest: float) -> Markup:
    """Where inputs leave: a histogram of normalised times per group, one above the other, with its mean.

    Bars are shares of the group, on one scale for all groups.
    """
    counts = [np.histogram(normalised(g.seconds, longest), BINS, (0, 1))[0] / len(g.seconds) for g in groups]
    tallest = max(float(share.max()) for share in counts)
    lane, lanes = 96.0, len(groups)
    drawn = _x_axis(
        Frame(16, 404, 8, 8 + lane * lanes), "quick   ←   time, as a share of the longest   →   slow", ticks(0, 1), 1
    )
    for row, (group, shares) in enumerate(zip(groups, counts, strict=True)):
        frame = Frame(16, 404, 8 + lane * row + 30, 8 + lane * (row + 1), y=(0, tallest))
        drawn.append(_text(frame.left, frame.top - 14, group.label, kind="name"))
        for bin, share in enumerate(shares):
            if share:
                left, right = frame.px(bin / BINS), frame.px((bin + 1) / BINS)
                top = frame.py(share)
                bar = {"x": left + 0.5, "y": top, "width": right - left - 1, "height": frame.bottom - top}
                drawn.append(element("rect", class_=f"bar {group.key}", **bar))
        mean = frame.px(float(normalised(group.seconds, longest).mean()))
        drawn.append(_line(mean, frame.top - 6, mean, frame.bottom, "mean"))
        drawn.append(_line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"))
    names = " and ".join(group.label for group in groups)
    return _chart(8 + lane * lanes + 44, f"Histograms of the times of {names}.", *drawn)


def swap_picture(late: FloatArray, early: FloatArray, before: tuple[FloatArray, FloatArray] | None) -> Markup:
    """Times of both halves of a contrast fingerprint, before and after crafting: on a copy the lines cross.

    Parameters
    ----------
    late, early
        Runtimes of the samples made late and made early, each shape (samples,).
    before
        Runtimes of the originals of both, where they were asked too.
    """
    after = (late, early)
    frame = _time_frame([*after, *(before or ())])
    x_before, x_after = (180.0, 306.0) if before else (0.0, 180.0)
    columns = [(x_after, "fingerprint", after)] + ([(x_before, "original", before)] if before else [])
    drawn = [_text(8, 14, "milliseconds, ↑ slower", kind="label"), *_milliseconds(frame, frame.left + 6)]
    for x, name, halves in columns:
        drawn.append(_line(x, frame.top - 8, x, frame.bottom + 8, "grid"))
        drawn.append(_text(x, frame.bottom + 28, name, "middle", "name"))
        drawn += [*_dots(halves[0], x, frame, "late"), *_dots(halves[1], x, frame, "early")]
    for half, key in enumerate(("late", "early")):
        heights = [frame.py(float(np.median(halves[half]))) for _, _, halves in columns]
        if before:
            drawn.append(_line(x_before, heights[1], x_after, heights[0], f"swap {key}"))
        for (x, _, _), y in zip(columns, heights, strict=True):
            drawn.append(element("circle", cx=x, cy=y, r=6.0, class_=f"median {key}"))
    drawn += _median_labels(frame, x_after + 32, "start", ("made slow", "made quick"), after)
    if before:
        drawn += _median_labels(frame, x_before - 32, "end", ("quick by nature", "slow by nature"), before)
    slow, quick = (duration(float(np.median(seconds))) for seconds in after)
    said = f"Times of the answers: images made slow take {slow}, images made quick {quick} (medians)."
    return _chart(frame.bottom + 44, said, *drawn)


def _time_frame(parts: Sequence[FloatArray]) -> Frame:
    low, high = (float(edge) for edge in np.quantile(np.concatenate(parts), (0.01, 0.99)))
    slack = 0.06 * (high - low) or max(abs(low), 1e-9) * 0.1
    return Frame(44, WIDTH, 34, 262, y=(max(0.0, low - slack), high + slack))


def _milliseconds(frame: Frame, end: float) -> list[Markup]:
    """A scale for times in seconds at the left of a frame, with lines as far as `end`."""
    marks = ticks(1e3 * frame.y[0], 1e3 * frame.y[1], 5)
    digits = max(0, 1 - math.floor(math.log10(marks[1] - marks[0]))) if len(marks) > 1 else 3
    drawn = []
    for mark in marks:
        y = frame.py(mark / 1e3)
        drawn.append(_line(frame.left, y, end, y, "grid"))
        drawn.append(_text(frame.left - 6, y + 4, number(mark, min(digits, 4)), "end"))
    return drawn


def _dots(seconds: FloatArray, centre: float, frame: Frame, key: GroupKey) -> list[Markup]:
    ordered = np.sort(seconds)
    some = ordered[np.linspace(0, len(ordered) - 1, min(MOST_DOTS, len(ordered))).round().astype(int)]
    side = -1 if key == "late" else 1
    drawn = []
    for position, value in enumerate(some):
        x, y = centre + side * (4 + 20 * (position * 0.618034 % 1)), frame.py(float(value))
        if key == "late":
            drawn.append(element("circle", cx=x, cy=y, r=3.0, class_="dot late"))
        else:
            drawn.append(element("rect", x=x - 2.5, y=y - 2.5, width=5.0, height=5.0, class_="dot early"))
    return drawn


def _median_labels(
    frame: Frame, x: float, anchor: str, names: tuple[str, str], halves: tuple[FloatArray, FloatArray]
) -> list[Markup]:
    medians = [float(np.median(seconds)) for seconds in halves]
    places = spread_apart([frame.py(median) for median in medians], 38)
    drawn = []
    for key, name, median, y in zip(("late", "early"), names, medians, places, strict=True):
        drawn.append(_text(x, y - 1, name, anchor, f"name {key}"))
        drawn.append(_text(x, y + 14, duration(median), anchor))
    return drawn


def strip_chart(lanes: Sequence[Lane]) -> Markup:
    """The share of pairs of each suspect, with its interval, against its threshold; the copies' side is shaded.

    Parameters
    ----------
    lanes
        Suspects, top to bottom; where none has a name, no room is kept for one.
    """
    name_room = 22.0 if any(lane.name for lane in lanes) else 0.0
    lane_height = name_room + 30
    frame = Frame(16, 404, 24, 24 + lane_height * len(lanes), x=(0.0, 1.0))
    drawn = _x_axis(frame, "", ticks(0, 1), 1)
    for row, lane in enumerate(lanes):
        top = frame.top + lane_height * row
        drawn += _side(lane.threshold, frame, (top, top + name_room, top + lane_height))
        if lane.name:
            drawn.append(_text(frame.left + 4, top + 18, shown(lane.name, 48), kind="tick over"))
        drawn += _whisker(lane, frame, top + name_room + 15)
    if len({lane.threshold for lane in lanes}) == 1:
        cut = frame.px(lanes[0].threshold)
        edge = "start" if cut < 80 else "end" if cut > WIDTH - 80 else "middle"
        drawn.append(_text(cut, 13, f"threshold {number(lanes[0].threshold)}", edge, "name"))
    drawn.append(_text(frame.left, frame.bottom + 34, "← like any other", kind="label"))
    drawn.append(_text(frame.right, frame.bottom + 34, "like a copy →", "end", "label"))
    said = "; ".join(
        f"{shown(lane.name, 48) or 'value'} {'not known' if lane.value is None else number(lane.value)}, threshold "
        f"{number(lane.threshold)}, {lane.decision}"
        for lane in lanes
    )
    return _chart(frame.bottom + 42, f"{said}.", *drawn)


def _side(threshold: float, frame: Frame, edges: tuple[float, float, float]) -> list[Markup]:
    """The copies' side of a lane, and the threshold below its name, which it would cross out."""
    top, below_name, bottom = edges
    cut = frame.px(threshold)
    return [
        element("rect", class_="side", x=cut, y=top, width=frame.right - cut, height=bottom - top),
        _line(cut, below_name, cut, bottom, "threshold"),
    ]


def _whisker(lane: Lane, frame: Frame, y: float) -> list[Markup]:
    if lane.value is None:
        return [_text(frame.left + 4, y + 4, "nothing was compared", kind="tick")]
    drawn = []
    if lane.interval is not None:
        drawn.append(_line(frame.px(lane.interval[0]), y, frame.px(lane.interval[1]), y, f"whisker {lane.decision}"))
    return [*drawn, mark(lane.decision, frame.px(lane.value), y)]


def mark(decision: Decision, x: float, y: float) -> Markup:
    """The sign of a decision, told apart by shape as well as by colour."""
    shapes = {
        "derived": f"M{x:.1f} {y - 8:.1f}l8 8l-8 8l-8 -8Z",
        "independent": f"M{x - 6.5:.1f} {y:.1f}a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0 -13 0Z",
        "inconclusive": f"M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12",
    }
    return element("path", d=shapes[decision], class_=f"mark {decision}")


def evidence_chart(requests: FloatArray, curves: Sequence[tuple[str, FloatArray]], needed: Sequence[float]) -> Markup:
    """How the evidence grew over the requests, up to what it had to reach.

    Parameters
    ----------
    requests
        Requests made at each observation, shape (observations,), ascending.
    curves
        Name of a line's style, and natural logarithms of the evidence, shape (observations,).
    needed
        Natural logarithms of what makes a decision.
    """
    power = 1 / math.log(10)
    most = max(needed) * power
    lowest = power * min(float(log_e.min(initial=0)) for _, log_e in curves)
    frame = Frame(62, 404, 12, 216, x=(0.0, float(requests[-1])), y=(max(lowest, -most) * 1.1, most * 1.3))
    drawn = _x_axis(frame, "requests", ticks(0, frame.x[1], 5), 0)
    for exponent in (round(tick) for tick in ticks(*frame.y, 6) if abs(tick - round(tick)) < 1e-9):
        y = frame.py(exponent)
        drawn.append(_line(frame.left, y, frame.right, y, "grid"))
        label = f"{10**exponent:,}" if 0 <= exponent <= 4 else power_of_ten(exponent)
        drawn.append(_text(frame.left - 6, y + 4, label, "end"))
    for level in sorted(set(needed)):
        drawn.append(_line(frame.left, frame.py(level * power), frame.right, frame.py(level * power), "threshold"))
    drawn.append(_text(frame.left + 4, frame.py(most) - 7, "enough to decide", kind="name"))
    some = np.unique(np.linspace(0, len(requests) - 1, min(MOST_POINTS, len(requests))).round().astype(int))
    for kind, log_e in curves:
        points = [f"{frame.px(requests[i]):.1f},{frame.py(log_e[i] * power):.1f}" for i in some]
        start = f"{frame.px(0):.1f},{frame.py(0):.1f}"
        drawn.append(element("polyline", points=" ".join([start, *points]), class_=f"curve {kind}"))
    return _chart(260, "Evidence for a copy, for independence and for nature's order over the requests.", *drawn)


def drift_chart(group: NDArray[np.str_], seconds: FloatArray) -> Markup:
    """Median time of each kind of input over the run, block by block.

    Parameters
    ----------
    group
        Kind of each request (``late``, ``early``, ``benign`` or ``fingerprint``) in the order of asking, shape
        (requests,).
    seconds
        Its time, same shape.
    """
    blocks = np.array_split(np.arange(len(seconds)), min(MOST_BLOCKS, max(2, len(seconds) // 10)))
    curves: dict[str, list[tuple[float, float]]] = {key: [] for key in dict.fromkeys(group.tolist())}
    for block in blocks:
        for key, points in curves.items():
            member = block[group[block] == key]
            if len(member):
                points.append((float(block.mean()), float(np.median(seconds[member]))))
    values = [y for points in curves.values() for _, y in points]
    low, high = min(values), max(values)
    slack = 0.1 * (high - low) or 0.1 * max(high, 1e-9)
    frame = Frame(62, 404, 26, 216, x=(0.0, float(len(seconds))), y=(max(0.0, low - slack), high + slack))
    drawn = _x_axis(frame, "requests", ticks(0, frame.x[1], 5), 0)
    drawn += _milliseconds(frame, frame.right)
    drawn.append(_text(12, 12, "milliseconds (median)", kind="label"))
    for key, points in curves.items():
        line = " ".join(f"{frame.px(x):.1f},{frame.py(y):.1f}" for x, y in points)
        drawn.append(element("polyline", points=line, class_=f"curve {key}"))
    return _chart(260, "Time of an answer over the run, by kind of image.", *drawn)
