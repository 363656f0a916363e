"""`exitprint demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from exitprint.cli.options import Json, Seed, out, print_json
from exitprint.cli.outputs import Force, check_output


def demo(
    report: Annotated[Path, typer.Option(help="Where to write the page.")] = Path("report.html"),
    seed: Seed = 0,
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Train a network, steal it three ways, and tell the copies from three independents, in about forty seconds."""
    from exitprint.demo import run_demo

    check_output(report, "page", force=force)
    result = run_demo(report, seed)
    if as_json:
        print_json(result.as_dict())
        return
    table = Table("suspect", "truth", "decision", "share of pairs", "requests")
    for row in result.rows:
        share = "–" if row.verdict.share is None else f"{row.verdict.share:.2f}"
        table.add_row(row.name, row.truth, row.verdict.decision, share, f"{row.verdict.requests:,}")
    out.print(table)
    out.print(f"{result.right} of {len(result.rows)} verdicts are right, in {result.seconds:.0f} s. Report: {report}")
