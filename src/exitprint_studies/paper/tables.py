"""The paper's tables 1 to 11, and one of the accuracies that its text states, each a few lines on what was measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from exitprint_studies.metrics import rate, roc_auc
from exitprint_studies.paper.cells import RADS, Cell, made_by
from exitprint_studies.paper.crafted import METHODS, Method
from exitprint_studies.paper.exhibit import Choice, Exhibit, Table, chosen, heading
from exitprint_studies.paper.judge import held_out, loosest_and_strictest
from exitprint_studies.paper.measure import distances
from exitprint_studies.paper.published import TABLE_7, published
from exitprint_studies.paper.results import Results, Where, independent, said, stolen
from exitprint_studies.population.declare import Member
from exitprint_studies.tables import Row

THREE: tuple[Method, ...] = ("paper", "contrast", "baseline")
LIMITS: tuple[tuple[Method, str], ...] = (
    ("paper", "T_f"),
    ("contrast", "AUC above"),
    ("baseline", "label share above"),
)
CONTRAST_THRESHOLDS = (0.4, 0.5, 0.6)

retrained = partial(made_by, kind="retrain-exits")
quantised = partial(made_by, kind="quantise", retrain_heads=False)
retrained_pruned_2 = partial(made_by, kind="prune", rate=0.2, retrain_heads=True)
retrained_pruned_4 = partial(made_by, kind="prune", rate=0.4, retrain_heads=True)
retrained_quantised = partial(made_by, kind="quantise", retrain_heads=True)


def table_1(results: Results) -> Table:
    """T_f of every cell, and what corresponds to it for the other methods."""
    return [
        {
            **heading(rad, cell),
            "T_f, paper": published("T_f", rad, cell.family, cell.data.name),
            "T_f": results.threshold(cell, rad, "paper"),
            "T_f, stopped early": results.threshold(cell, rad, "paper, stopped early"),
            "contrast": results.threshold(cell, rad, "contrast"),
            "label share, baseline": results.threshold(cell, rad, "baseline"),
        }
        for rad, cell in results.places()
    ]


def table_2(results: Results) -> Table:
    """Rates of verified networks."""
    sides: list[tuple[str, Where]] = [("independents", independent), ("stolen", stolen)]
    return [
        {
            **heading(rad, cell),
            "networks": f"{len(results.of(cell, rad, 'paper', where))} {who}",
            "T_N, paper": published(f"{who} verified", rad, cell.family, cell.data.name),
            "T_N": said(results.verified(cell, rad, "paper", where)),
            "T_N, held out": said_held_out(results, cell, rad, "paper", who),
            "contrast": said(results.verified(cell, rad, "contrast", where)),
            "baseline": said(results.verified(cell, rad, "baseline", where)),
            "baseline, held out": said_held_out(results, cell, rad, "baseline", who),
        }
        for rad, cell in results.places()
        for who, where in sides
    ]


def said_held_out(results: Results, cell: Cell, rad: float, method: Method, who: str) -> str | None:
    """Rate of verified networks by thresholds that were set without them."""
    scores = [results.values(cell, rad, method, "score", where) for where in (stolen, independent)]
    if min(map(len, scores)) < 2:
        return None
    return said(rate(held_out(*scores)[who == "independents"]))


def table_3(results: Results) -> Table:
    """ROC AUC of every method."""
    rows: Table = []
    for rad, cell in results.places():
        cells_ = {method: said_auc(results, cell, rad, method) for method in METHODS}
        rows.append(
            {
                **heading(rad, cell),
                "T_N, paper": published("ROC AUC", rad, cell.family, cell.data.name),
                "T_N": cells_["paper"],
                "T_N, stopped early": cells_["paper, stopped early"],
                "contrast": cells_["contrast"],
                "baseline, paper": published("ROC AUC, baseline", rad, cell.family, cell.data.name),
                "baseline": cells_["baseline"],
            }
        )
    return rows


def said_auc(results: Results, cell: Cell, rad: float, method: Method) -> str | None:
    """ROC AUC with its interval."""
    scores = [results.values(cell, rad, method, "score", where) for where in (stolen, independent)]
    return said(roc_auc(scores[0], scores[1])) if min(map(len, scores)) else None


def averages(choice: Choice, what: str) -> Callable[[Results], Table]:
    """A table of one kind of tampering: each method's statistic on average, and the rate of verified networks."""

    def table(results: Results) -> Table:
        rows: Table = []
        for rad, cell in results.places():
            where = chosen(cell, choice)
            rows.append(
                {
                    **heading(rad, cell),
                    "networks": len(results.of(cell, rad, "paper", where)),
                    "T_N, paper": published(what, rad, cell.family, cell.data.name),
                    "T_N": results.mean(cell, rad, "paper", "T_N", where),
                    "T_f": results.threshold(cell, rad, "paper"),
                    "verified by T_N": share(results, cell, rad, "paper", where),
                    "contrast AUC": results.mean(cell, rad, "contrast", "contrast AUC", where),
                    "verified by contrast": share(results, cell, rad, "contrast", where),
                    "label share": results.mean(cell, rad, "baseline", "label share", where),
                    "verified by baseline": share(results, cell, rad, "baseline", where),
                }
            )
        return rows

    return table


def share(results: Results, cell: Cell, rad: float, method: Method, where: Where) -> float | None:
    """Rate of verified networks without its interval."""
    found = results.verified(cell, rad, method, where)
    return None if found is None else found.value


def table_6(results: Results) -> Table:
    """How far each method's images are from their originals, in two measures."""
    rows: Table = []
    for number, cell in enumerate(results.cells):
        far = {m: distances(results.fingerprints[number, m], m) for m in METHODS if (number, m) in results.fingerprints}
        printed = {
            m: published(w, 0, cell.family, cell.data.name) for m, w in (("paper", "L2"), ("baseline", "L2, baseline"))
        }
        for method, (l2, square) in far.items():
            rows.append(
                {
                    "network and data": cell.title,
                    "method": method,
                    "printed": printed.get(method),
                    "mean square per pixel": f"{square:.4f}",
                    "L2 norm": l2,
                }
            )
    return rows


def table_7(results: Results) -> Table:
    """Rates at three thresholds: all stolen verified, the one of table 1, no independent verified."""
    rows: Table = []
    for rad, cell in results.places():
        printed = TABLE_7.get((cell.family, cell.data.name, int(rad)))
        columns: dict[str, list[str] | None] = {
            "T_f: independents, stolen in the paper": printed
            and ["{:.3f}: {:.2f}, {:.2f}".format(*choice) for choice in printed]
        }
        for method, name in LIMITS:
            columns[f"{name}: independents, stolen"] = _at_three_thresholds(results, cell, rad, method)
        rows += [
            {**heading(rad, cell), **{name: three and three[place] for name, three in columns.items()}}
            for place in range(3)
        ]
    return rows


def _at_three_thresholds(results: Results, cell: Cell, rad: float, method: Method) -> list[str] | None:
    copies, others = (results.values(cell, rad, method, "score", where) for where in (stolen, independent))
    if not len(copies) or not len(others):
        return None
    limits = list(CONTRAST_THRESHOLDS)
    sign = -1 if method == "paper" else 1
    if method != "contrast":
        limit = results.threshold(cell, rad, method)
        assert limit is not None
        loosest, strictest = loosest_and_strictest(copies, others)
        limits = sorted((loosest, sign * limit, strictest))
    return [f"{sign * limit:.3f}: {(others > limit).mean():.2f}, {(copies > limit).mean():.2f}" for limit in limits]


def table_8(results: Results) -> Table:
    """T_N of ordinary images on the target and on independents."""
    rows: Table = []
    for rad, cell in results.places():
        own = results.mean(cell, rad, "paper", "benign T_N", lambda row: row["truth"] == "target")
        others = results.values(cell, rad, "paper", "benign T_N", independent)
        rows.append(
            {
                **heading(rad, cell),
                "paper": published("benign", rad, cell.family, cell.data.name),
                "target": own,
                "independents": float(others.mean()) if len(others) else None,
                "standard deviation": float(others.std(ddof=1)) if len(others) > 1 else None,
            }
        )
    return rows


def accuracies(results: Results) -> Table:
    """What each kind of tampering costs."""
    rows: Table = []
    for cell in results.cells:
        [own] = results.of(cell, RADS[0], "paper", lambda row: row["truth"] == "target")
        by_kind: dict[tuple[str, float | None], list[Row]] = {}
        for row in results.of(cell, RADS[0], "paper", lambda row: True):
            by_kind.setdefault((row["group"], row["amount"]), []).append(row)
        for (group, amount), same in by_kind.items():
            backbone, early = (float(np.mean([row[c] for row in same])) for c in ("backbone accuracy", "accuracy"))
            late = results.mean(cell, RADS[1], "paper", "accuracy", _alike(group, amount))
            rows.append(
                {
                    "network and data": cell.title,
                    "what": group if amount is None or f"{amount:g}" in group else f"{group}, {amount:g}",
                    "networks": len(same),
                    "backbone accuracy": backbone,
                    "relative drop, %": 100 * (1 - backbone / own["backbone accuracy"]),
                    "accuracy at RAD=5": early,
                    "accuracy at RAD=15": late,
                }
            )
    return rows


def _alike(group: str, amount: float | None) -> Where:
    return lambda row: (row["group"], row["amount"]) == (group, amount)


def everybody(member: Member) -> bool:
    """All further copies."""
    return True


AVERAGES = "Averages over the networks of the row; T_f is that of table 1."
TABLES = (
    Exhibit(
        "table-1",
        "Table 1. Thresholds T_f",
        "T_f is set in each cell for the largest difference between the shares of stolen and of independent networks "
        "that are verified (the trade-off of section 4.1); of equally good ones it is the strictest. A network is "
        "verified with T_N below T_f. *Stopped early*: the paper's samples, each stopped as soon as it passes every "
        "exit. The threshold of the contrast is not set: it is the fingerprint's own. The baseline's is set as T_f is.",
        table_1,
    ),
    Exhibit(
        "table-2",
        "Table 2. IP-verified rates",
        "Rates with Wilson's 95 % intervals. *Held out*: every second network judged by the threshold set on the "
        "others; the contrast needs no such split, since nothing was set: verified is a permutation test at 0.001.",
        table_2,
    ),
    Exhibit(
        "table-3", "Table 3. ROC AUC", "With DeLong's 95 % intervals (Newcombe's where nothing overlaps).", table_3
    ),
    Exhibit("table-4", "Table 4. ICs retrained", AVERAGES, averages(retrained, "ICs retrained"), more=retrained),
    Exhibit("table-5", "Table 5. 8-bit quantisation", AVERAGES, averages(quantised, "8-bit")),
    Exhibit(
        "table-6",
        "Table 6. Distance of fingerprint images from their originals",
        "Means over the samples, pixels from 0 to 1. *Printed*: the paper's L2.",
        table_6,
        base="target",
    ),
    Exhibit(
        "table-7",
        "Table 7. Other thresholds",
        "First the loosest of three thresholds, by which every stolen network is verified; then that of table 1; then "
        "the strictest, by which no independent is. The contrast's are fixed.",
        table_7,
    ),
    Exhibit(
        "table-8",
        "Table 8. T_N of ordinary images",
        "Mean of ten groups of 100 test images (50 of digits).",
        table_8,
        base="independents",
    ),
    Exhibit(
        "table-9",
        "Table 9. ICs retrained and pruned, rate 0.2",
        AVERAGES,
        averages(retrained_pruned_2, "ICs retrained, pruned 0.2"),
        more=retrained_pruned_2,
    ),
    Exhibit(
        "table-10",
        "Table 10. ICs retrained and pruned, rate 0.4",
        AVERAGES,
        averages(retrained_pruned_4, "ICs retrained, pruned 0.4"),
        more=retrained_pruned_4,
    ),
    Exhibit(
        "table-11",
        "Table 11. ICs retrained and quantised",
        AVERAGES,
        averages(retrained_quantised, "ICs retrained, 8-bit"),
        more=retrained_quantised,
    ),
    Exhibit(
        "accuracies",
        "Accuracies of tampered copies",
        "Backbone accuracy is that of the last exit; its drop is relative to the target's.",
        accuracies,
        more=everybody,
    ),
)
