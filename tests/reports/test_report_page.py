from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exitprint.errors import ExitprintError
from exitprint.reports import SuspectRow, demo_report, verdict_fragment, verification_report, write_report
from exitprint.timing import Timings

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "</title></style><base href=//evil.test>",
    "'; javascript:alert(1) //",
]


@pytest.mark.parametrize("kind", ["paper", "contrast"])
@pytest.mark.parametrize("decision", ["derived", "independent", "inconclusive"])
def test_the_numbers_on_the_page_are_the_verdicts(
    made: Any, verdict: Any, kind: str, decision: str, parsed: Any
) -> None:
    fingerprint, timings = made(kind)
    said = verdict(decision, "auc" if kind == "contrast" else "t_n")
    page = parsed(verification_report(said, fingerprint, timings, "the suspect"))
    for words in (
        decision,
        "0.032",
        "0.021 to 0.043",
        "0.124",
        "4.3 × 10⁻⁹",
        "0.446",
        "12,345",
        "6.78 s",
        "the suspect",
    ):
        assert words in page.text
    assert "The suspect took the full time on 97 of 100 images (TN = 0.032)." in page.text


def test_a_verdict_without_numbers_makes_a_page(made: Any, verdict: Any, parsed: Any) -> None:
    nan = float("nan")
    said = verdict("inconclusive", value=nan, interval=(nan, nan), p_value=nan, t_n=nan, benign_t_n=nan)
    page = parsed(verification_report(said, *made(), "s"))
    assert "nan" not in page.text.lower()
    assert "do not tell" in page.text


@pytest.mark.parametrize("kind", ["paper", "contrast"])
@pytest.mark.parametrize("asked", [(), ("benign",)])
def test_a_suspect_given_up_on_before_the_fingerprint_was_asked_makes_a_page(
    made: Any, verdict: Any, parsed: Any, kind: str, asked: tuple[str, ...]
) -> None:
    fingerprint, timings = made(kind)
    nan = float("nan")
    said = verdict("inconclusive", value=nan, threshold=nan, interval=(0.0, 1.0), p_value=1.0, t_n=nan, benign_t_n=nan)
    page = parsed(verification_report(said, fingerprint, {group: timings[group] for group in asked}, "s"))
    assert "do not tell" in page.text and "nan" not in page.text.lower()
    assert "change per image" in page.text and "When the suspect answers" not in page.text


def test_computed_times_are_called_computed(made: Any, verdict: Any, parsed: Any) -> None:
    warning = "computed, not measured"
    assert warning in parsed(verification_report(verdict(clock="cost model"), *made(), "s")).text
    assert warning not in parsed(verification_report(verdict(), *made(), "s")).text


@pytest.mark.parametrize("evil", HOSTILE)
def test_whatever_comes_from_others_stays_text(made: Any, verdict: Any, evil: str, parsed: Any) -> None:
    fingerprint, timings = made("contrast")
    fingerprint = dataclasses.replace(fingerprint, record={evil: {evil: [evil]}})
    said = verdict(reason=evil)
    harmless = parsed(verification_report(verdict(), *made("contrast"), "s", notes={"a": "b"}))
    page = parsed(verification_report(said, fingerprint, timings, evil, notes={evil: evil}))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in harmless.tags}
    assert {key for _, attributes in page.tags for key in attributes} == {
        key for _, attributes in harmless.tags for key in attributes
    }
    assert page.text.count(" ".join(evil.split())) >= 6
    demo = parsed(demo_report([SuspectRow(evil, "stolen", said, timings)], fingerprint))
    assert not {"script", "base"} & {tag for tag, _ in demo.tags}
    assert evil in parsed(verdict_fragment(said)).text


@pytest.mark.parametrize("kind", ["paper", "contrast"])
def test_nothing_is_loaded_from_anywhere(made: Any, verdict: Any, kind: str, parsed: Any, course: Any) -> None:
    html = verification_report(verdict(), *made(kind), "https://models.test/v2", course=course)
    page = parsed(html)
    links = [v or "" for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "href", "srcset")]
    assert links and all(link.startswith("data:") for link in links)
    assert "@import" not in html and "url(" not in html
    assert ("script", {}) not in page.tags


def test_pictures_and_images_have_words(made: Any, verdict: Any, parsed: Any, course: Any) -> None:
    page = parsed(verification_report(verdict(), *made("contrast"), "s", course=course))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    charts = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("class") == "chart"]
    assert len(images) == 30 and all(image["alt"] for image in images)
    assert len(charts) == 5 and all(chart["role"] == "img" and chart["aria-label"] for chart in charts)


def test_the_same_verification_gives_the_same_page(made: Any, verdict: Any) -> None:
    first, second = (verification_report(verdict(), *made("contrast"), "s") for _ in range(2))
    assert first == second


def test_halves_may_be_timed_apart(made: Any, verdict: Any, parsed: Any) -> None:
    fingerprint, timings = made("contrast")
    halves = {"late": Timings(np.full((5, 1), 0.3), "measured"), "early": Timings(np.full((4, 1), 0.1), "measured")}
    text = parsed(verification_report(verdict(statistic="auc"), fingerprint, halves, "s")).text
    assert "5 images × 1 repeat" in text and "the lines cross" not in text
    assert "the lines cross" in parsed(verification_report(verdict(statistic="auc"), fingerprint, timings, "s")).text


def test_a_sequential_test_says_how_many_requests_it_really_made(
    made: Any, verdict: Any, parsed: Any, course: Any
) -> None:
    """How often an image was asked differs, so the fewest repeats say nothing."""
    fingerprint, _ = made("contrast")
    halves = {kind: Timings(np.full((10, 1), 0.3), "measured") for kind in ("late", "early")}
    text = parsed(verification_report(verdict(statistic="auc"), fingerprint, halves, "s", course=course)).text
    assert text.count("10 images, 40 requests in all") == 2 and "1 repeat" not in text


def test_runtimes_that_do_not_fit_the_fingerprint_are_refused(made: Any, verdict: Any) -> None:
    fingerprint, timings = made("contrast")
    with pytest.raises(ExitprintError, match="a runtime for each of the 24"):
        short = {**timings, "fingerprint": Timings(np.ones((3, 2)), "measured")}
        verification_report(verdict(), fingerprint, short, "s")
    with pytest.raises(ExitprintError, match="measure the suspect first"):
        verification_report(verdict(), fingerprint, {"benign": timings["benign"]}, "s")


def test_a_course_that_does_not_fit_is_refused(course: Any) -> None:
    whole = course
    with pytest.raises(ExitprintError, match="at each of its updates"):
        dataclasses.replace(whole, requests=whole.requests[:-1])
    with pytest.raises(ExitprintError, match="a time and a kind"):
        dataclasses.replace(whole, asked=np.array(["nonsense"] * len(whole.seconds)))


def test_the_demo_counts_right_verdicts(made: Any, verdict: Any, parsed: Any) -> None:
    fingerprint, timings = made()
    rows = [
        SuspectRow("owner", "target", verdict("derived"), timings),
        SuspectRow("thief", "stolen", verdict("independent", value=0.3), timings),
        SuspectRow("other", "independent", verdict("independent", value=0.4), timings),
        SuspectRow("mute", "independent", verdict("inconclusive", value=float("nan")), timings),
    ]
    page = parsed(demo_report(rows, fingerprint))
    assert "2 of 4 verdicts are right" in page.text
    assert page.text.count("(not the truth)") == 2
    assert sum(attributes.get("class") == "chart" for _, attributes in page.tags) == 5


def test_each_suspect_stands_against_its_own_threshold(made: Any, verdict: Any, parsed: Any) -> None:
    fingerprint, timings = made()
    rows = [SuspectRow(str(t), "stolen", verdict(threshold=t), timings) for t in (0.1, 0.2)]
    page = parsed(demo_report(rows, fingerprint))
    lines = [float(a["x1"]) for tag, a in page.tags if tag == "line" and a.get("class") == "threshold"]
    assert len(lines) == 2 and lines[0] < lines[1]
    assert "for all." not in page.text


def test_suspects_judged_by_different_statistics_are_refused(made: Any, verdict: Any) -> None:
    fingerprint, timings = made()
    rows = [SuspectRow(s, "stolen", verdict(statistic=s), timings) for s in ("t_n", "auc")]
    with pytest.raises(ExitprintError, match="one statistic"):
        demo_report(rows, fingerprint)
    with pytest.raises(ExitprintError, match="at least one"):
        demo_report([], fingerprint)


def test_the_fragment_shows_the_verdict(verdict: Any, parsed: Any) -> None:
    page = parsed(verdict_fragment(verdict()))
    for words in ("derived", "0.032", "0.021 to 0.043", "0.124", "4.3 × 10⁻⁹", "12,345 requests", "6.78 s"):
        assert words in page.text


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path, made: Any, verdict: Any) -> None:
    html = verification_report(verdict(), *made(), "Ünïcödé \ud800 suspect")
    write_report(html, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == html
    with pytest.raises(ExitprintError):
        write_report(html, tmp_path / "missing" / "report.html")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ink", ["ink", "muted", "late", "early", "benign", "derived", "independent", "inconclusive"])
@pytest.mark.parametrize("ground", ["page", "card"])
def test_colours_stand_out_enough_to_be_read(scheme: int, ink: str, ground: str) -> None:
    css = files("exitprint.reports").joinpath("templates/style.css").read_text("utf-8")
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", re.findall(r":root \{(.*?)\}", css, re.S)[scheme]))
    dark, light = sorted((luminance(colours[ink]), luminance(colours[ground])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_every_shape_on_a_chart_has_a_style(made: Callable[..., Any], verdict: Any, parsed: Any, course: Any) -> None:
    css = files("exitprint.reports").joinpath("templates/style.css").read_text("utf-8")
    styled = set(re.findall(r"\.([a-z]+)", css))
    for kind in ("paper", "contrast"):
        html = verification_report(verdict(), *made(kind), "s", course=course)
        used = {name for _, attributes in parsed(html).tags for name in (attributes.get("class") or "").split()}
        assert used - styled <= {"tick", "label", "brand", "words"}
