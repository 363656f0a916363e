"""The paper's figures 1 to 6, drawn from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exitprint.errors import ExitprintError
from exitprint.fingerprints import load_fingerprint
from exitprint.fingerprints.score import eec, normalised, t_n
from exitprint.suspects import CostModel
from exitprint_studies.paper.cells import RADS, Cell, made_by
from exitprint_studies.paper.crafted import Method, crafted_images
from exitprint_studies.paper.exhibit import Choice, Exhibit, Table, chosen, heading
from exitprint_studies.paper.measure import GROUPS, ordinary_images
from exitprint_studies.paper.results import Results, Where
from exitprint_studies.population.declare import realise

LINES: tuple[tuple[Method, str, str, str], ...] = (
    ("paper", "T_N", "the paper's $T_N$", "#b34600"),
    ("contrast", "contrast AUC", "contrast AUC", "#0062a0"),
    ("baseline", "label share", "baseline: share of labels", "#66707c"),
)
STYLES = {5.0: "-", 15.0: "--"}
SHOWN = 8
GREY = 128

pruned = partial(made_by, kind="prune", retrain_heads=False)
tuned = partial(made_by, kind="finetune")
hardened = partial(made_by, kind="adversarial")


def by_amount(choice: Choice, what: str) -> Callable[[Results], Table]:
    """Each method's statistic and rate against how much of one kind of tampering was done; 0 is the target."""

    def table(results: Results) -> Table:
        rows: Table = []
        for rad, cell in results.places():
            for amount, where in amounts(results, cell, choice):
                row = {
                    **heading(rad, cell),
                    what: f"{amount:g}",
                    "networks": len(results.of(cell, rad, "paper", where)),
                }
                for method, column, _, _ in LINES:
                    rate = results.verified(cell, rad, method, where)
                    row[column] = results.mean(cell, rad, method, column, where)
                    row[f"verified by {method}"] = None if rate is None else rate.value
                row["accuracy"] = results.mean(cell, rad, "paper", "accuracy", where)
                rows.append(row)
        return rows

    return table


def amounts(results: Results, cell: Cell, choice: Choice) -> list[tuple[float, Where]]:
    """The target, as amount 0, and every amount of one kind of tampering, with its rows."""
    mine = chosen(cell, choice)
    found = sorted({row["amount"] for row in results.of(cell, RADS[0], "paper", mine)})

    def same(amount: float) -> Where:
        return lambda row: mine(row) and row["amount"] == amount

    return [(0.0, lambda row: row["truth"] == "target"), *((amount, same(amount)) for amount in found)]


def lines(choice: Choice, what: str, rates: bool = False) -> Callable[[Results], Figure]:
    """A panel for each cell: the statistics of all methods, or their rates of verified networks, over the amount."""

    def draw(results: Results) -> Figure:
        figure, panels = grid(results.cells)
        for cell, axes in zip(results.cells, panels, strict=True):
            points = amounts(results, cell, choice)
            for rad in RADS:
                for method, column, label, colour in LINES:
                    name = f"{'verified by ' + method if rates else label}, RAD={rad:g}"
                    y = [_value(results, cell, rad, method, column, where, rates) for _, where in points]
                    x = [amount for amount, _ in points]
                    axes.plot(x, y, STYLES[rad], color=colour, marker="o", markersize=3, label=name)
                limit = results.threshold(cell, rad, "paper")
                if not rates and limit is not None:
                    axes.axhline(limit, linestyle=STYLES[rad], color="#b34600", linewidth=0.6)
            axes.set(title=cell.title, xlabel=what, ylim=(-0.04, 1.04))
        legend(figure, panels)
        return figure

    return draw


def _value(results: Results, cell: Cell, rad: float, method: Method, column: str, where: Where, rates: bool) -> float:
    if not rates:
        mean = results.mean(cell, rad, method, column, where)
        return np.nan if mean is None else mean
    rate = results.verified(cell, rad, method, where)
    return np.nan if rate is None else rate.value


def figure_1_rows(results: Results) -> Table:
    """What adversarial training does to the baseline and to accuracy, beside ordinary fine-tuning, at RAD=5."""
    rows: Table = []
    for cell in results.cells:
        ordinary = dict(amounts(results, cell, tuned))
        for epochs, where in amounts(results, cell, hardened):
            rows.append(
                {
                    "network and data": cell.title,
                    "epochs": f"{epochs:g}",
                    "label share": results.mean(cell, RADS[0], "baseline", "label share", where),
                    "accuracy": results.mean(cell, RADS[0], "paper", "accuracy", where),
                    "label share, fine-tuned": _or_none(results, cell, "baseline", "label share", ordinary.get(epochs)),
                    "accuracy, fine-tuned": _or_none(results, cell, "paper", "accuracy", ordinary.get(epochs)),
                }
            )
    return rows


def _or_none(results: Results, cell: Cell, method: Method, column: str, where: Where | None) -> float | None:
    return None if where is None else results.mean(cell, RADS[0], method, column, where)


def figure_1(results: Results) -> Figure:
    """Label share and accuracy over epochs of adversarial training."""
    figure, panels = grid(results.cells)
    rows = figure_1_rows(results)
    for cell, axes in zip(results.cells, panels, strict=True):
        own = [row for row in rows if row["network and data"] == cell.title]
        for column, colour, style in (
            ("label share", "#66707c", "-"),
            ("accuracy", "#b34600", "-"),
            ("label share, fine-tuned", "#66707c", ":"),
            ("accuracy, fine-tuned", "#b34600", ":"),
        ):
            y = [np.nan if row[column] is None else row[column] for row in own]
            axes.plot(
                [float(row["epochs"]) for row in own], y, style, color=colour, marker="o", markersize=3, label=column
            )
        axes.set(title=cell.title, xlabel="epochs of adversarial training", ylim=(-0.04, 1.04))
    legend(figure, panels)
    return figure


def curves(results: Results, cell: Cell, number: int) -> dict[str, np.ndarray]:
    """Normalised times of ten groups of ordinary images and of the paper's samples on the target at RAD=5."""
    target = cell.at(RADS[0], cell.members[:1])[0].network
    suspect = CostModel(realise(target, results.store, results.data_dir))
    benign = suspect.ask(ordinary_images(cell.data.load(results.data_dir).test).x).seconds
    fingerprint = load_fingerprint(results.fingerprints[number, "paper"])
    longest = float(benign.max())
    return {
        "ordinary images": normalised(benign, longest),
        "fingerprint images": normalised(suspect.ask(fingerprint.x).seconds, longest),
    }


def figure_2_rows(results: Results) -> Table:
    """Share of images answered by each tenth of the longest time, and T_N."""
    rows: Table = []
    for number, cell in enumerate(results.cells):
        for name, times in curves(results, cell, number).items():
            groups = np.array_split(times, GROUPS) if name == "ordinary images" else [times]
            rows.append(
                {
                    "network and data": cell.title,
                    "images": name,
                    **{
                        f"by {t:.1f}": float(np.mean([(g <= t).mean() for g in groups]))
                        for t in (0.2, 0.4, 0.6, 0.8, 0.99)
                    },
                    "T_N": float(np.mean([t_n(group, 1.0) for group in groups])),
                }
            )
    return rows


def figure_2(results: Results) -> Figure:
    """Early-exit capacity curves: ten groups of ordinary images, their average, and the fingerprint."""
    figure, panels = grid(results.cells)
    for number, (cell, axes) in enumerate(zip(results.cells, panels, strict=True)):
        times = curves(results, cell, number)
        for group in np.array_split(times["ordinary images"], GROUPS):
            axes.step(*eec(group, 1.0), where="post", color="#0062a0", linewidth=0.4, alpha=0.5)
        label = "ordinary images, average of 10 groups"
        axes.step(*eec(times["ordinary images"], 1.0), where="post", color="#0062a0", label=label)
        axes.step(*eec(times["fingerprint images"], 1.0), where="post", color="#b34600", label="fingerprint images")
        axes.set(title=cell.title, xlabel="time, as a share of the longest", ylabel="share answered")
    legend(figure, panels)
    return figure


def figure_6_rows(results: Results) -> Table:
    """How far the images shown are from their originals."""
    rows: Table = []
    for number, cell in enumerate(results.cells):
        for method, _, _, _ in LINES:
            if (number, method) in results.fingerprints:
                change = crafted_images(results.fingerprints[number, method], method).change[:SHOWN]
                l2 = float(change.norm(dim=1).mean())
                rows.append({"network and data": cell.title, "method": method, "images": len(change), "mean L2": l2})
    return rows


def figure_6(results: Results) -> Figure:
    """Originals, samples and amplified differences of the first cell, for each method."""
    if not results.cells:
        raise ExitprintError("there is no target to show images of.")
    found = [(label, results.fingerprints.get((0, method)), method) for method, _, label, _ in LINES]
    kinds = [(label, crafted_images(path, method)) for label, path, method in found if path is not None]
    figure = Figure(figsize=(SHOWN * 0.9 + 1.6, 3 * 0.9 * len(kinds)), layout="constrained")
    panels = figure.subplots(3 * len(kinds), SHOWN, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for place, (label, images) in enumerate(kinds):
        before, after = (
            part[:SHOWN].permute(0, 2, 3, 1).numpy().astype(int) for part in (images.originals, images.samples)
        )
        factor = max(1, (GREY - 1) // max(1, int(np.quantile(np.abs(after - before), 0.99))))
        rows = (before, after, np.clip(GREY + factor * (after - before), 0, 255))
        names = (f"original\n({label})", "fingerprint", f"change × {factor}")
        for row, (shown, name) in enumerate(zip(rows, names, strict=True)):
            for axes, image in zip(panels[3 * place + row], shown, strict=False):
                axes.imshow(image.squeeze().astype(np.uint8), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            panels[3 * place + row][0].text(
                -0.1, 0.5, name, transform=panels[3 * place + row][0].transAxes, ha="right", va="center", fontsize=8
            )
    return figure


def grid(cells: Sequence[Cell]) -> tuple[Figure, list[Axes]]:
    """A figure with one panel for each cell, three in a row."""
    if not cells:
        raise ExitprintError("there is no target to draw a figure of.")
    columns = min(3, len(cells))
    lines_ = -(-len(cells) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.8 * lines_ + 0.6), layout="constrained")
    panels = list(figure.subplots(lines_, columns, squeeze=False).flat)
    for axes in panels[len(cells) :]:
        axes.set_axis_off()
    for axes in panels:
        axes.tick_params(labelsize=8)
        axes.xaxis.label.set_size(8)
        axes.yaxis.label.set_size(8)
        axes.title.set_size(9)
        axes.grid(linewidth=0.3)
    return figure, panels[: len(cells)]


def legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend for all panels, below them."""
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(panels)), fontsize=8)


STATISTICS = "Averages of each method's statistic; thin lines in the figure: T_f. Amount 0 is the target itself."
FIGURES = (
    Exhibit(
        "figure-1",
        "Figure 1. Adversarial training against the baseline",
        "At RAD=5. *Label share*: of the baseline's samples, those that get the expected label. Fine-tuned copies of "
        "as many epochs stand beside.",
        figure_1_rows,
        figure_1,
        more=hardened,
    ),
    Exhibit(
        "figure-2",
        "Figure 2. Early-exit capacity of ordinary and of fingerprint images",
        "The target at RAD=5: share of images answered by each share of the longest time.",
        figure_2_rows,
        figure_2,
        base="target",
    ),
    Exhibit(
        "figure-3",
        "Figure 3. Pruning",
        f"ICs as they were. {STATISTICS}",
        by_amount(pruned, "rate"),
        lines(pruned, "pruning rate"),
    ),
    Exhibit(
        "figure-4",
        "Figure 4. Fine-tuning",
        f"ICs trained again. {STATISTICS}",
        by_amount(tuned, "epochs"),
        lines(tuned, "epochs of fine-tuning"),
        more=tuned,
    ),
    Exhibit(
        "figure-5",
        "Figure 5. Adversarial training",
        "ICs trained again. The figure shows rates of verified networks.",
        by_amount(hardened, "epochs"),
        lines(hardened, "epochs of adversarial training", rates=True),
        more=hardened,
    ),
    Exhibit(
        "figure-6",
        "Figure 6. Fingerprint images",
        "The first images of each fingerprint of the first network: original, crafted, and the change, amplified.",
        figure_6_rows,
        figure_6,
        base="target",
    ),
)
