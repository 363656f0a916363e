"""What a verification came to, drawn: curves, histograms, shares of pairs, evidence and drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from exitprint.evidence.limits import Decision
from exitprint.fingerprints.score import eec, normalised
from exitprint.reports.svg import WIDTH, Frame, chart, curve, element, line, milliseconds, ticks, words, x_axis, y_scale
from exitprint.reports.text import number, power_of_ten, shown

FloatArray = NDArray[np.float64]
GroupKey = Literal["fingerprint", "late", "early", "benign"]

BINS = 40
MOST_POINTS = 400
MOST_BLOCKS = 60
"""Bins of a histogram, and how many points a curve of evidence and blocks one of drift has at most."""


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
    drawn = y_scale(frame, {share: f"{share:.0%}" for share in shares}, frame.right)
    if small:
        drawn += [line(frame.left, frame.bottom, frame.right, frame.bottom, "axis")]
        drawn += [words(frame.px(v), frame.bottom + 16, f"{v:.0f}", "middle") for v in (0.0, 1.0)]
        drawn.append(words((frame.left + frame.right) / 2, frame.bottom + 16, "time", "middle", "label"))
    else:
        drawn += x_axis(frame, "time, as a share of the longest", ticks(0, 1), 1)
        drawn.append(words(12, 14, "images answered", kind="label"))
    for position, group in enumerate(groups):
        path = step_path(*eec(group.seconds, longest), frame)
        if position == 0:
            floor = f"V{frame.bottom:.2f}H{frame.left:.2f}Z"
            drawn.append(element("path", d=path + floor, class_=f"area {group.key}"))
        drawn.append(element("path", d=path, class_=f"curve {group.key}"))
    names = " and ".join(group.label for group in groups)
    return chart(height, f"Share of images answered over time: {names}.", *drawn, width=width)


def exit_histogram(groups: Sequence[Group], longest: float) -> Markup:
    """Where inputs leave: a histogram of normalised times per group, one above the other, with its mean.

    Bars are shares of the group, on one scale for all groups.
    """
    counts = [np.histogram(normalised(g.seconds, longest), BINS, (0, 1))[0] / len(g.seconds) for g in groups]
    tallest = max(float(share.max()) for share in counts)
    lane, lanes = 96.0, len(groups)
    drawn = x_axis(
        Frame(16, 404, 8, 8 + lane * lanes), "quick   ←   time, as a share of the longest   →   slow", ticks(0, 1), 1
    )
    for row, (group, shares) in enumerate(zip(groups, counts, strict=True)):
        frame = Frame(16, 404, 8 + lane * row + 30, 8 + lane * (row + 1), y=(0, tallest))
        drawn.append(words(frame.left, frame.top - 14, group.label, kind="name"))
        for bin, share in enumerate(shares):
            if share:
                left, right = frame.px(bin / BINS), frame.px((bin + 1) / BINS)
                top = frame.py(share)
                bar = {"x": left + 0.5, "y": top, "width": right - left - 1, "height": frame.bottom - top}
                drawn.append(element("rect", class_=f"bar {group.key}", **bar))
        mean = frame.px(float(normalised(group.seconds, longest).mean()))
        drawn.append(line(mean, frame.top - 6, mean, frame.bottom, "mean"))
        drawn.append(line(frame.left, frame.bottom, frame.right, frame.bottom, "axis"))
    names = " and ".join(group.label for group in groups)
    return chart(8 + lane * lanes + 44, f"Histograms of the times of {names}.", *drawn)


def strip_chart(lanes: Sequence[Lane]) -> Markup:
    """The share of pairs of each suspect, with its interval, against its threshold; the copies' side is shaded.

    Suspects stand from top to bottom; where none has a name, no room is kept for one.
    """
    name_room = 22.0 if any(lane.name for lane in lanes) else 0.0
    lane_height = name_room + 30
    frame = Frame(16, 404, 24, 24 + lane_height * len(lanes), x=(0.0, 1.0))
    drawn = x_axis(frame, "", ticks(0, 1), 1)
    for row, lane in enumerate(lanes):
        top = frame.top + lane_height * row
        drawn += _side(lane.threshold, frame, (top, top + name_room, top + lane_height))
        if lane.name:
            drawn.append(words(frame.left + 4, top + 18, shown(lane.name, 48), kind="tick over"))
        drawn += _whisker(lane, frame, top + name_room + 15)
    if len({lane.threshold for lane in lanes}) == 1:
        cut = frame.px(lanes[0].threshold)
        edge = "start" if cut < 80 else "end" if cut > WIDTH - 80 else "middle"
        drawn.append(words(cut, 13, f"threshold {number(lanes[0].threshold)}", edge, "name"))
    drawn.append(words(frame.left, frame.bottom + 34, "← like any other", kind="label"))
    drawn.append(words(frame.right, frame.bottom + 34, "like a copy →", "end", "label"))
    said = "; ".join(
        f"{shown(lane.name, 48) or 'value'} {'not known' if lane.value is None else number(lane.value)}, threshold "
        f"{number(lane.threshold)}, {lane.decision}"
        for lane in lanes
    )
    return chart(frame.bottom + 42, f"{said}.", *drawn)


def _side(threshold: float, frame: Frame, edges: tuple[float, float, float]) -> list[Markup]:
    """The copies' side of a lane, and the threshold below its name, which it would cross out."""
    top, below_name, bottom = edges
    cut = frame.px(threshold)
    return [
        element("rect", class_="side", x=cut, y=top, width=frame.right - cut, height=bottom - top),
        line(cut, below_name, cut, bottom, "threshold"),
    ]


def _whisker(lane: Lane, frame: Frame, y: float) -> list[Markup]:
    if lane.value is None:
        return [words(frame.left + 4, y + 4, "nothing was compared", kind="tick")]
    drawn = []
    if lane.interval is not None:
        drawn.append(line(frame.px(lane.interval[0]), y, frame.px(lane.interval[1]), y, f"whisker {lane.decision}"))
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

    `requests` were made at each observation, shape (observations,), ascending. Each curve is the name of a line's
    style, and natural logarithms of the evidence, of the same shape; `needed` are those that make a decision.
    """
    power = 1 / math.log(10)
    most = max(needed) * power
    lowest = power * min(float(log_e.min(initial=0)) for _, log_e in curves)
    frame = Frame(62, 404, 12, 216, x=(0.0, float(requests[-1])), y=(max(lowest, -most) * 1.1, most * 1.3))
    drawn = x_axis(frame, "requests", ticks(0, frame.x[1], 5), 0)
    whole = (round(tick) for tick in ticks(*frame.y, 6) if abs(tick - round(tick)) < 1e-9)
    drawn += y_scale(frame, {n: f"{10**n:,}" if 0 <= n <= 4 else power_of_ten(n) for n in whole}, frame.right)
    for level in sorted(set(needed)):
        drawn.append(line(frame.left, frame.py(level * power), frame.right, frame.py(level * power), "threshold"))
    drawn.append(words(frame.left + 4, frame.py(most) - 7, "enough to decide", kind="name"))
    some = np.unique(np.linspace(0, len(requests) - 1, min(MOST_POINTS, len(requests))).round().astype(int))
    for kind, log_e in curves:
        drawn.append(curve(frame, [(0, 0), *((requests[i], log_e[i] * power) for i in some)], kind))
    return chart(260, "Evidence for a copy, for independence and for nature's order over the requests.", *drawn)


def drift_chart(group: NDArray[np.str_], seconds: FloatArray) -> Markup:
    """Median time of each kind of input over the run, block by block.

    `group` is the kind of each request (``late``, ``early``, ``benign`` or ``fingerprint``) in the order of asking,
    shape (requests,), and `seconds` its time.
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
    drawn = x_axis(frame, "requests", ticks(0, frame.x[1], 5), 0)
    drawn += milliseconds(frame, frame.right)
    drawn.append(words(12, 12, "milliseconds (median)", kind="label"))
    drawn += [curve(frame, points, key) for key, points in curves.items()]
    return chart(260, "Time of an answer over the run, by kind of image.", *drawn)
