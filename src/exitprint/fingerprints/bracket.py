"""T_N against T_f, one request after the other, where neither the longest time nor the clock's pace is known exactly.

Three things would make T_N of a plain run of requests wrong, and each has its remedy.

- *Noise* only adds time, so the longest time of noisy benign inputs is longer than the true one: by the noise of one
  quiet time at most, which repeats of the same inputs show. Both ends of that range are used, each where it is the
  cautious one: the upper end for `derived`, the lower end for `independent`.
- *Drift*: a server that slows down would make every later input look late. So each fingerprint input is asked together
  with a benign one, a coin deciding the order, and the longest and the mean time of the last benign inputs set the
  clock: what is observed is T_N as a multiple of the benign T_N of the same minutes, on the scale of the first ones.
- *Stopping when it suits* is paid for by betting; see `timing.sequential.MeanTest`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from exitprint.fingerprints.score import FloatArray, longest_time
from exitprint.timing.sequential import Decision, MeanTest, SequentialTest


class BracketTest(SequentialTest):
    """Is T_N below T_f, or above it, wherever in its range the longest time lies?

    Parameters
    ----------
    benign
        Quiet times of benign inputs, shape (inputs,), measured before; their number is the window's length.
    noise
        By how much the longest of them may be too long, in seconds.
    threshold
        T_f for a benign T_N.
    alpha, beta
        Error rates as in `MeanTest`.

    Raises
    ------
    ExitprintError
        If T_f is not in (0, 1), or an error rate is not.
    """

    def __init__(
        self, benign: FloatArray, noise: float, threshold: Callable[[float], float], alpha: float, beta: float
    ) -> None:
        super().__init__(alpha, beta)
        self._benign = deque(benign.tolist(), maxlen=len(benign))
        self._upper = _Side(0.0, self._benign, threshold, alpha, beta)
        lower_benign = np.array(benign)
        possible = longest_time(lower_benign) - noise > lower_benign.mean()
        self._lower = _Side(noise, self._benign, threshold, alpha, beta) if possible else None

    def update(self, fingerprint: float, benign: float) -> Decision:
        """Take in the quiet times, in seconds, of a fingerprint and a benign input that were asked together."""
        for side in (self._upper, self._lower):
            if side is not None:
                side.update(fingerprint, self._benign)
        self._benign.append(benign)
        return self._record(
            estimate=self._upper.test.estimate,
            log_e_null=float(self._upper.test.path.log_e_null[-1]),
            log_e_copy=float(self._lower.test.path.log_e_copy[-1]) if self._lower else 0.0,
        )

    @property
    def _deciding(self) -> _Side:
        return self._lower if self.decision == "independent" and self._lower else self._upper

    @property
    def T_N(self) -> float:
        """The estimate of T_N on the side that decided; not-a-number before the first observation."""
        return self._deciding.test.estimate

    @property
    def T_f(self) -> float:
        """The threshold on the side that decided."""
        return self._deciding.test.T_f

    @property
    def benign_T_N(self) -> float:
        """T_N of the first benign inputs, on the side that decided."""
        return self._deciding.benign_T_N

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence sequence for T_N, the range of the longest time included."""
        lower = self._lower.test.interval(confidence)[0] if self._lower else 0.0
        return lower, self._upper.test.interval(confidence)[1]


class _Side:
    """One end of the range: a longest time that is `less` seconds less than the longest of the benign inputs."""

    def __init__(
        self, less: float, benign: deque[float], threshold: Callable[[float], float], alpha: float, beta: float
    ) -> None:
        self._less = less
        longest, mean = self._clock(benign)
        self.benign_T_N = 1 - mean / longest
        self.test = MeanTest(threshold(self.benign_T_N), alpha, beta)

    def update(self, seconds: float, benign: deque[float]) -> None:
        longest, mean = self._clock(benign)
        saved = max(0.0, longest - seconds) / (longest - mean) if longest > mean else 1.0
        self.test.update(min(1.0, self.benign_T_N * saved))

    def _clock(self, benign: deque[float]) -> tuple[float, float]:
        times = np.array(benign)
        return longest_time(times) - self._less, float(times.mean())
