"""What a verdict shows of itself."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from exitprint.fingerprints.verdict import COLORS, Verdict, percent

VERDICT = Verdict(
    decision="derived",
    kind="contrast",
    share=0.96,
    interval=(0.81, 0.99),
    p0=0.65,
    nature=0.9,
    nature_interval=(0.6, 0.97),
    e_value=2345.6,
    p_value=1 / 2345.6,
    e_value_independent=1.0,
    alpha=0.001,
    beta=0.01,
    requests=1234,
    seconds=5.678,
    bytes=None,
    clock="measured",
    reason="Because <it> is.",
    assumptions=("One.", "Two."),
    floor=0.5,
    seed=7,
)


def test_a_share_has_its_interval():
    assert percent(0.96, (0.81, 0.994)) == "96% of the pairs (81% to 99%)"
    assert percent(None, (0.1, 0.2)) == percent(0.5, None) == percent(None, None) == "nothing was compared"


def test_in_a_notebook_it_is_a_table():
    page = VERDICT._repr_html_()
    assert COLORS["derived"] in page and "<b" in page and ">derived</b>" in page and "&lt;it&gt;" in page
    rows = [row.split("</td><td>") for row in page.replace("</td></tr>", "").split("<tr><td>")[1:]]
    assert [(name, value.split("</tbody>")[0]) for name, value in rows] == [
        ("the late sample is slower in", "96% of the pairs (81% to 99%)"),
        ("a claim needs more than", "65% of the pairs"),
        ("by nature", "90% of the pairs (60% to 97%)"),
        ("e-value", "2.35e+03, and 1000 claims"),
        ("cost", "1,234 requests, 5.7 s"),
        ("clock", "measured"),
        ("why", "Because &lt;it&gt; is."),
    ]
    assert "by nature" not in replace(VERDICT, kind="paper")._repr_html_()
    assert len({COLORS[decision] for decision in ("derived", "independent", "inconclusive")}) == 3


def test_as_json_it_is_plain_and_whole():
    plain = VERDICT.as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["interval"] == [0.81, 0.99] and plain["assumptions"] == ["One.", "Two."]
    left_out = {"timings", "course"}
    assert set(plain) == set(VERDICT.__dataclass_fields__) - left_out
    assert all(plain[name] == getattr(VERDICT, name) for name in ("decision", "p_value", "bytes", "seed", "floor"))


def test_what_was_measured_is_beside_the_verdict_and_no_part_of_it():
    other = replace(VERDICT, timings={"late": None}, course="some")  # type: ignore[arg-type,dict-item]
    assert other == VERDICT and replace(VERDICT, seed=8) != VERDICT
    assert "timings" not in repr(other) and "course" not in repr(other)
    assert VERDICT.timings == {} and VERDICT.course is None
    with pytest.raises(FrozenInstanceError):
        VERDICT.decision = "independent"  # type: ignore[misc]
