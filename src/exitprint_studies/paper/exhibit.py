"""What a table or figure of the paper is here: which networks it needs, and how it is made of what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.figure import Figure

from exitprint_studies.paper.cells import Cell
from exitprint_studies.paper.results import Results, Where
from exitprint_studies.population.declare import Member

Table = list[dict[str, Any]]
Base = Literal["target", "independents", "rates"]
Choice = Callable[[Member], bool]


def nobody(member: Member) -> bool:
    """No further copies."""
    return False


@dataclass(frozen=True)
class Exhibit:
    """One table or figure.

    Attributes
    ----------
    name
        As in the paper, ``table-2`` or ``figure-3``, or a word for what the paper only says in its text.
    title
        Its heading.
    note
        What its columns mean; no result stands here.
    table
        Its rows, from what was measured.
    figure
        The drawing, where there is one.
    base
        The networks that it rests on: the target alone, target and independents, or all that rates rest on.
    more
        Which of a cell's further copies it needs besides.
    """

    name: str
    title: str
    note: str
    table: Callable[[Results], Table]
    figure: Callable[[Results], Figure] | None = None
    base: Base = "rates"
    more: Choice = nobody

    def members(self, cell: Cell) -> list[Member]:
        """Those of the cell's own members that it rests on."""
        roles = {"target": ("target",), "independents": ("target", "independent")}.get(self.base)
        return [member for member in cell.members if roles is None or member.role in roles]

    def further(self, cell: Cell) -> list[Member]:
        """Those of the cell's further copies that it rests on."""
        return [member for member in cell.more if self.more(member)]


def chosen(cell: Cell, choice: Choice) -> Where:
    """Rows of those networks of a cell, further copies too, that a choice says yes to."""
    names = {member.name for member in (*cell.members, *cell.more) if choice(member)}
    return lambda row: row["network"] in names


def heading(rad: float, cell: Cell) -> dict[str, Any]:
    """The first columns of a row that stands for one cell at one RAD."""
    return {"RAD": int(rad), "network and data": cell.title}
