"""From scores to verdicts: where T_f lies in each cell, and who is verified with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from exitprint_studies.tables import Row

FloatArray = NDArray[np.float64]
RATES, MORE = "rates", "more"


def best_threshold(stolen: ArrayLike, independent: ArrayLike) -> float:
    """The threshold with the largest share of stolen minus share of independent networks above it.

    This is the trade-off by which the paper sets T_f (section 4.1), made definite. Of several equally good ones it is
    the one that fewest independents exceed, and of those the middle of the widest gap between scores.

    Parameters
    ----------
    stolen, independent
        Scores that are higher for stolen networks, each at least one.
    """
    x, y = np.asarray(stolen, dtype=np.float64), np.asarray(independent, dtype=np.float64)
    levels = np.unique(np.concatenate([x, y]))
    edges = np.concatenate([[levels[0] - 1e-3], levels, [levels[-1] + 1e-3]])
    candidates, gaps = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    gaps[[0, -1]] = 0
    true = (x > candidates[:, None]).mean(1)
    false = (y > candidates[:, None]).mean(1)
    return float(candidates[np.lexsort((gaps, -false, (true - false).round(12)))[-1]])


def held_out(stolen: ArrayLike, independent: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who exceeds the threshold that was set without him: on the networks of the other half, every second one."""
    x, y = np.asarray(stolen, dtype=np.float64), np.asarray(independent, dtype=np.float64)
    hits = np.zeros(len(x), dtype=bool), np.zeros(len(y), dtype=bool)
    for half in (0, 1):
        limit = best_threshold(x[1 - half :: 2], y[1 - half :: 2])
        hits[0][half::2], hits[1][half::2] = x[half::2] > limit, y[half::2] > limit
    return hits


def judged(rows: Sequence[Row]) -> list[Row]:
    """All rows with the threshold of their cell, RAD and method, and whether the network is verified as stolen.

    The contrast fingerprint is not tuned: verified is what its own test says, at the threshold that it has. Without a
    stolen or an independent network the others have no threshold, and nobody is verified or not.
    """
    limits: dict[tuple[str, str, float, str], float | None] = {}
    for row in rows:
        key = _cell(row)
        if key not in limits:
            stolen, independent = (scores_of(rows, key, truth) for truth in ("stolen", "independent"))
            limits[key] = best_threshold(stolen, independent) if len(stolen) and len(independent) else None
    return [_judged(row, limits[_cell(row)]) for row in rows]


def scores_of(rows: Sequence[Row], key: tuple[str, str, float, str], truth: str) -> FloatArray:
    """Scores of the networks of this truth that rates rest on, in one cell at one RAD by one method."""
    return np.array(
        [row["score"] for row in rows if row["truth"] == truth and row["pool"] == RATES and _cell(row) == key]
    )


def loosest_and_strictest(stolen: FloatArray, independent: FloatArray) -> tuple[float, float]:
    """The thresholds that every stolen network just exceeds, and that no independent network exceeds any more."""
    return float(stolen.min()) - 1e-9, float(independent.max())


def _cell(row: Row) -> tuple[str, str, float, str]:
    return row["architecture"], row["data"], row["RAD"], row["method"]


def _judged(row: Row, limit: float | None) -> Row:
    if row["method"] == "contrast":
        return {**row, "threshold": row["own threshold"], "verified": bool(row["derived"])}
    sign = 1.0 if row["method"] == "baseline" else -1.0
    verified = None if limit is None else bool(row["score"] > limit)
    return {**row, "threshold": None if limit is None else sign * limit, "verified": verified}
