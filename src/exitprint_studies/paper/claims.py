"""The paper's claims, checked on every cell; and what the networks cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from exitprint_studies.metrics import rate, roc_auc
from exitprint_studies.paper.cells import RADS, Cell
from exitprint_studies.paper.crafted import Method
from exitprint_studies.paper.exhibit import Exhibit, Table
from exitprint_studies.paper.figures import amounts, hardened
from exitprint_studies.paper.judge import held_out
from exitprint_studies.paper.results import Results, independent, stolen
from exitprint_studies.paper.tables import THREE, everybody

MOST_INDEPENDENTS, LEAST_STOLEN = 0.05, 0.9
NAMES: dict[Method, str] = {"paper": "T_N", "contrast": "contrast", "baseline": "baseline"}


@dataclass(frozen=True)
class Checked:
    """One claim in one cell: a number, where it was seen, and whether it is as claimed."""

    value: float
    where: str
    holds: bool


def claims(results: Results) -> Table:
    """Every claim, for each method that it can be asked of."""
    rows: Table = []
    for method in THREE:
        name = NAMES[method]
        rows += [
            _row(
                f"independents verified at most {MOST_INDEPENDENTS}", name, _rates(results, method, "independent"), max
            ),
            _row(f"stolen verified at least {LEAST_STOLEN}", name, _rates(results, method, "stolen"), min),
        ]
        if method != "contrast":
            held = f"{name}, T_f held out"
            rows += [
                _row(
                    f"independents verified at most {MOST_INDEPENDENTS}",
                    held,
                    _held_out(results, method, "independent"),
                    max,
                ),
                _row(f"stolen verified at least {LEAST_STOLEN}", held, _held_out(results, method, "stolen"), min),
            ]
        rows.append(
            _row(f"every modification verified at least {LEAST_STOLEN}", name, _modifications(results, method), min)
        )
    for method in ("paper", "contrast"):
        rows.append(_row("ROC AUC above the baseline's", NAMES[method], _above_baseline(results, method), min))
    rows.append(_row("labels returned by half at most after adversarial training", "baseline", _collapse(results), max))
    rows.append(_row("a T_f exists for both rates", "T_N", _some_threshold(results), min))
    return rows


def _row(claim: str, method: str, checked: Iterable[Checked], worst: Callable[..., Checked]) -> dict[str, Any]:
    found = list(checked)
    if not found:
        return {"claim": claim, "method": method, "holds in": None, "worst": None, "where": None, "held": None}
    extreme = worst(found, key=lambda each: each.value)
    holds = sum(each.holds for each in found)
    return {
        "claim": claim,
        "method": method,
        "holds in": f"{holds} of {len(found)}",
        "worst": extreme.value,
        "where": extreme.where,
        "held": "yes" if holds == len(found) else "no",
    }


def _place(rad: float, cell: Cell, more: str = "") -> str:
    return f"{cell.title}, RAD={rad:g}{more}"


def _checked_rate(value: float, where: str, truth: str) -> Checked:
    return Checked(value, where, value <= MOST_INDEPENDENTS if truth == "independent" else value >= LEAST_STOLEN)


def _rates(results: Results, method: Method, truth: str) -> Iterable[Checked]:
    for rad, cell in results.places():
        found = results.verified(cell, rad, method, independent if truth == "independent" else stolen)
        if found is not None:
            yield _checked_rate(found.value, _place(rad, cell), truth)


def _held_out(results: Results, method: Method, truth: str) -> Iterable[Checked]:
    for rad, cell in results.places():
        scores = [results.values(cell, rad, method, "score", where) for where in (stolen, independent)]
        if min(map(len, scores)) > 1:
            hits = held_out(*scores)[truth == "independent"]
            yield _checked_rate(rate(hits).value, _place(rad, cell), truth)


def _modifications(results: Results, method: Method) -> Iterable[Checked]:
    for rad, cell in results.places():
        groups = dict.fromkeys(row["group"] for row in results.of(cell, rad, method, stolen))
        for group in groups:
            found = results.verified(cell, rad, method, lambda row, group=group: stolen(row) and row["group"] == group)  # type: ignore[misc]
            if found is not None:
                yield _checked_rate(found.value, _place(rad, cell, f", {group}"), "stolen")


def _above_baseline(results: Results, method: Method) -> Iterable[Checked]:
    for rad, cell in results.places():
        scores = {
            m: [results.values(cell, rad, m, "score", w) for w in (stolen, independent)] for m in (method, "baseline")
        }
        if all(len(group) for groups in scores.values() for group in groups):
            ours, theirs = (roc_auc(scores[m][0], scores[m][1]).value for m in (method, "baseline"))
            yield Checked(ours - theirs, _place(rad, cell), ours > theirs or ours == theirs == 1)


def _collapse(results: Results) -> Iterable[Checked]:
    for rad, cell in results.places():
        series = amounts(results, cell, hardened)
        share = results.mean(cell, rad, "baseline", "label share", series[-1][1])
        if len(series) > 1 and share is not None:
            yield Checked(share, _place(rad, cell, f", {series[-1][0]:g} epochs"), share <= 0.5)


def _some_threshold(results: Results) -> Iterable[Checked]:
    """The best rate of stolen networks with as few independents verified as claimed."""
    for rad, cell in results.places():
        copies, others = (results.values(cell, rad, "paper", "score", where) for where in (stolen, independent))
        if len(copies) and len(others):
            allowed = sorted(others)[-1 - int(MOST_INDEPENDENTS * len(others))]
            yield _checked_rate(float((copies > allowed).mean()), _place(rad, cell), "stolen")


def cost(results: Results) -> Table:
    """CPU seconds that the store noted for everything that the tables rest on."""
    rows: Table = []
    for number, cell in enumerate(results.cells):
        seconds = {what: s for (place, what), s in results.seconds.items() if place == number}
        names = {row["network"] for row in results.of(cell, RADS[0], "paper", lambda row: True)}
        total = sum(seconds.values())
        rows.append({"network and data": cell.title, "networks": len(names), **seconds, "in all, s": total})
    columns = [name for name in (rows[0] if rows else {}) if name != "network and data"]
    return [*rows, {"network and data": "all", **{name: sum(row[name] for row in rows) for name in columns}}]


CLAIMS = Exhibit(
    "claims",
    "Claims of the paper",
    "Each is checked in every cell and at both RADs. *Every modification*: the rate of each kind of tampering alone. "
    "*ROC AUC above the baseline's*: the smallest difference; equal is enough where both are 1. *A T_f exists*: the "
    "largest rate of stolen networks at a T_f that verifies few enough independents.",
    claims,
    more=hardened,
)
COST = Exhibit(
    "cost",
    "What it cost",
    "CPU seconds as the store noted them when networks, fingerprints and measurements were made, on whichever machine.",
    cost,
    more=everybody,
)
