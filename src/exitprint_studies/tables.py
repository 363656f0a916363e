"""Rows of a result as files: Parquet for machines, Markdown for people; the same rows give the same bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exitprint.errors import ExitprintError
from exitprint.files import replacing

Row = Mapping[str, Any]


def write_parquet(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Write rows of equal columns to one Parquet file, whole or not at all.

    Raises
    ------
    ExitprintError
        If there are no rows, their columns differ, or the file cannot be written.
    """
    columns = _columns(rows)
    table = pa.Table.from_pylist([{column: row[column] for column in columns} for row in rows])
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_parquet(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Rows that `write_parquet` wrote.

    Raises
    ------
    ExitprintError
        If the file is missing or damaged.
    """
    try:
        return list(pq.read_table(path).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise ExitprintError(f"{str(path)!r} cannot be read as a table of results: make it again.") from error


def markdown(rows: Sequence[Row], columns: Mapping[str, str] | None = None, digits: int = 3) -> str:
    """A Markdown table; numbers to the right, floats with `digits` decimals, thousands with a comma, gaps as dashes.

    Parameters
    ----------
    rows
        What to show, in this order.
    columns
        Columns to show, with their headings; by default all, under their own names.
    digits
        Decimals of a float.

    Raises
    ------
    ExitprintError
        If there are no rows, or their columns differ.
    """
    shown = columns or {column: column for column in _columns(rows)}
    cells = [[_cell(row[column], digits) for column in shown] for row in rows]
    numbers = [all(isinstance(row[column], int | float | None) for row in rows) for column in shown]
    heading = "| " + " | ".join(shown.values()) + " |"
    rule = "|" + "|".join("---:" if number else "---" for number in numbers) + "|"
    return "\n".join([heading, rule, *("| " + " | ".join(line) + " |" for line in cells)]) + "\n"


def _columns(rows: Sequence[Row]) -> list[str]:
    if not rows:
        raise ExitprintError("there are no results to write.")
    columns = list(rows[0])
    if any(list(row) != columns for row in rows):
        raise ExitprintError("the rows of a table must have the same columns in the same order.")
    return columns


def _cell(value: Any, digits: int) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")
