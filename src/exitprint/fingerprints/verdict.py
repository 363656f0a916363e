"""What verification says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from exitprint.display import html_table
from exitprint.evidence.limits import Decision
from exitprint.fingerprints.course import Course
from exitprint.fingerprints.fingerprint import Kind
from exitprint.timing import Timings

COLORS = {"derived": "#b3261e", "independent": "#1b6e3c", "inconclusive": "#7a5d00"}
LEFT_OUT = ("timings", "course")


@dataclass(frozen=True)
class Verdict:
    """The outcome of one verification. Estimate, interval, e-value and p-value are those of one and the same test.

    Attributes
    ----------
    decision
        ``derived`` (a copy), ``independent`` or ``inconclusive``.
    kind
        Of the fingerprint.
    share, interval
        The share of pairs in which the sample that a copy is slower on took longer, ties counting half, and its 95 %
        confidence sequence; None where no pair was compared.
    p0
        What a claim has to beat.
    nature, nature_interval
        The share of pairs in which the originals are ordered the natural way, and its 95 % confidence sequence; None
        where none was compared.
    e_value, p_value
        Evidence against "of other origin", and one over it. It is the weaker one of nature's and the claim's. At least
        1 / alpha of it makes ``derived``.
    e_value_independent
        Evidence against "a copy"; at least 1 / beta of it makes ``independent``.
    alpha, beta
        Bounds on the probabilities of a false claim and of a miss, under the assumptions.
    requests, seconds, bytes
        What it cost; bytes where the suspect counts them.
    clock
        ``measured`` or ``cost-model``.
    reason
        A sentence that a lawyer could read.
    assumptions
        What the verdict rests on, in sentences.
    floor
        Seconds of the cheapest request, which path and server add to every answer, where that was measured.
    seed
        From which the order of the questions follows.
    timings
        The runtimes behind it, by kind of input, of the inputs that were asked.
    course
        How the evidence grew; None where nothing was compared.
    """

    decision: Decision
    kind: Kind
    share: float | None
    interval: tuple[float, float] | None
    p0: float
    nature: float | None
    nature_interval: tuple[float, float] | None
    e_value: float
    p_value: float
    e_value_independent: float
    alpha: float
    beta: float
    requests: int
    seconds: float
    bytes: int | None
    clock: str
    reason: str
    assumptions: tuple[str, ...]
    floor: float | None
    seed: int
    timings: Mapping[str, Timings] = field(default_factory=dict, repr=False, compare=False)
    course: Course | None = field(default=None, repr=False, compare=False)

    def _repr_html_(self) -> str:
        rows = [
            ("the late sample is slower in", percent(self.share, self.interval)),
            ("a claim needs more than", f"{self.p0:.0%} of the pairs"),
            *([("by nature", percent(self.nature, self.nature_interval))] if self.kind == "contrast" else []),
            ("e-value", f"{self.e_value:.3g}, and {1 / self.alpha:g} claims"),
            ("cost", f"{self.requests:,} requests, {self.seconds:.1f} s"),
            ("clock", self.clock),
            ("why", self.reason),
        ]
        return html_table(self.decision, rows, color=COLORS[self.decision])

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON without the runtimes and the course."""
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in LEFT_OUT}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def percent(share: float | None, interval: tuple[float, float] | None) -> str:
    """A share with its interval, or that there is none."""
    if share is None or interval is None:
        return "nothing was compared"
    return f"{share:.0%} of the pairs ({interval[0]:.0%} to {interval[1]:.0%})"
