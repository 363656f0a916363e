"""Seconds of inputs, repeated, and how they were taken: times are never bare floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exitprint.errors import ExitprintError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Timings:
    """Runtimes of a group of inputs.

    Attributes
    ----------
    seconds
        Shape (inputs, repeats).
    clock
        ``measured`` or ``cost-model``.
    """

    seconds: FloatArray
    clock: str

    def __post_init__(self) -> None:
        if self.seconds.ndim != 2 or self.seconds.size == 0:
            raise ExitprintError(f"runtimes must have shape (inputs, repeats), and not {self.seconds.shape}.")
        if not np.isfinite(self.seconds).all() or (self.seconds < 0).any():
            raise ExitprintError("runtimes must be finite and not negative: measure again.")

    @property
    def per_input(self) -> FloatArray:
        """Quiet time of each input, see `quiet`, shape (inputs,)."""
        return quiet(self.seconds)

    @property
    def requests(self) -> int:
        """How many answers were timed."""
        return self.seconds.size


def quiet(seconds: ArrayLike) -> FloatArray:
    """One time for each input out of its repeats: the mean of the quicker half of them.

    From shape (..., repeats) to shape (...). Noise only ever adds time, and rarely to all of the repeats; the mean of
    several is steadier than the quickest alone.
    """
    taken = np.sort(np.asarray(seconds, dtype=np.float64), axis=-1)
    return np.asarray(taken[..., : (taken.shape[-1] + 1) // 2].mean(-1))


def quiet_of_one(seconds: Sequence[float]) -> float:
    """`quiet` of a single input's repeats, ten times quicker where they are few."""
    return fmean(sorted(seconds)[: (len(seconds) + 1) // 2])
