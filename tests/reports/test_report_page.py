from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from exitprint.errors import ExitprintError
from exitprint.reports import SuspectRow, demo_report, verification_report, write_report

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
    said = verdict(decision, kind, timings=timings)
    page = parsed(verification_report(said, fingerprint, "the suspect"))
    for words in (
        decision,
        "94%",
        "81% to 98%",
        "67%",
        "4.3 × 10⁻⁹",
        "The owner states that the moon is round.",
        "12,345",
        "6.78 s",
        "the suspect",
    ):
        assert words in page.text
    assert "The suspect took the full time on 97 of 100 images (TN = 0.032)." in page.text
    assert ("95%" in page.text and "73% to 99%" in page.text) == (kind == "contrast")


@pytest.mark.parametrize("kind", ["paper", "contrast"])
@pytest.mark.parametrize("asked", [0, 1])
def test_a_suspect_given_up_on_before_the_fingerprint_was_asked_makes_a_page(
    made: Any, verdict: Any, parsed: Any, kind: str, asked: int
) -> None:
    fingerprint, timings = made(kind)
    nothing = {"share": None, "interval": None, "nature": None, "nature_interval": None, "p_value": 1.0}
    originals = {name: part for name, part in timings.items() if "original" in name and asked}
    page = parsed(verification_report(verdict("inconclusive", kind, timings=originals, **nothing), fingerprint, "s"))
    assert "do not tell" in page.text and "nothing was compared" in page.text
    assert "nan" not in page.text.lower().split() and "None" not in page.text
    assert "change per image" in page.text and "When the suspect answers" not in page.text


def test_computed_times_are_called_computed(made: Any, verdict: Any, parsed: Any) -> None:
    warning = "computed, not measured"
    assert warning in parsed(verification_report(verdict(clock="cost-model"), made()[0], "s")).text
    assert warning not in parsed(verification_report(verdict(), made()[0], "s")).text


@pytest.mark.parametrize("evil", HOSTILE)
def test_whatever_comes_from_others_stays_text(made: Any, verdict: Any, evil: str, parsed: Any) -> None:
    fingerprint, timings = made("contrast")
    fingerprint = dataclasses.replace(fingerprint, record={evil: {evil: [evil]}})
    said = verdict(reason=evil, assumptions=(evil,), timings=timings)
    harmless = parsed(
        verification_report(
            verdict(timings=timings, reason="plain"), made("contrast")[0], "s", journal=Path("j"), notes={"a": "b"}
        )
    )
    page = parsed(verification_report(said, fingerprint, evil, journal=Path(evil), notes={evil: evil}))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in harmless.tags}
    assert {key for _, attributes in page.tags for key in attributes} == {
        key for _, attributes in harmless.tags for key in attributes
    }
    assert page.text.count(" ".join(evil.split())) >= 6
    demo = parsed(demo_report([SuspectRow(evil, "stolen", said)], fingerprint))
    assert not {"script", "base"} & {tag for tag, _ in demo.tags}
    assert escape(evil) in said._repr_html_()


@pytest.mark.parametrize("kind", ["paper", "contrast"])
def test_nothing_is_loaded_from_anywhere(made: Any, verdict: Any, kind: str, parsed: Any, course: Any) -> None:
    fingerprint, timings = made(kind)
    said = verdict("derived", kind, timings=timings, course=course)
    html = verification_report(said, fingerprint, "https://models.test/v2")
    page = parsed(html)
    links = [v or "" for _, attributes in page.tags for k, v in attributes.items() if k in ("src", "href", "srcset")]
    assert links and all(link.startswith("data:") for link in links)
    assert "@import" not in html and "url(" not in html
    assert ("script", {}) not in page.tags


def test_pictures_and_images_have_words(made: Any, verdict: Any, parsed: Any, course: Any) -> None:
    fingerprint, timings = made("contrast")
    said = verdict("derived", "contrast", timings=timings, course=course)
    page = parsed(verification_report(said, fingerprint, "s"))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    charts = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("class") == "chart"]
    assert len(images) == 30 and all(image["alt"] for image in images)
    assert len(charts) == 5 and all(chart["role"] == "img" and chart["aria-label"] for chart in charts)


def test_the_same_verification_gives_the_same_page(made: Any, verdict: Any) -> None:
    first, second = (verification_report(verdict(timings=made()[1]), made()[0], "s") for _ in range(2))
    assert first == second


def test_originals_that_were_not_asked_are_not_drawn(made: Any, verdict: Any, parsed: Any) -> None:
    fingerprint, timings = made("contrast")
    halves = {kind: timings[kind] for kind in ("late", "early")}
    pages = [
        parsed(verification_report(verdict("derived", "contrast", timings=each), fingerprint, "s")).text
        for each in (halves, timings)
    ]
    assert ["the lines cross" in page for page in pages] == [False, True]


def test_every_request_is_accounted_for(made: Any, verdict: Any, parsed: Any, course: Any) -> None:
    fingerprint, timings = made("contrast")
    said = verdict("derived", "contrast", requests=83, timings=timings, course=course)
    text = parsed(verification_report(said, fingerprint, "s")).text
    assert text.count("40 requests") == 2 and re.search("without a usable time ?3 requests", text)


def test_the_demo_counts_right_verdicts(made: Any, verdict: Any, parsed: Any) -> None:
    fingerprint, timings = made()
    rows = [
        SuspectRow("owner", "target", verdict("derived", timings=timings)),
        SuspectRow("thief", "stolen", verdict("independent", share=0.3, timings=timings)),
        SuspectRow("other", "independent", verdict("independent", share=0.4, timings=timings)),
        SuspectRow("mute", "independent", verdict("inconclusive", share=None, interval=None)),
    ]
    page = parsed(demo_report(rows, fingerprint))
    assert "2 of 4 verdicts are right" in page.text
    assert page.text.count("(not the truth)") == 2
    assert sum(attributes.get("class") == "chart" for _, attributes in page.tags) == 5
    with pytest.raises(ExitprintError, match="at least one"):
        demo_report([], fingerprint)


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path, made: Any, verdict: Any) -> None:
    html = verification_report(verdict(), made()[0], "Ünïcödé \ud800 suspect")
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
        fingerprint, timings = made(kind)
        html = verification_report(verdict("derived", kind, timings=timings, course=course), fingerprint, "s")
        used = {name for _, attributes in parsed(html).tags for name in (attributes.get("class") or "").split()}
        assert used - styled <= {"tick", "label", "brand", "words"}
