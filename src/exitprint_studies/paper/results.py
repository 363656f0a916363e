"""All that was measured for some tables, and the short questions that tables ask of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exitprint_studies.metrics import Estimate, rate
from exitprint_studies.paper.cells import RADS, Cell
from exitprint_studies.paper.crafted import Method
from exitprint_studies.paper.judge import RATES, FloatArray
from exitprint_studies.population.store import Store
from exitprint_studies.tables import Row

Where = Callable[[Row], bool]


@dataclass(frozen=True)
class Results:
    """Rows of all networks, judged, and where they come from.

    Attributes
    ----------
    cells
        Those that have a target.
    rows
        One for each network, method and RAD.
    fingerprints
        Files by (number of the cell, method).
    seconds
        CPU seconds that the store noted for what the rows rest on, by (number of the cell, what).
    store, data_dir
        Where networks and images are.
    """

    cells: Sequence[Cell]
    rows: Sequence[Row]
    fingerprints: Mapping[tuple[int, Method], Path]
    seconds: Mapping[tuple[int, str], float]
    store: Store
    data_dir: Path | None = None

    def places(self) -> Iterator[tuple[float, Cell]]:
        """Every RAD and cell, in the order of the paper's tables."""
        for rad in RADS:
            for cell in self.cells:
                yield rad, cell

    def of(self, cell: Cell, rad: float, method: Method, where: Where | None = None) -> list[Row]:
        """Rows of one cell at one RAD by one method, by default of those that rates rest on."""
        where = where or in_rates
        place = (cell.family, cell.data.name, rad, method)
        return [
            row
            for row in self.rows
            if (row["architecture"], row["data"], row["RAD"], row["method"]) == place and where(row)
        ]

    def values(self, cell: Cell, rad: float, method: Method, column: str, where: Where | None = None) -> FloatArray:
        """One column of `of`."""
        return np.array([row[column] for row in self.of(cell, rad, method, where)], dtype=np.float64)

    def mean(self, cell: Cell, rad: float, method: Method, column: str, where: Where | None = None) -> float | None:
        """Mean of one column, None where there is nothing."""
        found = self.values(cell, rad, method, column, where)
        return float(found.mean()) if len(found) else None

    def threshold(self, cell: Cell, rad: float, method: Method) -> float | None:
        """T_f, or the share of labels that verifies."""
        found = [row["threshold"] for row in self.of(cell, rad, method)]
        return found[0] if found else None

    def verified(self, cell: Cell, rad: float, method: Method, where: Where) -> Estimate | None:
        """Rate of verified networks, None where there are none or no threshold."""
        found = [row["verified"] for row in self.of(cell, rad, method, where)]
        return None if not found or None in found else rate(found)


def in_rates(row: Row) -> bool:
    """Whether rates and ROC curves rest on this network."""
    return row["pool"] == RATES


def stolen(row: Row) -> bool:
    """A stolen copy that rates rest on."""
    return in_rates(row) and row["truth"] == "stolen"


def independent(row: Row) -> bool:
    """An independent network."""
    return in_rates(row) and row["truth"] == "independent"


def said(estimate: Estimate | None) -> str | None:
    """An estimate with its interval, as a table shows it."""
    return None if estimate is None else f"{estimate.value:.2f} ({estimate.low:.2f}–{estimate.high:.2f})"
