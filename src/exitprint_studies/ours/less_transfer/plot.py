"""The picture of `study less-transfer`: power against transfer, a line for each idea through its margins."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from matplotlib.figure import Figure

from exitprint_studies.tables import Row


def drawn(curve: Sequence[Row]) -> bytes:
    """PNG, a panel for each target; the larger a dot the larger the margin."""
    targets = list(dict.fromkeys(row["target"] for row in curve))
    ideas = list(dict.fromkeys(row["idea"] for row in curve))
    figure = Figure(figsize=(4.6 * len(targets) + 0.6, 5.2), layout="constrained")
    lines = {}
    for position, target in enumerate(targets):
        axes = figure.add_subplot(1, len(targets), position + 1)
        for number, idea in enumerate(ideas):
            mine = [row for row in curve if (row["target"], row["idea"]) == (target, idea)]
            if not mine:
                continue
            x, y = [row["transfer"] for row in mine], [row["power"] for row in mine]
            (lines[idea],) = axes.plot(x, y, color=f"C{number}", linewidth=1.2)
            axes.scatter(x, y, [14 + 14 * row["margin"] for row in mine], f"C{number}")
        axes.plot([0, 1], [0, 1], color="#cbd5e0", linewidth=1, zorder=0)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="transfer: largest share on an unseen independent")
        axes.set_title(target, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        if not position:
            axes.set_ylabel("power: least share on a useful copy")
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=2, fontsize=7, frameon=False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
