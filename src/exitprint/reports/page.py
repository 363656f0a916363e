"""The report of a verification and of the demo, each one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from exitprint.errors import ExitprintError
from exitprint.files import file_digest, write_bytes
from exitprint.fingerprints.course import Course
from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.fingerprints.score import longest_time
from exitprint.fingerprints.verdict import Verdict
from exitprint.reports import charts, text
from exitprint.reports.charts import Group, Lane
from exitprint.reports.images import examples
from exitprint.reports.swap import swap_picture
from exitprint.timing.session import FLOOR
from exitprint.timing.timings import Timings

FloatArray = NDArray[np.float64]
EXAMPLES = 10
"""Images that are shown of a fingerprint."""
LABELS: dict[charts.GroupKey, str] = {
    "fingerprint": "fingerprint images",
    "late": "images made slow",
    "early": "images made quick",
    "benign": "original images",
}
STYLES: dict[str, charts.GroupKey] = {
    "sample": "fingerprint",
    "late": "late",
    "early": "early",
    "original": "benign",
    "late original": "benign",
    "early original": "benign",
}
"""How each kind of input is drawn."""


@dataclass(frozen=True)
class SuspectRow:
    """One suspect of the demo: what it is called, what it is in truth, and what verification said."""

    name: str
    truth: Literal["target", "stolen", "independent"]
    verdict: Verdict

    @property
    def right(self) -> bool:
        """Whether the verdict is the truth: target and stolen copies are derived."""
        return self.verdict.decision == ("independent" if self.truth == "independent" else "derived")


def verification_report(
    verdict: Verdict,
    fingerprint: Fingerprint,
    subject: str,
    *,
    journal: Path | None = None,
    notes: Mapping[str, str] | None = None,
) -> str:
    """The page of one verification.

    Parameters
    ----------
    verdict
        What was decided, with its runtimes and its course.
    fingerprint
        What was asked.
    subject
        What the suspect is called; may come from anybody.
    journal
        Where every answer is kept.
    notes
        Further lines on how it was measured, by name: a date, a machine, a file's digest.

    Returns
    -------
    str
        HTML that loads nothing from anywhere.
    """
    groups, course = _groups(verdict.timings), verdict.course
    crafted = {group.key: group.seconds for group in groups if group.key != "benign"}
    before = _before(verdict.timings)
    scale = _scale(groups)
    picture = None
    if {"late", "early"} <= set(crafted):
        picture = swap_picture(crafted["late"], crafted["early"], before)
    elif "fingerprint" in crafted:
        picture = charts.exit_histogram(groups, scale)
    return page(
        "verification.html",
        subject=subject,
        verdict=verdict,
        gauge=_strip([("", verdict)]),
        kinds=_kinds(groups),
        picture=picture,
        crossing=before is not None,
        curves=charts.eec_chart(groups, scale) if picture else None,
        evidence=None if course is None else _evidence(verdict, course),
        drift=course and _drift(course),
        drift_groups=_kinds(groups),
        measured=_measured(verdict, groups, scale),
        kept=None if journal is None else str(journal),
        notes=notes or {},
        **_fingerprint(fingerprint),
    )


def demo_report(rows: Sequence[SuspectRow], fingerprint: Fingerprint, *, notes: Mapping[str, str] | None = None) -> str:
    """The page of `exitprint demo`: several suspects, of which the truth is known, against one fingerprint.

    Parameters
    ----------
    rows
        The suspects, in the order to be shown.
    fingerprint
        What was asked of all of them.
    notes
        Further lines on how it was measured, by name.

    Returns
    -------
    str
        HTML that loads nothing from anywhere.

    Raises
    ------
    ExitprintError
        If there are no suspects.
    """
    if not rows:
        raise ExitprintError("a table of suspects needs at least one.")
    curves, groups = [], list[Group]()
    for row in rows:
        groups = _groups(row.verdict.timings) or groups
        curves.append(charts.eec_chart(groups, _scale(groups), small=True))
    return page(
        "demo.html",
        rows=rows,
        curves=curves,
        kinds=_kinds(groups),
        verdict=rows[0].verdict,
        right=sum(row.right for row in rows),
        requests=sum(row.verdict.requests for row in rows),
        seconds=sum(row.verdict.seconds for row in rows),
        strip=_strip([(row.name, row.verdict) for row in rows]),
        notes=notes or {},
        **_fingerprint(fingerprint),
    )


def write_report(html: str, path: str | os.PathLike[str]) -> None:
    """Write a page, whole or not at all.

    Raises
    ------
    ExitprintError
        If the file cannot be written.
    """
    write_bytes(path, html.encode("utf-8"))


def provenance(files: Mapping[str, Path | None]) -> dict[str, str]:
    """Date, version, and the SHA-256 of every file, by what it is; what is no file (an address) has none.

    Raises
    ------
    ExitprintError
        If a file cannot be read.
    """
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        "program": f"exitprint {metadata.version('exitprint')}",
        **{
            f"SHA-256 of the {what}": file_digest(path)
            for what, path in files.items()
            if path is not None and path.is_file()
        },
    }


def environment() -> Environment:
    """What templates of pages are filled with: those of this package, its filters, and nothing unescaped."""
    environment = Environment(
        loader=PackageLoader("exitprint.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {
        "shown": text.shown,
        "prose": text.prose,
        "number": text.number,
        "count": text.count,
        "probability": text.probability,
        "percent": lambda share: f"{share:.0%}",
        "duration": text.duration,
    }
    environment.filters.update(filters)
    environment.globals["mark"] = charts.mark
    return environment


def page(template: str, **context: Any) -> str:
    return environment().get_template(template).render(**context)


def _groups(timings: Mapping[str, Timings]) -> list[Group]:
    """Groups to draw: what the fingerprint was made for first, original images last."""
    found: dict[charts.GroupKey, list[FloatArray]] = {}
    for kind, part in timings.items():
        found.setdefault(STYLES[kind], []).append(part.per_input)
    return [Group(key, label, np.concatenate(found[key])) for key, label in LABELS.items() if key in found]


def _kinds(groups: Sequence[Group]) -> list[tuple[str, str]]:
    return [(group.key, group.label) for group in groups]


def _scale(groups: Sequence[Group]) -> float:
    """The runtime that counts as 1: what 98 % of the original images keep within, or the longest there is."""
    benign = [longest_time(group.seconds) for group in groups if group.key == "benign"]
    return float(max(benign or [group.seconds.max() for group in groups], default=0.0))


def _before(timings: Mapping[str, Timings]) -> tuple[FloatArray, FloatArray] | None:
    """Runtimes of the originals of both halves."""
    if not {"late original", "early original"} <= set(timings):
        return None
    return timings["late original"].per_input, timings["early original"].per_input


def _strip(verdicts: Sequence[tuple[str, Verdict]]) -> Markup:
    return charts.strip_chart([Lane(name, v.share, v.interval, v.p0, v.decision) for name, v in verdicts])


def _evidence(verdict: Verdict, course: Course) -> Markup:
    curves = [("independent", course.log_clear), ("derived", course.log_claim)]
    if verdict.kind == "contrast":
        curves.insert(0, ("benign", course.log_nature))
    needed = [-float(np.log(error)) for error in (verdict.alpha, verdict.beta)]
    return charts.evidence_chart(course.requests.astype(float), curves, needed)


def _drift(course: Course) -> Markup:
    inputs = course.asked != FLOOR
    styles = np.array([STYLES[kind] for kind in course.asked[inputs]])
    return charts.drift_chart(styles, course.seconds[inputs])


def _measured(verdict: Verdict, groups: Sequence[Group], scale: float) -> list[tuple[str, str]]:
    """Lines on what was asked how often, and what the clock said."""
    rows = []
    asked = np.empty(0, dtype=str) if verdict.course is None else verdict.course.asked
    for kind in dict.fromkeys(asked.tolist()):
        rows.append((f"asked: {kind}", text.count(int((asked == kind).sum()), "request")))
    if len(asked) < verdict.requests:
        rows.append(("without a usable time", text.count(verdict.requests - len(asked), "request")))
    for group in groups:
        low, middle, high = (text.duration(float(q)) for q in np.quantile(group.seconds, (0.05, 0.5, 0.95)))
        rows.append((f"time of {group.label}", f"median {middle}; nine of ten between {low} and {high}"))
    if groups:
        rows.append(("time that counts as 1", f"{text.duration(scale)}, which 98 % of the original images keep within"))
    if verdict.floor is not None:
        rows.append(("cheapest request", f"{text.duration(verdict.floor)}, which path and server add to every answer"))
    if verdict.bytes is not None:
        rows.append(("sent and received", f"{verdict.bytes:,} bytes"))
    return rows


def _fingerprint(fingerprint: Fingerprint) -> dict[str, Any]:
    shown, factor = examples(fingerprint, EXAMPLES)
    channels, height, width = fingerprint.input_shape
    steps = fingerprint.steps.double()
    facts = [
        ("kind", fingerprint.kind),
        ("images", f"{len(fingerprint):,}, {width} × {height} pixels, {text.count(channels, 'channel')}"),
        ("reached their goal", f"{int(fingerprint.reached.sum()):,} of {len(fingerprint):,}"),
        ("change per image (L2)", f"mean {text.number(float(fingerprint.l2.mean()))}, pixels in [0, 1]"),
        ("steps per image", f"mean {text.number(float(steps.mean()), 1)}"),
        *text.entries(fingerprint.record),
    ]
    return {"fingerprint": fingerprint, "examples": shown, "factor": factor, "record": facts}
