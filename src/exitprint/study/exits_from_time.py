"""`study exits-from-time`: how well exits are found in runtimes of which the truth is known.

The clock is simulated, never measured: an input's runtime is the cost of its exit plus noise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from exitprint.files import write_bytes
from exitprint.study.study import Run, Study
from exitprint.study.tables import markdown, write_parquet
from exitprint.timing.exits import METHODS, exits

Populations = Literal["uniform", "geometric", "dirichlet"]
POPULATIONS: tuple[Populations, ...] = get_args(Populations)

TAIL = 0.5
"""Mean of the noise's exponential tail over the width of its Gaussian part."""

RAREST = 0.05
"""Share of the inputs at the last exit over that at the first, in a geometric population."""

USED = 3
"""Inputs that an exit must have had to be counted: one or two times could as well be strays."""


@dataclass(frozen=True)
class Clock:
    """A simulated clock of a multi-exit network.

    Attributes
    ----------
    exits
        How many there are, one unit of time apart.
    ratio
        Gap-to-noise ratio: the noise is Gaussian, 1 / ratio wide, plus an exponential delay half as long.
    populations
        How inputs are spread over the exits: evenly, fewer and fewer, or at random (Dirichlet, all 1).
    uneven
        Gaps are scaled by up to this share, up or down, at random.
    """

    exits: int
    ratio: float
    populations: Populations = "uniform"
    uneven: float = 0.0

    def draw(self, inputs: int, repeats: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Runtimes, shape (inputs, repeats), and the exit of each input, shape (inputs,)."""
        shares = {
            "uniform": np.ones(self.exits),
            "geometric": RAREST ** np.linspace(0, 1, self.exits),
            "dirichlet": rng.dirichlet(np.ones(self.exits)),
        }[self.populations]
        costs = np.cumsum(1 + self.uneven * rng.uniform(-1, 1, self.exits))
        left_at = rng.choice(self.exits, inputs, p=shares / shares.sum())
        jitter = rng.standard_normal((inputs, repeats)) + rng.exponential(TAIL, (inputs, repeats))
        return costs[left_at, None] + jitter / self.ratio, left_at


def table(seed: int = 0) -> list[dict[str, Any]]:
    """One row for each method and setting; `seconds` is what the estimate took on this machine.

    `used` is the number of exits that at least three inputs left at, `found` what the method says of it.
    """
    rows = []
    for number, (clock, inputs, repeats) in enumerate(_settings()):
        seconds, left_at = clock.draw(inputs, repeats, np.random.default_rng([seed, number]))
        for method in METHODS:
            started = time.perf_counter()
            estimate = exits(seconds, method, seed)
            took = time.perf_counter() - started
            rows.append(
                {
                    "method": method,
                    "n": inputs,
                    "exits": clock.exits,
                    "ratio": clock.ratio,
                    "repeats": repeats,
                    "populations": clock.populations,
                    "uneven": clock.uneven,
                    "used": int((np.bincount(left_at) >= USED).sum()),
                    "found": estimate.count,
                    "certainty": estimate.certainty,
                    "ARI": float(adjusted_rand_score(left_at, estimate.exits)),
                    "seconds": took,
                }
            )
    return rows


def _settings() -> Iterator[tuple[Clock, int, int]]:
    for exits_, ratio, repeats in ((10, 10, 1), (28, 10, 1), (10, 5, 1), (10, 5, 5)):
        for populations in POPULATIONS:
            for uneven in (0.0, 0.3):
                yield Clock(exits_, ratio, populations, uneven), 2000, repeats
    yield Clock(28, 10), 500, 1
    yield Clock(28, 5), 2000, 1
    yield Clock(28, 5), 2000, 5
    yield Clock(1, 10), 2000, 1
    yield Clock(10, 10), 10_000, 1
    yield Clock(28, 10, "dirichlet", 0.3), 10_000, 1


def _make(run: Run) -> list[Path]:
    rows = table()
    page, file = run.out / "exits-from-time.md", run.out / "exits-from-time.parquet"
    write_parquet(rows, file)
    write_bytes(page, f"# Exits out of runtimes\n\nSimulated clock.\n\n{markdown(rows)}".encode())
    return [page, file]


STUDY = Study("exits-from-time", "How well exits are found in runtimes.", lambda preset: [], _make)
