"""Exits as the peaks of a kernel density estimate, parted at its valleys."""

from __future__ import annotations

import numpy as np

from exitprint.timing.exits.emg import Array
from exitprint.timing.exits.mixture import LEAST, STRAY

BINS = 1 << 14
"""Places at which the density is computed."""

VALLEY = 0.5
"""A valley parts two peaks when its density is below this share of the lower one's."""

DRAWS = 50
"""Bootstrap samples that the certainty of the number of exits is told by."""


class Density:
    """Gaussian kernel density estimate on a regular grid, by the Fourier transform."""

    def __init__(self, times: Array) -> None:
        low, high = np.quantile(times, [0.002, 0.998])
        margin = 0.1 * (high - low or np.ptp(times))
        self.edges = np.linspace(low - margin, high + margin, BINS + 1)
        self.histogram = np.histogram(times, self.edges)[0].astype(float)
        self.frequencies = 2 * np.pi * np.fft.rfftfreq(2 * BINS)

    def smooth(self, bandwidth: float, histogram: Array | None = None) -> Array:
        """Inputs per bin, smoothed; the bandwidth is in bins."""
        kernel = np.exp(-((self.frequencies * bandwidth) ** 2) / 2)
        spectrum = np.fft.rfft(self.histogram if histogram is None else histogram, 2 * BINS)
        return np.maximum(np.fft.irfft(spectrum * kernel, 2 * BINS)[:BINS], 0)

    def bandwidth(self) -> float:
        """The bandwidth (in bins) under which the inputs predict each other best, leaving one out."""
        candidates = BINS / 4 * 2.0 ** (-np.arange(24) / 2)
        full = self.histogram > 0
        weight = self.histogram[full]
        stray = STRAY * weight.sum() / BINS

        def predicted(bandwidth: float) -> float:
            itself = 1 / (np.sqrt(2 * np.pi) * bandwidth)
            return float(weight @ np.log(np.maximum(self.smooth(bandwidth)[full] - itself, stray)))

        return float(max(candidates, key=predicted))

    def valleys(
        self, bandwidth: float, histogram: Array | None = None, depth: float = VALLEY, least: float = LEAST
    ) -> Array:
        """Times at the bottom of the valleys that part two peaks of at least `least` inputs."""
        density = self.smooth(bandwidth, histogram)
        high = density[1:-1] * np.sqrt(2 * np.pi) * bandwidth >= least
        peaks = 1 + np.flatnonzero(high & (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:]))
        kept: list[int] = []
        cuts: list[int] = []
        for peak in peaks.tolist():
            if kept:
                bottom = kept[-1] + int(density[kept[-1] : peak + 1].argmin())
                if density[bottom] >= depth * min(density[kept[-1]], density[peak]):
                    if density[peak] > density[kept[-1]]:
                        kept[-1] = peak
                    continue
                cuts.append(bottom)
            kept.append(peak)
        return (self.edges[:-1] + self.edges[1:])[np.array(cuts, dtype=int)] / 2


def find(times: Array, rng: np.random.Generator) -> tuple[Array, dict[int, float]]:
    """Cuts between exits in the inputs' times, and the share of bootstrap draws that find each number of exits."""
    density = Density(times)
    bandwidth = density.bandwidth()
    cuts = density.valleys(bandwidth)
    share = density.histogram / density.histogram.sum()
    draws = [rng.multinomial(len(times), share).astype(float) for _ in range(DRAWS)]
    found = [len(density.valleys(bandwidth, draw)) + 1 for draw in draws]
    numbers, times_found = np.unique([*found, len(cuts) + 1], return_counts=True)
    return cuts, {int(k): float(m / (DRAWS + 1)) for k, m in zip(numbers, times_found, strict=True)}


def fine_cuts(times: Array) -> Array:
    """Rather too many cuts than too few: between the peaks of an undersmoothed estimate, however shallow."""
    density = Density(times)
    return density.valleys(density.bandwidth() / 2, depth=0.9, least=0.5)
