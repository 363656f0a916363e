"""T_N against T_f, one request after the other, where the longest time is known between two bounds only.

What is observed is x - T_f, one minus the time of a fingerprint input as a share of the longest time, less T_f for the
benign input that was asked together with it. Its mean is below zero on a copy, above it on an independent network. The
longest time that it needs is never known exactly, for two reasons:

- *Noise* only adds time, so the longest of noisy times is longer than the true one, by the noise of one quiet time at
  most, which repeated requests for the same inputs show.
- *Drift*: a server that slows down makes every later input look late, one that speeds up makes it look early. So the
  longest time is looked for among benign inputs asked before and after each fingerprint input.

Both ends of what it may be are used, each where it is the cautious one: the upper end for `derived`, the lower end for
`independent`. What is observed with them is at least, and at most, what would be observed with the true one; and since
the wealth of a bet on small (large) observations falls (grows) with each, neither bet wins more than it would with the
truth, and the levels of `timing.sequential.MeanTest` hold.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

from exitprint.fingerprints.score import FloatArray, longest_time
from exitprint.timing.sequential import LARGEST_E, Decision, MeanTest, SequentialTest

AROUND = 10
"""So many benign inputs before and after are looked at for the lower end."""
BEFORE = 50
"""So many before are looked at for the upper end."""
CENTRE = 0.2
"""Observations are moved by this much to lie in [0, 1]; what lies below takes more than the longest time."""


class BracketTest(SequentialTest):
    """Is T_N below T_f, or above it, wherever in its range the longest time lies?

    An observation is judged once `AROUND` later ones are in.

    Parameters
    ----------
    benign
        Quiet times of benign inputs in seconds, shape (inputs,), measured before.
    noise
        By how much the longest of them may be too long, in seconds.
    threshold
        T_f for a benign T_N.
    alpha, beta
        Error rates as in `MeanTest`.
    """

    def __init__(
        self, benign: FloatArray, noise: float, threshold: Callable[[float], float], alpha: float, beta: float
    ) -> None:
        super().__init__(alpha, beta)
        self._first = np.array(benign, dtype=np.float64)
        self._longest = longest_time(self._first)
        self._noise = noise
        self._threshold = threshold
        self._benign = self._first.tolist()
        self._waiting: deque[float] = deque()
        self._upper, self._lower = (_Side(threshold, alpha, beta) for _ in range(2))

    def update(self, fingerprint: float, benign: float) -> Decision:
        """Take in the quiet times, in seconds, of a fingerprint and a benign input that were asked together."""
        self._waiting.append(fingerprint)
        self._benign.append(benign)
        if len(self._waiting) <= AROUND:
            return self.decision
        at = len(self._benign) - len(self._waiting)
        before, after = (np.array(self._benign[part]) for part in (slice(max(0, at - BEFORE), at), slice(at, None)))
        upper = max(self._longest, longest_time(np.concatenate([before, after])))
        lower = min(before[-AROUND:].max(), after.max()) - self._noise
        seconds = self._waiting.popleft()
        self._upper.update(seconds, after[0], upper)
        self._lower.update(seconds, after[0], lower)
        return self._record(
            estimate=self._upper.T_N,
            log_e_null=math.log(max(self._upper.test.e_value, 1 / LARGEST_E)),
            log_e_copy=math.log(max(self._lower.test.e_value_copy, 1 / LARGEST_E)),
        )

    @property
    def T_N(self) -> float:
        """The estimate of T_N on the side that decided; not-a-number before the first observation."""
        return self._deciding.T_N

    @property
    def T_f(self) -> float:
        """The mean threshold on the side that decided; that of the first benign inputs before the first observation."""
        return self._deciding.T_f if self.updates else self._threshold(self.benign_T_N)

    @property
    def benign_T_N(self) -> float:
        """T_N of the first benign inputs."""
        return float(1 - (self._first / self._longest).mean())

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence sequence for T_N beside this T_f, the range of the longest time included."""
        lower, upper = self._lower.test.interval(confidence)[0], self._upper.test.interval(confidence)[1]
        return tuple(min(1.0, max(0.0, end - CENTRE + self.T_f)) for end in (lower, upper))  # type: ignore[return-value]

    @property
    def _deciding(self) -> _Side:
        return self._lower if self.decision == "independent" else self._upper


class _Side:
    """The test with one end of what the longest time may be."""

    def __init__(self, threshold: Callable[[float], float], alpha: float, beta: float) -> None:
        self.test = MeanTest(CENTRE, alpha, beta)
        self._threshold = threshold
        self._x: list[float] = []
        self._T_f: list[float] = []

    def update(self, seconds: float, benign: float, longest: float) -> None:
        if longest <= 0:  # noise as large as the times themselves: nothing can be said
            x, T_f = -1.0, 0.0
        else:
            x, T_f = 1 - seconds / longest, self._threshold(1 - benign / longest)
        self._x.append(x)
        self._T_f.append(T_f)
        self.test.update(min(1.0, max(0.0, x - T_f + CENTRE)))

    @property
    def T_N(self) -> float:
        return max(0.0, float(np.mean(self._x))) if self._x else float("nan")

    @property
    def T_f(self) -> float:
        return float(np.mean(self._T_f))
