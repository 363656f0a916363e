"""Verdicts computed on recorded times: what networks behind a server took, with a path's jitter drawn on top.

Each asking draws one of the times that were recorded for its input, and one delay. So thousands of verdicts cost no
request. What they leave out is what disturbs several requests in a row; verdicts that are measured from beginning to
end have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exitprint.files import load_tensors, save_tensors
from exitprint.fingerprints.score import auc
from exitprint.fingerprints.sequential import BUDGET
from exitprint.progress import progress
from exitprint.serving.hostile import PARETO_DEVIATION, PARETO_SHAPE, misbehaving
from exitprint.study.population import Member
from exitprint.suspects import KServeSuspect
from exitprint.timing import measure
from exitprint.timing.sequential import SignTest
from exitprint.timing.simulation import Outcomes, simulate, simulate_times

Row = dict[str, Any]
Times = Mapping[str, np.ndarray]
"""Seconds that a network behind a server took for each of some images, by their kind, each (images, times)."""
KIND = "recorded times"
VERDICTS = 1000
RUNS = 10_000
LEVELS = (0.05, 1e-3)
BEFORE = 17
"""Requests for metadata, for the cheapest request and of the warm-up, before the first pair."""


@dataclass(frozen=True)
class Jitter:
    """Delay that the path adds to a request: of which kind, with which standard deviation in milliseconds.

    `amplification` is how often each request holds its image.
    """

    kind: str
    milliseconds: float
    amplification: int = 1

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> np.ndarray:
        """Seconds of delay, as the hostile server adds them."""
        s = self.milliseconds / 1000
        if self.kind == "heavy-tail":
            return rng.pareto(PARETO_SHAPE, shape) * s / PARETO_DEVIATION
        return np.maximum(0, rng.normal(3 * s, s, shape))


JITTERS = (
    Jitter("jitter", 0),
    Jitter("jitter", 1),
    Jitter("jitter", 5),
    Jitter("jitter", 20),
    Jitter("jitter", 20, amplification=8),
    Jitter("heavy-tail", 5),
)
AMPLIFICATIONS = sorted({jitter.amplification for jitter in JITTERS})


def record(network: Path, groups: Mapping[str, Tensor], amplification: int, times: int, path: Path) -> None:
    """Ask a network's file, behind a server in another process, each image so many times, in random order.

    Parameters
    ----------
    network
        What is served.
    groups
        Images by name.
    amplification
        How often each request holds its image.
    times
        How often each image is asked.
    path
        File that the times are written to, whole or not at all.
    """
    with misbehaving(network) as url:
        timings = measure(KServeSuspect(url, amplification=amplification), groups, times)
    save_tensors(path, KIND, {}, {name: torch.from_numpy(group.seconds) for name, group in timings.items()})


def load_record(path: Path) -> Times:
    """The times that `record` wrote.

    Raises
    ------
    ExitprintError
        If the file is missing or no such record.
    """
    return {name: seconds.numpy() for name, seconds in load_tensors(path, KIND)[1].items()}


def network_row(member: Member, times: Times) -> Row:
    """What a network is, how long it takes, and how its halves compare, by the median of each image's times."""
    late, early = (np.median(times[name], 1) for name in ("late", "early"))
    return {
        "network": member.name,
        "truth": member.role,
        "longest, ms": 1e3 * float(max(late.max(), early.max())),
        "late, ms": 1e3 * float(late.mean()),
        "early, ms": 1e3 * float(early.mean()),
        "AUC": auc(late, early),
    }


def jitter_rows(
    members: Sequence[Member],
    recorded: Mapping[tuple[str, int], Times],
    test: SignTest,
    verdicts: int = VERDICTS,
    seed: int = 0,
) -> list[Row]:
    """For each jitter and each truth: how computed verdicts come out and what they cost, the warm-up included.

    Parameters
    ----------
    members
        The networks.
    recorded
        Their times for ``late`` and ``early`` images, by name and amplification.
    test
        Whose parameters are used.
    verdicts
        How many are computed for each network and each jitter.
    seed
        Of everything that is drawn.
    """
    rows = []
    with progress("computed verdicts with jitter", len(JITTERS) * len(members)) as advance:
        for jitter in JITTERS:
            outcomes: dict[bool, list[Outcomes]] = {True: [], False: []}
            for number, member in enumerate(members):
                times = recorded[member.name, jitter.amplification]
                late, early = (
                    np.broadcast_to(part, (verdicts, *part.shape)) for part in (times["late"], times["early"])
                )
                drawn = _computed(late, early, jitter, seed + number, test)
                outcomes[member.role != "independent"].append(drawn)
                advance(1)
            what = {
                "kind": jitter.kind,
                "standard deviation, ms": jitter.milliseconds,
                "amplification": jitter.amplification,
            }
            rows += [{**what, **_outcome(drawn, copies)} for copies, drawn in outcomes.items()]
    return rows


def _outcome(drawn: Sequence[Outcomes], copies: bool) -> Row:
    decisions = np.concatenate([each.decision for each in drawn])
    requests = np.concatenate([each.requests for each in drawn]) + BEFORE
    right = 1 if copies else -1
    return {
        "truth": "target and stolen" if copies else "independent",
        "verdicts": len(decisions),
        "right, %": 100 * float((decisions == right).mean()),
        "wrong": int((decisions == -right).sum()),
        "inconclusive": int((decisions == 0).sum()),
        "requests, median": int(np.median(requests)),
        "requests, 95 %": int(np.quantile(requests, 0.95)),
    }


def null_rows(independents: Sequence[Times], benign: np.ndarray, runs: int = RUNS, seed: int = 0) -> list[Row]:
    """Share of `derived` where it would be false, over many runs that each stop at their first decision.

    Parameters
    ----------
    independents
        Recorded times of independent networks.
    benign
        Those of an independent network for images as they are, which are dealt into two halves anew in each run.
    runs
        In each row.
    seed
        Of everything that is drawn.
    """
    rng = np.random.default_rng(seed)
    half = len(benign) // 2
    dealt = benign[rng.permuted(np.tile(np.arange(len(benign)), (runs, 1)), axis=1)]
    which = rng.integers(len(independents), size=runs)
    late, early = (np.stack([times[name] for times in independents])[which] for name in ("late", "early"))
    cases: list[tuple[str, Callable[[SignTest], Outcomes]]] = [
        ("coins", lambda test: simulate(0.5, 0.0, test=test, runs=runs, seed=seed)),
    ]
    for jitter in (Jitter("jitter", 0), Jitter("jitter", 1), Jitter("jitter", 5), Jitter("heavy-tail", 5)):
        label = f"{'heavy-tailed ' if jitter.kind == 'heavy-tail' else ''}{jitter.milliseconds:g} ms"
        cases += [
            (
                f"benign against themselves, {label}",
                partial(_computed, dealt[:, :half], dealt[:, half : 2 * half], jitter, seed),
            ),
            (f"independents, {label}", partial(_computed, late, early, jitter, seed)),
        ]
    rows = []
    with progress("tests under the null", len(cases) * len(LEVELS)) as advance:
        for name, run in cases:
            for alpha in LEVELS:
                outcomes = run(SignTest(alpha=alpha, beta=1e-12))
                rows.append({"null": name, "alpha": alpha, "runs": runs, "derived": outcomes.derived})
                advance(1)
    return rows


def _computed(late: np.ndarray, early: np.ndarray, jitter: Jitter, seed: int, test: SignTest) -> Outcomes:
    """Verdicts after one round at most: one of a hundred pairs costs more than the budget."""
    return simulate_times(late, early, jitter.draw, test=test, repeated=True, budget=BUDGET - BEFORE, seed=seed)
