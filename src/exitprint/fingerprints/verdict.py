"""What verification says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from exitprint.display import html_table
from exitprint.timing import Timings
from exitprint.timing.course import Course

COLORS = {"derived": "#b3261e", "independent": "#1b6e3c", "inconclusive": "#7a5d00"}
Decision = Literal["derived", "independent", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """The outcome of one verification.

    Attributes
    ----------
    decision
        ``derived`` (a copy), ``independent`` or ``inconclusive``.
    statistic
        Name of the statistic that decided: ``t_n`` (lower is derived) or ``auc`` (higher is derived; in a sequential
        test the share of pairs whose late sample took longer).
    value, interval
        The statistic and its 95 % confidence interval.
    threshold
        What it was compared with: T_f for ``t_n``, 0.5 for ``auc``.
    p_value
        Probability of a value this far on the derived side if the truth were just at the threshold; of a sequential
        test, the always-valid one.
    t_n, benign_t_n
        T_N of the fingerprint's late samples and of the benign images they were made from.
    requests, seconds
        What it cost.
    clock
        ``measured`` or ``cost model``.
    reason
        A sentence that a lawyer could read.
    timings
        The runtimes behind it, by group of inputs: ``fingerprint`` and ``benign``, or ``late``, ``early`` and
        ``benign`` where not all were asked.
    e_value
        Evidence against independence where the test was a sequential one; 1 / alpha of it makes ``derived``.
    bytes
        Bytes sent and received, where the suspect counts them.
    floor
        Seconds of the cheapest request, which path and server add to every answer, where that was measured.
    course
        How a sequential test went.
    """

    decision: Decision
    statistic: Literal["t_n", "auc"]
    value: float
    interval: tuple[float, float]
    threshold: float
    p_value: float
    t_n: float
    benign_t_n: float
    requests: int
    seconds: float
    clock: str
    reason: str
    timings: Mapping[str, Timings] = field(default_factory=dict, repr=False, compare=False)
    e_value: float | None = None
    bytes: int | None = None
    floor: float | None = None
    course: Course | None = field(default=None, repr=False, compare=False)

    def _repr_html_(self) -> str:
        names = {"t_n": ("T_N", "T_f"), "auc": ("AUC", "threshold")}[self.statistic]
        rows = [
            (names[0], f"{self.value:.3f} ({self.interval[0]:.3f} to {self.interval[1]:.3f})"),
            (names[1], f"{self.threshold:.3f}"),
            ("p", f"{self.p_value:.2g}"),
            ("cost", f"{self.requests} requests, {self.seconds:.1f} s"),
            ("clock", self.clock),
            ("why", self.reason),
        ]
        return html_table(self.decision, rows, color=COLORS[self.decision])

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON without the runtimes and the course; numbers that are not there are null."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("timings", "course")}
        plain["interval"] = list(self.interval)
        return {key: None if isinstance(value, float) and value != value else value for key, value in plain.items()}
