"""The page of `study stealing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from exitprint_studies.ours.stealing.declared import ANEW, AT_COST, CONVENTIONAL, EXITS_ALONE, OURS, SINGLE
from exitprint_studies.ours.stealing.measures import Measures
from exitprint_studies.tables import Row, markdown


def page(measures: Sequence[Measures], absent: Sequence[str], picture: str | None) -> str:
    """Markdown: the tables of every victim, the curve's picture by name, and which victims' data is not there."""
    estimates = [one.estimate for one in measures]
    columns = {
        "method": "method",
        "accuracy": "accuracy",
        "fidelity": "fidelity",
        "same_exit": "same exit",
        "within_one": "within one",
        "cost": "mean cost",
        "cost_difference": "cost against the victim's",
        "time_difference": "time against the victim's",
        "exit_distance": "distance of exit distributions",
    }
    parts = ["# Stealing multi-exit networks\n", "## Exits found in measured runtimes\n", markdown(estimates)]
    for one in measures:
        parts += [f"## {one.estimate['victim']}: {one.estimate['queries']} queries\n", markdown(one.rows, columns)]
        parts.append(_goals(one.rows))
        if one.again:
            parts += [
                f"Of {len(one.again) // 2} further victims, trained from other seeds:\n",
                markdown(_means(one.again)),
            ]
        if one.scan:
            parts += ["Weights of the losses, thresholds searched:\n", markdown(one.scan, columns)]
    if picture:
        parts += ["## Agreement against the number of queries\n", f"![agreement against queries]({picture})\n"]
        shown = ("victim", "method", "queries", "fidelity", "same_exit", "within_one", "cost_difference")
        parts.append(markdown([row for one in measures for row in one.curve], {name: name for name in shown}))
    owner = [row for one in measures for row in one.owner]
    parts += ["## The owner's side, on the cost model\n", markdown(owner)]
    if absent:
        parts.append(f"Left out, because the data is not there: {', '.join(absent)}.\n")
    return "\n".join(parts)


def _means(rows: Sequence[Row]) -> list[Row]:
    """Means, least and largest of the two methods over several victims."""

    def told(method: str, measure: str) -> str:
        values = [row[measure] for row in rows if row["method"] == method]
        return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"

    measures = {"fidelity": "fidelity", "same_exit": "same exit", "within_one": "within one"}
    measures["cost_difference"] = "cost against the victim's"
    return [
        {"method": method, **{title: told(method, measure) for measure, title in measures.items()}}
        for method in (OURS, CONVENTIONAL)
    ]


def _goals(rows: Sequence[Mapping[str, Any]]) -> str:
    by_method = {row["method"]: row for row in rows}
    ours, conventional, single = by_method[OURS], by_method[CONVENTIONAL], by_method[SINGLE]
    factor, at_cost, alone = (
        ours["same_exit"] / max(other["same_exit"], 1e-9)
        for other in (conventional, by_method[AT_COST], by_method[EXITS_ALONE])
    )
    accuracy = 100 * (ours["accuracy"] - max(conventional["accuracy"], single["accuracy"]))
    fidelity = 100 * (ours["fidelity"] - max(conventional["fidelity"], single["fidelity"]))
    anew = f" The owner's next training: same exit {by_method[ANEW]['same_exit']:.3f}." if ANEW in by_method else ""
    return (
        f"Same exit {factor:.2f} times the conventional substitute's (goal: 2), {at_cost:.2f} times where its "
        f"threshold is set for the victim's cost, and {alone:.2f} times that of the classifier of exits; within one "
        f"{ours['within_one']:.2f} (goal: 0.75); cost {100 * ours['cost_difference']:+.1f} % (goal: within 5 %); "
        f"accuracy {accuracy:+.1f} and fidelity {fidelity:+.1f} points against the better conventional variant (goal: "
        f"not below -1).{anew}\n"
    )
