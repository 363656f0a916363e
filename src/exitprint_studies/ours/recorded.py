"""Verdicts computed on recorded times: what networks behind a server took, with a path's jitter drawn on top.

Each asking draws one of the times that were recorded for its input, and one delay. So thousands of verdicts cost no
request. What they leave out is what disturbs several requests in a row; verdicts that are measured from beginning to
end have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from exitprint.suspects import KServeSuspect
from exitprint.timing import measure
from exitprint.timing.sequential import SignTest
from exitprint_studies.ours.simulation import Outcomes, decide_many, draw_signs, simulate
from exitprint_studies.population.declare import Member

Row = dict[str, Any]
Times = Mapping[str, np.ndarray]
"""Seconds that a network behind a server took for each of some images, by their kind, each (images, times)."""
KIND = "recorded times"
VERDICTS = 1000
RUNS = 10_000
LEVELS = (0.05, 1e-3)
ROUNDS = 2
"""Rounds of pairs that a verdict may take: a third one is beyond the budget."""
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
SUMS = 50
"""So many times of an amplified request are made of the recorded ones."""


def record(network: Path, groups: Mapping[str, Tensor], times: int, path: Path) -> None:
    """Ask a network's file, behind a server in another process, each image so many times, in random order.

    Parameters
    ----------
    network
        What is served.
    groups
        Images by name.
    times
        How often each image is asked.
    path
        File that the times are written to, whole or not at all.
    """
    with misbehaving(network) as url:
        timings = measure(KServeSuspect(url), groups, times)
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
    recorded: Mapping[str, Times],
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
        Their times for ``late`` and ``early`` images, by name.
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
                late, early = (
                    np.broadcast_to(times, (verdicts, *times.shape))
                    for times in (amplified(recorded[member.name][name], jitter, seed) for name in ("late", "early"))
                )
                (drawn,) = _computed([test], late, early, jitter, seed + number)
                outcomes[member.role != "independent"].append(drawn)
                advance(1)
            what = {
                "kind": jitter.kind,
                "standard deviation, ms": jitter.milliseconds,
                "amplification": jitter.amplification,
            }
            rows += [{**what, **_outcome(drawn, copies)} for copies, drawn in outcomes.items()]
    return rows


def amplified(times: np.ndarray, jitter: Jitter, seed: int) -> np.ndarray:
    """Times of requests that hold an image as often as `jitter` says, answered one image after the other."""
    if jitter.amplification == 1:
        return times
    drawn = np.random.default_rng(seed).integers(times.shape[1], size=(SUMS, jitter.amplification))
    return np.asarray(times[:, drawn].sum(2))


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
    tests = [SignTest(alpha=alpha, beta=1e-12) for alpha in LEVELS]
    rows = _null("coins", [simulate(0.5, 0.0, test=test, runs=runs, seed=seed) for test in tests])
    jitters = (Jitter("jitter", 0), Jitter("jitter", 1), Jitter("jitter", 5), Jitter("heavy-tail", 5))
    with progress("tests under the null", 2 * len(jitters)) as advance:
        for jitter in jitters:
            label = f"{'heavy-tailed ' if jitter.kind == 'heavy-tail' else ''}{jitter.milliseconds:g} ms"
            rows += _null(
                f"benign against themselves, {label}",
                _computed(tests, dealt[:, :half], dealt[:, half : 2 * half], jitter, seed),
            )
            advance(1)
            rows += _null(f"independents, {label}", _computed(tests, late, early, jitter, seed))
            advance(1)
    return rows


def _null(name: str, outcomes: Sequence[Outcomes]) -> list[Row]:
    return [
        {"null": name, "alpha": alpha, "runs": len(each.decision), "derived": each.derived}
        for alpha, each in zip(LEVELS, outcomes, strict=True)
    ]


def _computed(
    tests: Sequence[SignTest], late: np.ndarray, early: np.ndarray, jitter: Jitter, seed: int
) -> list[Outcomes]:
    """Verdicts of several tests on the same times."""
    signs, repeats = draw_signs(late, early, jitter.draw, rounds=ROUNDS, repeated=True, seed=seed)
    return [decide_many(signs[..., 0], signs[..., 1], test, repeats, BUDGET - BEFORE) for test in tests]
