"""The picture of `study strength`: what was simulated against what then happened."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exitprint_studies.ours.strength.tables import off_by, useful
from exitprint_studies.tables import Row

MOST = 120
COLOURS = {"promised": "#2f855a", "uncertain": "#a0aec0", "escapes": "#c05621"}
WITHIN = 0.1
"""The aim: no cell is farther off than this."""


def drawn(rows: Sequence[Row]) -> bytes:
    """PNG, two panels for each case: shares of pairs, and how often copies are claimed.

    A dot is a copy, a policy and a number of samples, larger where several coincide. Of those that something is said of
    the one farthest off is ringed.
    """
    names = list(dict.fromkeys(row["case"] for row in rows))
    figure = Figure(figsize=(2.7 * len(names) + 1, 6.2), layout="constrained")
    panels = figure.subplots(2, len(names), squeeze=False)
    for name, (above, below) in zip(names, panels.T, strict=True):
        mine = [row for row in useful(rows) if row["case"] == name and row["simulated claims"] is not None]
        _dots(above, mine, "simulated share", "share")
        _dots(below, mine, "simulated claims", "claimed")
        above.set(xlabel="simulated share of pairs")
        above.set_title("\n".join(name.split(", ", 1)), loc="left", fontsize=8)
        below.set(xlabel="simulated copies claimed")
        if said := [row for row in mine if row["word"] != "uncertain"]:
            worst = max(said, key=off_by)
            below.scatter([worst["simulated claims"]], [worst["claimed"]], 160, facecolors="none", edgecolors="#2d3748")
            below.set_title(
                f"{worst['suspect'].replace(', ', chr(10))}\nT_c = {worst['T_c']:.3f}, {worst['samples']} samples",
                loc="left",
                fontsize=6,
            )
    panels[0][0].set_ylabel("share of a copy")
    panels[1][0].set_ylabel("copies claimed")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def _dots(axes: Axes, rows: Sequence[Row], simulated: str, happened: str) -> None:
    for word, colour in COLOURS.items():
        dots = [(row[simulated], row[happened]) for row in rows if row["word"] == word]
        x, y = [[dot[axis] for dot in dict.fromkeys(dots)] for axis in (0, 1)]
        sizes = [min(20 * dots.count(dot), MOST) for dot in dict.fromkeys(dots)]
        axes.scatter(x, y, sizes, colour, alpha=0.6, label=word, linewidths=0)
    axes.axline((0, 0), slope=1, color="#cbd5e0", linewidth=1, zorder=0)
    axes.fill_between([0, 1], [-WITHIN, 1 - WITHIN], [WITHIN, 1 + WITHIN], color="#edf2f7", zorder=-1)
    axes.set(xlim=(-0.08, 1.08), ylim=(-0.08, 1.08))
    axes.spines[["top", "right"]].set_visible(False)
