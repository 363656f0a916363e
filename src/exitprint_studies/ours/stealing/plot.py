"""The picture of `study stealing`: agreement against the number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure

from exitprint_studies.ours.stealing.declared import CONVENTIONAL, OURS


def drawn(curve: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of ours and the conventional substitute, a panel for each victim."""
    names = list(dict.fromkeys(row["victim"] for row in curve))
    figure = Figure(figsize=(5 * len(names) + 1, 3.8), layout="constrained")
    for position, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), position + 1)
        for method, colour in ((OURS, "#2b6cb0"), (CONVENTIONAL, "#c05621")):
            mine = [row for row in curve if row["victim"] == name and row["method"] == method]
            queries = [row["queries"] for row in mine]
            for measure, style in (("same_exit", "-"), ("within_one", "--"), ("fidelity", ":")):
                label = f"{method}: {measure.replace('_', ' ')}"
                axes.plot(queries, [row[measure] for row in mine], style, marker="o", color=colour, label=label)
        axes.set_xscale("log", base=2)
        axes.set_xticks(queries, [f"{number:,}" for number in queries])
        axes.minorticks_off()
        axes.set_ylim(0, 1)
        axes.set_xlabel("queries")
        axes.set_ylabel("share of test images")
        axes.set_title(name, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
