"""Runtimes as a histogram with the boundaries between exits drawn, as a PNG."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from exitprint.display import legible
from exitprint.reports.text import duration
from exitprint.timing.exits import ExitEstimate

BINS_PER_EXIT = 12
MOST_BINS = 400
SHADES = ("#2b6cb0", "#90bdea")
UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def exit_histogram(times: NDArray[np.float64], estimate: ExitEstimate, title: str = "") -> bytes:
    """A histogram of runtimes, each exit in its own shade, with a line at every boundary.

    Parameters
    ----------
    times
        One runtime for each input in seconds, shape (inputs,).
    estimate
        The exits in them.
    title
        Above the picture, as it is: ``$`` is no formula.

    Returns
    -------
    bytes
        A PNG.
    """
    low, high = np.quantile(times, [0.002, 0.998])
    unit, name = next((u for u in UNITS if high >= u[0]), UNITS[-1])
    margin = 0.04 * (high - low) or 0.04 * high
    bins = np.linspace(low - margin, high + margin, min(MOST_BINS, 40 + BINS_PER_EXIT * estimate.count))
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for exit in range(estimate.count):
        counts, edges = np.histogram(times[estimate.exits == exit], bins)
        axes.stairs(counts, edges / unit, fill=True, color=SHADES[exit % 2])
    for boundary in estimate.boundaries:
        axes.axvline(boundary / unit, color="#c05621", linewidth=1, linestyle="--")
    heights = axes.get_ylim()[1]
    for exit, centre in enumerate(estimate.centres):
        if bins[0] <= centre <= bins[-1]:
            axes.text(centre / unit, heights, str(exit + 1), ha="center", va="bottom", fontsize=8)
    outside = int(((times < bins[0]) | (times > bins[-1])).sum())
    note = f"; {outside} outside the picture" if outside else ""
    axes.set_xlabel(f"runtime [{name}]{note}")
    axes.set_ylabel("inputs")
    axes.set_xlim(bins[0] / unit, bins[-1] / unit)
    first, last = duration(estimate.centres[0]), duration(estimate.centres[-1])
    title = legible(title) or f"{estimate.count} exits, {first} to {last}"
    axes.set_title(title, loc="left", pad=16, fontsize=10, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
