from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitprint.reports import text

RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@given(st.text(st.characters(), max_size=900), st.integers(1, 500))
def test_shown_text_is_one_printable_line(words: str, limit: int) -> None:
    shown = text.shown(words, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    shown.encode("utf-8")


def test_direction_marks_are_replaced() -> None:
    assert text.shown("gpj\u202eexe") == "gpj\ufffdexe"


@given(st.floats(1e-98, 1.0))
def test_a_probability_reads_back_as_itself(p: float) -> None:
    written = text.probability(p)
    found = re.fullmatch(r"([\d.]+) × 10([⁻⁰-⁹¹²³]+)", written)
    value = float(found[1]) * 10.0 ** int(found[2].translate(RAISED)) if found else float(written)
    assert value == pytest.approx(p, rel=0.06, abs=0.0005 if p >= 0.001 else 0)


def test_a_probability_too_small_for_a_float_is_not_zero() -> None:
    assert text.probability(0.0) == "< 10⁻⁹⁹"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "0 µs"),
        (12e-6, "12 µs"),
        (0.00123, "1.23 ms"),
        (0.9999, "1000 ms"),
        (3.214, "3.21 s"),
        (125.0, "2 min 5 s"),
    ],
)
def test_durations_have_a_fitting_unit(seconds: float, written: str) -> None:
    assert text.duration(seconds) == written


def test_symbols_of_the_paper_are_set_and_the_rest_is_escaped() -> None:
    assert text.prose("T_N < <b>") == "<i>T</i><sub>N</sub> &lt; &lt;b&gt;"


def test_numbers_that_are_not_there_are_a_dash() -> None:
    nan = float("nan")
    assert {text.number(nan), text.probability(nan), text.duration(nan)} == {text.MISSING}


def test_a_record_is_flattened_and_bounded() -> None:
    record = {"seed": 3, "method": {"c": 10.0, "rad": [0, 5]}, "checked": True, "none": None}
    assert text.entries(record) == [
        ("seed", "3"),
        ("method.c", "10"),
        ("method.rad", "0, 5"),
        ("checked", "yes"),
        ("none", text.MISSING),
    ]
    assert text.entries({"policies": [{"T_c": [0.9, 0.8]}, {"T_c": []}]}) == [
        ("policies.1.T_c", "0.9, 0.8"),
        ("policies.2.T_c", text.MISSING),
    ]
    assert len(text.entries({str(n): n for n in range(1000)})) == text.MOST_ENTRIES


@pytest.mark.parametrize("key", ["a", "a" * 500])
@pytest.mark.parametrize("nest", [lambda key, inside: {key: inside}, lambda key, inside: {key: [inside]}])
def test_a_record_nested_by_a_stranger_is_cut_off(key: str, nest: Callable[[str, object], dict[str, object]]) -> None:
    deep: dict[str, object] = {}
    for _ in range(900):
        deep = nest(key, deep)
    assert text.entries(deep)[0][1] == "(more inside)"
