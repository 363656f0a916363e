"""A simulated clock of a multi-exit network: runtimes of which the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Populations = Literal["uniform", "geometric", "dirichlet"]
POPULATIONS: tuple[Populations, ...] = get_args(Populations)

TAIL = 0.5
"""Mean of the noise's exponential tail over the width of its Gaussian part."""

RAREST = 0.05
"""Share of the inputs at the last exit over that at the first, in a geometric population."""


@dataclass(frozen=True)
class Clock:
    """A simulated clock of a multi-exit network.

    Attributes
    ----------
    num_exits
        How many there are, one unit of time apart.
    ratio
        Gap-to-noise ratio: the noise is Gaussian, 1 / ratio wide, plus an exponential delay half as long.
    populations
        How inputs are spread over the exits: evenly, fewer and fewer, or at random (Dirichlet, all 1).
    uneven
        Gaps are scaled by up to this share, up or down, at random.
    """

    num_exits: int
    ratio: float
    populations: Populations = "uniform"
    uneven: float = 0.0

    def draw(self, inputs: int, repeats: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Runtimes, shape (inputs, repeats), and the exit of each input, shape (inputs,)."""
        shares = {
            "uniform": np.ones(self.num_exits),
            "geometric": RAREST ** np.linspace(0, 1, self.num_exits),
            "dirichlet": rng.dirichlet(np.ones(self.num_exits)),
        }[self.populations]
        costs = np.cumsum(1 + self.uneven * rng.uniform(-1, 1, self.num_exits))
        left_at = rng.choice(self.num_exits, inputs, p=shares / shares.sum())
        jitter = rng.standard_normal((inputs, repeats)) + rng.exponential(TAIL, (inputs, repeats))
        return costs[left_at, None] + jitter / self.ratio, left_at
