"""Drift of a clock: seconds that hang on when they were taken, told from those that hang on the input."""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from exitprint.errors import ExitprintError

Array = NDArray[np.float64]

SPANS = (1.0, 3.0, 10.0, 30.0)
"""Half-widths of the smoothing that are tried, in askings. The one that leaves the least noise is taken."""

REACH = 5
"""Spans after which the smoothing kernel ends; its weight there is exp(−5), under 1 %."""

ROUNDS = 6
"""Iterations. Each estimates what every input usually takes, then the drift of what is left."""

WORTH = 0.95
"""Drift is taken out only if the noise shrinks to less than this share of what it was."""

STRAY = 3.0
"""Residuals are clipped at so many times their mean absolute size, so that an outlier does not pass for drift."""


def steadied(seconds: ArrayLike, places: ArrayLike) -> Array:
    """Runtimes as they would be on a clock that does not drift.

    A processor that shares its caches, its frequency or its host with others is slower for a while and faster for
    a while, by the same factor for whatever runs then. Where all inputs are asked in each of several rounds, in another
    order each time, that factor can be told: it is what neighbours in time have in common after what each input usually
    takes is divided out. It is estimated for each asking from its neighbours alone, weighted by exp(−distance / span);
    so it cannot explain an asking's own noise away, and what does not drift is returned as it is.

    Parameters
    ----------
    seconds
        Above 0, shape (inputs, repeats).
    places
        When each was taken: its number in the order of asking, shape (inputs, repeats).

    Returns
    -------
    ndarray
        Shape (inputs, repeats), same unit. `seconds` themselves if there is one repeat only, if some are not above 0,
        or if no span leaves less noise than `WORTH` of what there was.

    Raises
    ------
    ExitprintError
        If the shapes do not fit.
    """
    taken, order = np.asarray(seconds, dtype=np.float64), np.argsort(np.ravel(places), kind="stable")
    if taken.ndim != 2 or np.shape(places) != taken.shape:
        raise ExitprintError(
            f"seconds and places must have one shape (inputs, repeats), and not {taken.shape} and {np.shape(places)}."
        )
    if taken.shape[1] == 1 or not (taken > 0).all():
        return taken
    logs = np.log(taken)
    least, best = WORTH * _size(logs - _usual(logs)), taken
    for span in SPANS:
        steady = _without_drift(logs, order, span)
        if (left := _size(steady - _usual(steady))) < least:
            least, best = left, np.exp(steady)
    return best


def _without_drift(logs: Array, order: NDArray[np.intp], span: float) -> Array:
    steps = np.arange(-round(REACH * span), round(REACH * span) + 1)
    weights = np.where(steps == 0, 0.0, np.exp(-np.abs(steps) / span))
    total = scipy.signal.fftconvolve(np.ones(logs.size), weights, "same")
    drift = np.zeros_like(logs)
    for _ in range(ROUNDS):
        usual = _usual(logs - drift)
        residual = logs - usual
        bound = STRAY * _size(residual)
        smooth = scipy.signal.fftconvolve(residual.clip(-bound, bound).ravel()[order], weights, "same") / total
        drift = np.empty(logs.size)
        drift[order] = smooth - np.median(smooth)
        drift = drift.reshape(logs.shape)
    return logs - drift


def _usual(logs: Array) -> Array:
    return np.median(logs, axis=1, keepdims=True)


def _size(residuals: Array) -> float:
    return float(np.abs(residuals).mean())
