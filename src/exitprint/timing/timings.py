"""Seconds of inputs, repeated, and how they were taken: times are never bare floats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        ``measured`` or ``cost model``.
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
        """The quietest of each input's repeats, shape (inputs,): noise only ever adds time."""
        return self.seconds.min(1)

    @property
    def requests(self) -> int:
        """How many answers were timed."""
        return self.seconds.size
