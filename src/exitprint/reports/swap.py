"""The picture of a contrast: the halves of the samples swap their times on a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from exitprint.reports.charts import FloatArray, GroupKey
from exitprint.reports.svg import WIDTH, Frame, chart, element, line, milliseconds, spread_apart, words
from exitprint.reports.text import duration

MOST_DOTS = 80
"""Dots that stand for one half of the samples, at most."""


def swap_picture(late: FloatArray, early: FloatArray, before: tuple[FloatArray, FloatArray] | None) -> Markup:
    """Times of both halves of a contrast fingerprint, before and after crafting: on a copy the lines cross.

    `late` and `early` are the runtimes of the samples that were made so, each shape (samples,), and `before` those of
    the originals of both, where they were asked too.
    """
    after = (late, early)
    frame = _time_frame([*after, *(before or ())])
    x_before, x_after = (180.0, 306.0) if before else (0.0, 180.0)
    columns = [(x_after, "fingerprint", after)] + ([(x_before, "original", before)] if before else [])
    drawn = [words(8, 14, "milliseconds, ↑ slower", kind="label"), *milliseconds(frame, frame.left + 6)]
    for x, name, halves in columns:
        drawn.append(line(x, frame.top - 8, x, frame.bottom + 8, "grid"))
        drawn.append(words(x, frame.bottom + 28, name, "middle", "name"))
        drawn += [*_dots(halves[0], x, frame, "late"), *_dots(halves[1], x, frame, "early")]
    for half, key in enumerate(("late", "early")):
        heights = [frame.py(float(np.median(halves[half]))) for _, _, halves in columns]
        if before:
            drawn.append(line(x_before, heights[1], x_after, heights[0], f"swap {key}"))
        for (x, _, _), y in zip(columns, heights, strict=True):
            drawn.append(element("circle", cx=x, cy=y, r=6.0, class_=f"median {key}"))
    drawn += _median_labels(frame, x_after + 32, "start", ("made slow", "made quick"), after)
    if before:
        drawn += _median_labels(frame, x_before - 32, "end", ("quick by nature", "slow by nature"), before)
    slow, quick = (duration(float(np.median(seconds))) for seconds in after)
    said = f"Times of the answers: images made slow take {slow}, images made quick {quick} (medians)."
    return chart(frame.bottom + 44, said, *drawn)


def _time_frame(parts: Sequence[FloatArray]) -> Frame:
    low, high = (float(edge) for edge in np.quantile(np.concatenate(parts), (0.01, 0.99)))
    slack = 0.06 * (high - low) or max(abs(low), 1e-9) * 0.1
    return Frame(44, WIDTH, 34, 262, y=(max(0.0, low - slack), high + slack))


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
        drawn.append(words(x, y - 1, name, anchor, f"name {key}"))
        drawn.append(words(x, y + 14, duration(median), anchor))
    return drawn
