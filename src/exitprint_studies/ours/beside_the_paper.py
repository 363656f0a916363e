"""The numbers that Dong et al. print for their ResNet-56 on CIFAR-10, and those of other targets beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from exitprint.fingerprints.score import auc
from exitprint_studies.tables import Row

OTHER = "another network"
"""The change of a suspect that is no copy."""
USELESS = "useless"
"""In the place of the change where a copy has lost too much of its accuracy for a thief."""
T_NS = ("T_N, paper, stopped early", "T_N, paper, 50 steps")
BENIGN = (0.03, 0.55)
"""Benign T_N at RAD 5 and 15 (table 8), as are all pairs here."""
T_F = (0.006, 0.076)
"""The paper's T_f for that network (table 1)."""
CHANGED = {
    "": (0.00, 0.00),
    "ICs retrained": (0.01, 0.01),
    "8-bit, own ICs": (0.00, 0.00),
    "pruned 0.2, new ICs": (0.00, 0.00),
    "pruned 0.4, new ICs": (0.00, 0.01),
    "8-bit, new ICs": (0.02, 0.02),
}
"""T_N by what was done to it (tables 4, 5 and 9 to 11; the target's own is what crafting aims at)."""
BELOW = {"copies": (0.60, 0.82), "other networks": (0.50, 0.00)}
"""Share of each that the paper finds below T_f (table 2)."""
ROC = {"T_N": (0.56, 0.90), "label share": (0.72, 0.73)}
"""ROC AUC of copies against other networks, by the paper's measurement and by the baseline (table 3)."""
Measure = Callable[[Sequence[Row], int], float | None]
"""From one target's rows at one RAD, and the place of that RAD, to a number; None where it was not measured."""


def lines() -> Iterator[tuple[str, str, tuple[float, float], Measure]]:
    """What is measured, of what, the paper's numbers, and how ours come out of the rows."""
    yield "benign T_N", "the target", BENIGN, partial(_of, "benign T_N", "")
    for kind in T_NS:
        for change, paper in CHANGED.items():
            yield kind, change or "the target", paper, partial(_of, kind, change)
        for who, paper in BELOW.items():
            yield kind, f"{who} below the paper's T_f", paper, partial(_below, kind, who == "copies")
        yield kind, "ROC AUC", ROC["T_N"], partial(_roc, kind)
    yield "label share, baseline", "ROC AUC", ROC["label share"], partial(_roc, "label share, baseline")


def beside_the_paper(rows: Sequence[Row]) -> list[Row]:
    """One row for each of `lines` and each RAD, with a column for the paper and one for each target."""
    targets, rads = (list(dict.fromkeys(row[name] for row in rows)) for name in ("target", "RAD"))
    return [
        {
            "measured": what,
            "of": of,
            "RAD": rad,
            "the paper's ResNet-56": paper[at],
            **{
                target: ours([row for row in rows if (row["target"], row["RAD"]) == (target, rad)], at)
                for target in targets
            },
        }
        for what, of, paper, ours in lines()
        for at, rad in enumerate(rads)
    ]


def _of(kind: str, change: str, rows: Sequence[Row], _: int) -> float | None:
    """The measurement of the target itself, or of what one change made of it."""
    wanted = [row[kind] for row in rows if row["suspect"] == ", ".join(filter(None, (row["target"], change)))]
    return wanted[0] if wanted else None


def _measured(kind: str, copies: bool, rows: Sequence[Row]) -> list[float]:
    """Of all useful copies, the target left out, or of all other networks."""
    left_out = ("none", USELESS) if copies else ()
    mine = [row for row in rows if (row["change"] != OTHER) == copies and row["change"] not in left_out]
    return [row[kind] for row in mine if row[kind] is not None]


def _below(kind: str, copies: bool, rows: Sequence[Row], at: int) -> float | None:
    values = _measured(kind, copies, rows)
    return sum(value < T_F[at] for value in values) / len(values) if values else None


def _roc(kind: str, rows: Sequence[Row], _: int) -> float | None:
    copies, others = (np.array(_measured(kind, mine, rows)) for mine in (True, False))
    if not len(copies) or not len(others):
        return None
    return auc(others, copies) if kind in T_NS else auc(copies, others)
