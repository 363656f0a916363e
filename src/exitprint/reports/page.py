"""The report of a verification and of the demo, each one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.fingerprints.score import longest_time
from exitprint.fingerprints.verdict import Verdict
from exitprint.reports import charts, text
from exitprint.reports.charts import Group, Lane
from exitprint.reports.images import examples
from exitprint.timing.course import Course
from exitprint.timing.timings import Timings

FloatArray = NDArray[np.float64]
EXAMPLES = 10
LABELS: dict[charts.GroupKey, str] = {
    "fingerprint": "fingerprint images",
    "late": "images made slow",
    "early": "images made quick",
    "benign": "original images",
}


@dataclass(frozen=True)
class SuspectRow:
    """One suspect of the demo: what it is called, what it is in truth, and what verification said and saw."""

    name: str
    truth: Literal["target", "stolen", "independent"]
    verdict: Verdict
    timings: Mapping[str, Timings]

    @property
    def right(self) -> bool:
        """Whether the verdict is the truth: target and stolen copies are derived."""
        return self.verdict.decision == ("independent" if self.truth == "independent" else "derived")


def verification_report(
    verdict: Verdict,
    fingerprint: Fingerprint,
    timings: Mapping[str, Timings],
    subject: str,
    *,
    longest: float | None = None,
    notes: Mapping[str, str] | None = None,
    course: Course | None = None,
) -> str:
    """The page of one verification.

    Parameters
    ----------
    verdict
        What was decided.
    fingerprint
        What was asked.
    timings
        Runtimes by group: ``fingerprint`` in the order of the samples (or, where not all were asked, ``late`` and
        ``early``), and ``benign``.
    subject
        What the suspect is called; may come from anybody.
    longest
        The runtime in seconds that counts as 1; by default `longest_time` of the benign inputs.
    notes
        Further lines on how it was measured, by name: a date, a machine, a file's digest.
    course
        How a sequential test went, to be drawn as well.

    Returns
    -------
    str
        HTML that loads nothing from anywhere.

    Raises
    ------
    ExitprintError
        If there are no runtimes of the fingerprint although there is a verdict, or not one for each of its samples.
    """
    unasked = verdict.decision == "inconclusive" and not set(timings) - {"benign"}
    groups = _groups(fingerprint, timings, needed=not unasked)
    scale = _scale(groups, longest)
    seconds = {group.key: group.seconds for group in groups}
    before = _before(fingerprint, groups, timings)
    picture = None
    if not unasked and fingerprint.kind == "contrast":
        picture = charts.swap_picture(seconds["late"], seconds["early"], before)
    elif not unasked:
        picture = charts.exit_histogram(groups, scale)
    return page(
        "verification.html",
        subject=subject,
        verdict=verdict,
        gauge=_strip([("", verdict)]),
        first="" if unasked else groups[0].label,
        kinds=_kinds(groups),
        picture=picture,
        crossing=before is not None,
        curves=charts.eec_chart(groups, scale) if picture and (longest is not None or "benign" in seconds) else None,
        evidence=None if course is None else _evidence(course),
        drift=None if course is None else charts.drift_chart(course.asked, course.seconds),
        drift_groups=[] if course is None else [(key, LABELS[key]) for key in LABELS if key in course.asked],
        measured=_measured(groups, timings, scale, longest is not None, course),
        notes=notes or {},
        **_fingerprint(fingerprint),
    )


def demo_report(
    rows: Sequence[SuspectRow],
    fingerprint: Fingerprint,
    *,
    longest: Mapping[str, float] | None = None,
    notes: Mapping[str, str] | None = None,
) -> str:
    """The page of `exitprint demo`: several suspects, of which the truth is known, against one fingerprint.

    Parameters
    ----------
    rows
        The suspects, in the order to be shown, all judged by one statistic.
    fingerprint
        What was asked of all of them.
    longest
        The runtime in seconds that counts as 1, by suspect's name; see `verification_report`.
    notes
        Further lines on how it was measured, by name.

    Returns
    -------
    str
        HTML that loads nothing from anywhere.

    Raises
    ------
    ExitprintError
        If there are no suspects, or they were judged by different statistics; and as `verification_report` does.
    """
    if len({row.verdict.statistic for row in rows}) != 1:
        raise ExitprintError("a table of suspects needs at least one, and all judged by one statistic.")
    curves = []
    for row in rows:
        groups = _groups(fingerprint, row.timings)
        curves.append(charts.eec_chart(groups, _scale(groups, (longest or {}).get(row.name)), small=True))
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
        one_threshold=len({row.verdict.threshold for row in rows}) == 1,
        notes=notes or {},
        **_fingerprint(fingerprint),
    )


def verdict_fragment(verdict: Verdict) -> str:
    """A verdict as a compact piece of HTML for a notebook, readable on light and dark."""
    return _environment().get_template("fragment.html").render(verdict=verdict)


def write_report(html: str, path: str | os.PathLike[str]) -> None:
    """Write a page, whole or not at all.

    Raises
    ------
    ExitprintError
        If the file cannot be written.
    """
    write_bytes(path, html.encode("utf-8"))


def _environment() -> Environment:
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
        "duration": text.duration,
    }
    environment.filters.update(filters)
    environment.globals["mark"] = charts.mark
    return environment


def page(template: str, **context: Any) -> str:
    return _environment().get_template(template).render(**context)


def _groups(fingerprint: Fingerprint, timings: Mapping[str, Timings], needed: bool = True) -> list[Group]:
    """Groups to draw: what the fingerprint was made for first, original images last."""
    seconds: dict[charts.GroupKey, FloatArray] = {key: timings[key].per_input for key in LABELS if key in timings}
    if fingerprint.kind == "contrast" and "fingerprint" in seconds:
        both = seconds.pop("fingerprint")
        if len(both) != len(fingerprint):
            raise ExitprintError(
                f"the report needs a runtime for each of the {len(fingerprint)} fingerprint images, not {len(both)}."
            )
        late = fingerprint.late.numpy()
        seconds |= {"late": both[late], "early": both[~late]}
    asked: set[charts.GroupKey] = {"late", "early"} if fingerprint.kind == "contrast" else {"fingerprint"}
    if needed and (not asked <= set(seconds) or not all(len(seconds[key]) for key in asked)):
        raise ExitprintError("the report needs runtimes of the fingerprint's images: measure the suspect first.")
    return [Group(key, label, seconds[key]) for key, label in LABELS.items() if key in seconds]


def _kinds(groups: Sequence[Group]) -> list[tuple[str, str]]:
    return [(group.key, group.label) for group in groups]


def _scale(groups: Sequence[Group], longest: float | None) -> float:
    if longest is not None:
        return longest
    benign = [longest_time(group.seconds) for group in groups if group.key == "benign"]
    return float(max(benign or [group.seconds.max() for group in groups], default=0.0))


def _before(
    fingerprint: Fingerprint, groups: Sequence[Group], timings: Mapping[str, Timings]
) -> tuple[FloatArray, FloatArray] | None:
    """Runtimes of the originals of both halves, where the originals were asked one by one."""
    benign = next((group.seconds for group in groups if group.key == "benign"), np.empty(0))
    if "fingerprint" not in timings or len(benign) != len(fingerprint):
        return None
    late = fingerprint.late.numpy()
    return benign[late], benign[~late]


def _strip(verdicts: Sequence[tuple[str, Verdict]]) -> Markup | None:
    lanes = [Lane(name, v.value, v.interval, v.threshold, v.decision) for name, v in verdicts]
    if not all(np.isfinite(lane.threshold) for lane in lanes):
        return None
    if verdicts[0][1].statistic == "auc":
        return charts.strip_chart(lanes, lower_is_derived=False, most=1.0)
    edges = [edge for lane in lanes for edge in (lane.threshold, lane.value, *lane.interval) if np.isfinite(edge)]
    return charts.strip_chart(lanes, lower_is_derived=True, most=min(1.0, 1.2 * max(0.1, *edges)))


def _evidence(course: Course) -> Markup:
    path = course.path
    return charts.evidence_chart(
        course.requests.astype(float), path.log_e_null, path.log_e_copy, path.needed_null, path.needed_copy
    )


def _measured(
    groups: Sequence[Group], timings: Mapping[str, Timings], scale: float, given: bool, course: Course | None = None
) -> list[tuple[str, str]]:
    """Lines on what was asked how often, and what the clock said."""
    rows = []
    for name, part in timings.items():
        inputs, repeats = part.seconds.shape
        often = f" × {text.count(repeats, 'repeat')}"
        if course is not None:
            often = f", {text.count(int((course.asked == name).sum()), 'request')} in all"
        rows.append((f"asked: {name}", text.count(inputs, "image") + often))
    for group in groups:
        low, middle, high = (text.duration(float(q)) for q in np.quantile(group.seconds, (0.05, 0.5, 0.95)))
        rows.append((f"time of {group.label}", f"median {middle}; nine of ten between {low} and {high}"))
    if given or "benign" in timings:
        of = "as chosen by the verification" if given else "the time that 98 % of the original images keep within"
        rows.append(("time that counts as 1", f"{text.duration(scale)}, {of}"))
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
