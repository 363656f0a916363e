"""The picture of `study strength`: the chance that was simulated against how often copies were then claimed."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from matplotlib.figure import Figure

from exitprint_studies.ours.strength.tables import useful
from exitprint_studies.tables import Row

MOST = 120
COLOURS = {"promised": "#2f855a", "uncertain": "#a0aec0", "escapes": "#c05621"}


def drawn(rows: Sequence[Row]) -> bytes:
    """PNG, a panel for each case; a dot for each copy, policy and number of samples, larger where several coincide."""
    names = list(dict.fromkeys(row["case"] for row in rows))
    figure = Figure(figsize=(2.6 * len(names) + 1, 3.6), layout="constrained")
    for position, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), position + 1)
        mine = [row for row in useful(rows) if row["case"] == name]
        for word, colour in COLOURS.items():
            dots = [(row["chance"], row["claimed"]) for row in mine if row["word"] == word]
            x, y = [[dot[axis] for dot in dict.fromkeys(dots)] for axis in (0, 1)]
            sizes = [min(20 * dots.count(dot), MOST) for dot in dict.fromkeys(dots)]
            axes.scatter(x, y, sizes, colour, alpha=0.6, label=word, linewidths=0)
        axes.plot([0, 1], [0, 1], color="#cbd5e0", linewidth=1, zorder=0)
        axes.set(xlim=(-0.08, 1.08), ylim=(-0.08, 1.08), xlabel="chance on simulated copies")
        axes.set_title("\n".join(name.split(", ", 1)), loc="left", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        if not position:
            axes.set_ylabel("copies claimed")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()
