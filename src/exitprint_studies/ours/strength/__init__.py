"""`study strength`: what the table of simulated thefts promises, against thefts that then happen.

Networks are well trained. Thefts are made from another seed than the simulated ones, with all the images that the owner
has and twice the epochs. Decided by the product's own `verify` on the cost model's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from exitprint.files import write_bytes
from exitprint.fingerprints import Fingerprint
from exitprint.fingerprints.in_words import in_words
from exitprint.progress import progress
from exitprint_studies.ours.strength.asked import rows_of
from exitprint_studies.ours.strength.bench import Bench
from exitprint_studies.ours.strength.cases import cases
from exitprint_studies.ours.strength.plot import drawn
from exitprint_studies.ours.strength.tables import calibration, of_copies, of_strangers, summary
from exitprint_studies.population.declare import Trained
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet


def _make(run: Run) -> list[Path]:
    bench, rows, made = Bench(run), list[Row](), dict[str, Fingerprint]()
    wanted = list(filter(bench.can_craft, cases()))
    with progress("fingerprints and their thefts", len(wanted)) as advance:
        for case in wanted:
            rows += rows_of(case, bench)
            made[case.name] = bench.fingerprint(case)
            advance(1)
    page, data, picture = (run.out / f"strength.{end}" for end in ("md", "parquet", "png"))
    write_parquet(rows, data)
    write_bytes(picture, drawn(rows))
    write_bytes(page, page_of(rows, made, picture.name).encode())
    return [page, data, picture]


def page_of(rows: Sequence[Row], made: Mapping[str, Fingerprint], picture: str) -> str:
    """The tables as Markdown, and what `fingerprint` said of each case."""
    tables = {
        "In short": summary(rows),
        "By word": calibration(rows),
        "Each copy": of_copies(rows),
        "Each stranger": of_strangers(rows),
    }
    parts = [f"## {title}\n\n{markdown(table)}" for title, table in tables.items()]
    parts.insert(2, f"![What was simulated against what then happened]({picture})\n")
    return "\n".join(["# Strength\n", *parts, "## What `fingerprint` said beforehand\n", *_said(made)])


def _said(made: Mapping[str, Fingerprint]) -> list[str]:
    lines: list[str] = []
    for name, fingerprint in made.items():
        table = fingerprint.strength
        assert table is not None
        enough = table.enough[table.sizes.index(table.samples)]
        change = f"{float(fingerprint.l2.mean()):.2f}, {fingerprint.change:.0%} of the distance between the images"
        lines += [f"### {name}\n", f"L2 {change}. {table.samples} samples need {enough} of the pairs."]
        lines += [f"Part in the head: {', '.join(f'exit {each.number} {each.head:.2f}' for each in table.exits)}.\n"]
        lines += [*(f"- {sentence}" for sentence in in_words(table)), ""]
    return lines


STUDY = Study(
    "strength",
    "What the table of simulated thefts promises, against thefts that then happen.",
    lambda preset: [spec for case in cases() for spec in (case.target, *case.strangers) if isinstance(spec, Trained)],
    _make,
    partial_runs=True,
)
