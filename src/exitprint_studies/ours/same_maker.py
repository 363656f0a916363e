"""`study same-maker`: well trained networks of one maker as targets and as strangers to each other.

Decided by the product's own `verify` on the cost model's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints import Fingerprint, Reference, verify
from exitprint.progress import progress
from exitprint_studies.ours.banks import Bank, Left, Replayed, composed, left, natural_places
from exitprint_studies.ours.makers import DEPTHS, RADS, THEFTS, Workshop, of_the_maker
from exitprint_studies.ours.third_party import Adopted, Depth
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

SIZES = (50, 100, 200, 400)
SAID = ("derived", "independent", "inconclusive", "refused")
SHOWN = ("target", "margin", "references", "pool", "suspect", "truth", "RAD", "keeps", "share", "largest", *SAID)
TENSORS = ("samples", "originals", "late", "reached", "steps", "chosen", "answers")
"""What a fingerprint has one of for each sample."""
SHOWN_SAMPLES = 200
SEEDS = 3
"""So many fingerprints are drawn of each size."""
SMALL, DEFAULT, LARGE = 0.5, 1.0, 1.5
"""Margins, in log-odds. `fingerprint` takes the second without references and the largest with them."""
OTHERS: dict[Depth, tuple[Depth, ...]] = {20: (32, 44), 32: (44, 20), 44: (20, 32)}
"""Who is a reference of each network's fingerprints, the first one where there is one only."""
ANEW = "ICs retrained"
"""What a stranger is asked as, besides as it is."""
USEFUL = 0.85
"""A copy that keeps less than this share of the target's accuracy is of no use to a thief."""


@dataclass(frozen=True)
class Suspect:
    """Who is asked: a network of the maker's, or what a thief made of it."""

    network: Adopted
    theft: str | None

    @property
    def name(self) -> str:
        """In tables."""
        return f"ResNet-{self.network.depth}" + (f", {self.theft}" if self.theft else "")


def banks() -> list[Bank]:
    """What is crafted, the most telling first."""
    maker = {depth: of_the_maker(depth) for depth in DEPTHS}
    known = {depth: tuple(maker[other] for other in others) for depth, others in OTHERS.items()}
    large, small, few = (1000, 800), (1000, 400), (400, 400)
    return [
        *(Bank(maker[depth], SMALL, (), *large) for depth in DEPTHS),
        *(Bank(maker[depth], DEFAULT, (), *small) for depth in DEPTHS),
        *(Bank(maker[depth], LARGE, (), *small) for depth in DEPTHS),
        *(Bank(maker[depth], SMALL, known[depth][:1], *small) for depth in DEPTHS),
        *(Bank(maker[depth], LARGE, known[depth][:1], *small) for depth in DEPTHS),
        *(Bank(maker[depth], DEFAULT, (), *few) for depth in DEPTHS),
        Bank(of_the_maker(DEPTHS[0], original=False), DEFAULT, (), 10_000, 800),
        *(Bank(maker[depth], margin, known[depth], *small) for margin in (LARGE, SMALL) for depth in DEPTHS),
    ]


def suspects(bank: Bank) -> list[Suspect]:
    """The target and its copies, then the others as they are and with exits trained anew."""
    original = bool(bank.target.folder)
    own = [Suspect(bank.target, theft) for theft in (None, *THEFTS)]
    others = sorted(depth for depth in DEPTHS if depth != bank.target.depth)
    return [*own, *(Suspect(of_the_maker(depth, original), theft) for depth in others for theft in (None, ANEW))]


def truth(bank: Bank, suspect: Suspect) -> str:
    """What verification should find out."""
    if suspect.network == bank.target:
        return "stolen" if suspect.theft else "target"
    return "reference" if suspect.network in bank.references else "stranger"


def rows_of(bank: Bank, workshop: Workshop) -> Iterator[Row]:
    """One row for each size, suspect and RAD."""
    crafted = bank.crafted(workshop)
    places = natural_places(workshop, bank)
    chosen = {
        (samples, seed): composed(crafted.late, places, crafted.l2, crafted.reached, bank.pool, samples, seed)
        for samples in SIZES
        if min(2 * samples, bank.pool) <= bank.images
        for seed in range(SEEDS)
    }
    seen = {each: left(workshop, bank, each) for each in bank.references}
    files = {size: _part(crafted, at, seen) for size, at in chosen.items()}
    for suspect in suspects(bank):
        where = left(workshop, bank, suspect.network, suspect.theft)
        keeps = np.array(workshop.policies(suspect.network, suspect.theft)[1]) / workshop.policies(bank.target)[1]
        for samples in sorted({samples for samples, _ in chosen}):
            for at, rad in enumerate(RADS):
                yield {
                    **_about(bank, samples),
                    "suspect": suspect.name,
                    "truth": truth(bank, suspect),
                    "RAD": int(rad),
                    "keeps": float(keeps[at]),
                    **_outcome(files, chosen, where, samples, at),
                }


def _about(bank: Bank, samples: int) -> Row:
    return {
        "target": f"ResNet-{bank.target.depth}",
        "pixels": "original" if bank.target.folder else "JPEG",
        "margin": bank.margin,
        "references": len(bank.references),
        "pool": bank.pool,
        "samples": samples,
    }


def _outcome(
    files: dict[tuple[int, int], Fingerprint], chosen: dict[tuple[int, int], Tensor], where: Left, samples: int, at: int
) -> Row:
    shares, natures, said, p0 = [], [], [], []
    for seed in range(SEEDS):
        made, picked = files[samples, seed], chosen[samples, seed]
        share, nature = where.shares(made.late, picked)[at]
        shares.append(share)
        natures.append(nature)
        try:
            exits = where.samples[at][picked], where.originals[at][picked]
            verdict = verify(made, Replayed.of(made, *exits, where.seconds), seed=seed)
        except ExitprintError:
            said.append("refused")
        else:
            said.append(verdict.decision)
            p0.append(verdict.p0)
    return {
        "share": float(np.mean(shares)),
        "largest": float(max(shares)),
        "least": float(min(shares)),
        "nature, largest": float(max(natures)),
        "p0": float(np.mean(p0)) if p0 else None,
        **{what: said.count(what) for what in SAID},
    }


def _part(bank: Fingerprint, chosen: Tensor, references: dict[Adopted, Left]) -> Fingerprint:
    late = bank.late[chosen]
    stated = tuple(
        Reference(f"ResNet-{each.depth}", tuple(share for share, _ in where.shares(late, chosen)), "other")
        for each, where in references.items()
    )
    return replace(bank, **{name: getattr(bank, name)[chosen] for name in TENSORS}, references=stated)


def strangers_table(rows: Sequence[Row]) -> list[Row]:
    """For each kind of fingerprint the strangers that come nearest to a claim."""
    table: list[Row] = []
    for about, cell in _cells(rows, ("stranger",)):
        table.append(
            {
                **about,
                "verdicts": sum(_verdicts(row) for row in cell),
                **{f"largest share, RAD={rad:g}": max(r["largest"] for r in cell if r["RAD"] == rad) for rad in RADS},
                "p0": max((row["p0"] for row in cell if row["p0"] is not None), default=None),
                **{what: sum(row[what] for row in cell) for what in SAID},
            }
        )
    return table


def copies_table(rows: Sequence[Row]) -> list[Row]:
    """For each kind of fingerprint how many of the useful copies are found at RAD 5 and 15."""
    table: list[Row] = []
    useful = [row for row in rows if row["keeps"] >= USEFUL and row["RAD"] > 0]
    for about, cell in _cells(useful, ("target", "stolen")):
        verdicts = sum(_verdicts(row) for row in cell)
        table.append(
            {
                **about,
                "verdicts": verdicts,
                **{f"least share, RAD={rad:g}": min(r["least"] for r in cell if r["RAD"] == rad) for rad in RADS[1:]},
                "found": sum(row["derived"] for row in cell) / verdicts,
                **{what: sum(row[what] for row in cell) for what in ("independent", "inconclusive", "refused")},
            }
        )
    return table


def _verdicts(row: Row) -> int:
    return sum(int(row[what]) for what in SAID)


def _cells(rows: Sequence[Row], truths: Sequence[str]) -> Iterator[tuple[dict[str, Any], list[Row]]]:
    keys = ("target", "pixels", "margin", "references", "pool", "samples")
    mine = [row for row in rows if row["truth"] in truths]
    for about in dict.fromkeys(tuple(row[key] for key in keys) for row in mine):
        yield (
            dict(zip(keys, about, strict=True)),
            [row for row in mine if tuple(row[key] for key in keys) == about],
        )


def _make(run: Run) -> list[Path]:
    workshop, rows = Workshop(run.store, run.data_dir), []
    wanted = [bank for bank in banks() if not run.present or run.store.has(bank.key)]
    with progress("fingerprints of one maker's networks", len(wanted)) as advance:
        for bank in wanted:
            rows += list(rows_of(bank, workshop))
            advance(1)
    page, table = run.out / "same-maker.md", run.out / "same-maker.parquet"
    write_parquet(rows, table)
    tables: dict[str, Sequence[Row]] = {
        "Strangers of the same maker": strangers_table(rows),
        "Useful copies": copies_table(rows),
        f"Each suspect, {SHOWN_SAMPLES} samples": [
            {key: row[key] for key in SHOWN} for row in rows if row["samples"] == SHOWN_SAMPLES
        ],
    }
    parts = [f"## {title}\n\n{markdown(rows_)}" for title, rows_ in tables.items()]
    write_bytes(page, ("# One maker's networks\n\n" + "\n".join(parts)).encode())
    return [page, table]


STUDY = Study(
    "same-maker",
    "Well trained networks of one maker: whether strangers are claimed and copies found.",
    lambda preset: [],
    _make,
    partial_runs=True,
)
