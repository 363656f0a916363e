from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from markupsafe import Markup

from exitprint.fingerprints.score import eec, t_n
from exitprint.reports import charts
from exitprint.reports.charts import Group, Lane
from exitprint.reports.svg import Frame, spread_apart, ticks
from exitprint.reports.swap import MOST_DOTS, swap_picture

SECONDS = arrays(np.float64, st.integers(1, 60), elements=st.floats(1e-4, 5.0))


def drawn(svg: Markup, tag: str, kind: str) -> list[ET.Element]:
    return [part for part in ET.fromstring(svg).iter(tag) if set(kind.split()) <= set(part.get("class", "").split())]


def area_below(path: str, frame: Frame) -> float:
    steps = [(float(x), float(y)) for x, y in re.findall(r"H([-\d.]+)V([-\d.]+)", path)]
    start = re.match(r"M([-\d.]+) ([-\d.]+)", path)
    assert start
    x, y = float(start[1]), float(start[2])
    area = 0.0
    for next_x, next_y in steps:
        area += (next_x - x) * (frame.bottom - y)
        x, y = next_x, next_y
    return area / ((frame.right - frame.left) * (frame.bottom - frame.top))


@given(SECONDS, st.floats(1e-3, 5.0))
def test_the_area_under_a_drawn_curve_is_t_n(seconds: np.ndarray, longest: float) -> None:
    frame = Frame(0, 1000, 0, 1000)
    assert area_below(charts.step_path(*eec(seconds, longest), frame), frame) == pytest.approx(
        t_n(seconds, longest), abs=1e-3
    )


@given(SECONDS, SECONDS)
def test_the_bars_of_each_group_add_up_to_the_whole_group(first: np.ndarray, second: np.ndarray) -> None:
    groups = [Group("fingerprint", "crafted", first), Group("benign", "originals", second)]
    svg = charts.exit_histogram(groups, float(second.max()))
    heights = {
        key: sum(float(bar.get("height", 0)) for bar in drawn(svg, "rect", f"bar {key}"))
        for key in ("fingerprint", "benign")
    }
    assert heights["fingerprint"] == pytest.approx(heights["benign"], rel=1e-2)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 9))
def test_ticks_are_few_even_and_inside(low: float, span: float, most: int) -> None:
    high = low + span
    values = ticks(low, high, most)
    slack = 1e-6 * max(abs(low), abs(high))
    assert 2 <= len(values) <= most
    assert low - slack <= values[0] and values[-1] <= high + slack
    assert np.allclose(np.diff(values), values[1] - values[0], atol=slack, rtol=1e-6)


@given(st.lists(st.floats(0, 300), min_size=1, max_size=6), st.floats(1, 40))
def test_labels_are_spread_apart_in_their_order(positions: list[float], gap: float) -> None:
    placed = spread_apart(positions, gap)
    order = np.argsort(positions, kind="stable")
    assert (np.diff(np.asarray(placed)[order]) >= gap - 1e-6).all()


def test_labels_that_do_not_collide_stay_where_they_are() -> None:
    assert spread_apart([200.0, 10.0, 100.0], 38) == [200.0, 10.0, 100.0]


@pytest.mark.parametrize(("late", "early", "crossed"), [(3.0, 1.0, True), (1.2, 2.8, False)])
def test_lines_cross_where_the_halves_change_places(late: float, early: float, crossed: bool) -> None:
    jitter = np.linspace(0, 0.1, 20)
    svg = swap_picture(late + jitter, early + jitter, (1.0 + jitter, 3.0 + jitter))
    ends = [[float(drawn(svg, "line", f"swap {key}")[0].get(y, "")) for y in ("y1", "y2")] for key in ("late", "early")]
    assert ((ends[0][0] - ends[1][0]) * (ends[0][1] - ends[1][1]) < 0) == crossed


def test_without_originals_no_line_is_drawn() -> None:
    svg = swap_picture(np.full(5, 2.0), np.full(5, 1.0), None)
    assert not drawn(svg, "line", "swap")
    assert len(drawn(svg, "circle", "median")) == 2


def test_many_inputs_are_thinned_out() -> None:
    many = np.linspace(1, 2, 5000)
    svg = swap_picture(many, many, (many, many))
    assert len(drawn(svg, "circle", "dot late")) == 2 * MOST_DOTS


@given(st.floats(0, 1), st.floats(0.01, 0.99))
def test_a_suspect_stands_on_its_side_of_the_threshold(value: float, threshold: float) -> None:
    lane = Lane("suspect", value, None, threshold, "derived")
    svg = charts.strip_chart([lane])
    cut = float(drawn(svg, "line", "threshold")[0].get("x1", ""))
    start = re.match(r"M([-\d.]+)", drawn(svg, "path", "mark")[0].get("d", ""))
    assert start
    x = float(start[1])
    assert x == pytest.approx(16 + 388 * value, abs=0.06)
    assert (x < cut) == (value < threshold) or abs(value - threshold) < 1e-3


def test_a_suspect_without_a_value_says_so() -> None:
    svg = charts.strip_chart([Lane("mute", None, None, 0.1, "inconclusive")])
    assert not drawn(svg, "path", "mark")
    assert "nothing was compared" in svg


@pytest.mark.parametrize("reached", [True, False])
def test_evidence_is_drawn_above_the_line_only_when_it_suffices(reached: bool) -> None:
    needed = float(np.log(1000))
    for_copy = np.linspace(0, needed * (1.1 if reached else 0.9), 50)
    svg = charts.evidence_chart(
        np.arange(2, 102, 2.0), [("independent", -for_copy), ("derived", for_copy)], [needed, needed]
    )
    line = float(drawn(svg, "line", "threshold")[0].get("y1", ""))
    last = float(drawn(svg, "polyline", "curve derived")[0].get("points", "").rsplit(",", 1)[1])
    assert (last < line) == reached


def test_drift_shows_a_run_that_becomes_slower() -> None:
    asked = np.array(["late", "early"] * 200)
    seconds = np.linspace(0.01, 0.02, 400) + np.where(asked == "late", 0.005, 0.0)
    svg = charts.drift_chart(asked, seconds)
    for kind in ("late", "early"):
        points = drawn(svg, "polyline", f"curve {kind}")[0].get("points", "").split()
        heights = [float(point.split(",")[1]) for point in points]
        assert heights == sorted(heights, reverse=True) and heights[0] > heights[-1]


def test_words_in_a_chart_are_escaped() -> None:
    lane = Lane('</text><script>"&', 0.5, (0.4, 0.6), 0.5, "derived")
    svg = charts.strip_chart([lane])
    root = ET.fromstring(svg)
    assert not list(root.iter("script"))
    assert any(text.text == '</text><script>"&' for text in root.iter("text"))
