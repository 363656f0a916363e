"""`python -m bench [NAME …]`: one table of ratios, each pair measured in the same run."""

from __future__ import annotations

import importlib
import sys

import torch
from rich.console import Console
from rich.table import Table

COMPARISONS = ("crafting", "heads", "prediction", "wrap", "clocks", "exits", "strategy")


def main(names: list[str]) -> None:
    """Run the named comparisons, or all, and print their rows."""
    unknown = set(names) - set(COMPARISONS)
    if unknown:
        sys.exit(f"unknown comparison {', '.join(sorted(unknown))}: use {', '.join(COMPARISONS)}")
    torch.set_num_threads(1)
    console = Console(width=200)
    table = Table(
        "comparison",
        "ours",
        "peer",
        "ratio",
        "spread",
        "goal",
        "on",
        title="One thread, one run; processor seconds unless a row says otherwise; spread: least and largest ratio",
    )
    for name in names or COMPARISONS:
        for row in importlib.import_module(f"bench.{name}").rows():
            table.add_row(
                row["name"],
                f"{row['ours_s']:.4g}",
                f"{row['peer_s']:.4g}",
                f"{row['ratio']:.2f}",
                row.get("spread", ""),
                row.get("goal", ""),
                row["note"],
            )
    console.print(table)


main(sys.argv[1:])
