"""An exhibit as files: Parquet for machines, Markdown, PNG and SVG for people, one HTML page for all of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.reports import write_report
from exitprint_studies.paper.exhibit import Exhibit
from exitprint_studies.paper.page import Section, study_page
from exitprint_studies.paper.results import Results
from exitprint_studies.tables import markdown, write_parquet

INTRODUCTION = (
    "Runtimes come from a cost model (FLOPs up to the exit that an image takes), not from a clock. *T_N* is the "
    "paper's method, with the paper's samples; *contrast* is ours; *baseline* is Lukas et al.'s. What the paper "
    "printed stands beside what was measured wherever it has such a figure."
)


def write_exhibits(
    results: Results, exhibits: Sequence[Exhibit], name: str, title: str, size: str, out: Path
) -> list[Path]:
    """Write all files of these exhibits and return them, the page first.

    Raises
    ------
    ExitprintError
        If there are no networks, or a file cannot be written.
    """
    if not results.rows:
        raise ExitprintError(
            "no network of this study is there, so there is nothing to write: leave --present out, or name the store "
            "that holds them (--store)."
        )
    text, sections, files = [f"# {title}\n", f"{size}. {INTRODUCTION}\n"], [], []
    for exhibit in exhibits:
        table = exhibit.table(results)
        text += [f"## {exhibit.title}\n", exhibit.note + "\n"]
        if not table:
            text.append("No network that it needs is there.\n")
            continue
        drawn = exhibit.figure(results) if exhibit.figure else None
        files.append(out / f"{exhibit.name}.parquet")
        write_parquet(table, files[-1])
        text.append(markdown(table))
        svg = None
        if drawn is not None:
            svg, png = rendered(drawn, "svg"), rendered(drawn, "png")
            files += [out / f"{exhibit.name}.svg", out / f"{exhibit.name}.png"]
            write_bytes(files[-2], svg)
            write_bytes(files[-1], png)
            text.append(f"![{exhibit.title}]({exhibit.name}.png)\n")
        sections.append(Section(exhibit.title, exhibit.note, table, svg))
    page, words, rows = out / f"{name}.html", out / f"{name}.md", out / f"{name}.parquet"
    write_parquet(results.rows, rows)
    write_bytes(words, "\n".join(text).encode())
    write_report(study_page(title, f"{size}. {INTRODUCTION}", sections), page)
    return [page, words, rows, *files]


def rendered(figure: Figure, kind: str) -> bytes:
    """A figure as SVG or PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "exitprint", "svg.fonttype": "path"}):
        figure.savefig(buffer, format=kind, dpi=130, metadata=metadata)
    return buffer.getvalue()
