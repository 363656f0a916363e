"""`study forgeries`: fingerprints that were made to claim networks which are nobody's copies.

Decided by the product's own `verify` on the cost model's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.files import load_tensors, save_tensors, write_bytes
from exitprint.fingerprints import Fingerprint, Reference, verify
from exitprint.fingerprints.shares import logits_of, share_of_pairs
from exitprint.fingerprints.threshold import CHANGE_ON_OWNERS_WORD
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.suspects import Suspect
from exitprint_studies.ours.arenas import DIGITS, Arena, arenas, cohorts
from exitprint_studies.ours.banks import Replayed, seconds_of
from exitprint_studies.ours.forgers import STRATEGIES, shrunk
from exitprint_studies.population.declare import Trained
from exitprint_studies.population.jobs import realise_all
from exitprint_studies.study import Preset, Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

LARGEST = (1.0, 0.5)
"""The largest mean L2 of the change that is tried, beside as much as a file may hold and as needs no references."""
PARTS = ("chosen", "late", "samples")
VERSION = 2


def forged(arena: Arena, strategy: str, run: Run) -> Fingerprint:
    """The forger's file before it is made small, kept in the store."""

    def make(to: Path) -> None:
        made = STRATEGIES[strategy](arena.forger)
        save_tensors(to, "forgery", {}, {part: getattr(made, part) for part in PARTS})

    key = {"forgery": VERSION, "arena": arena.name, "strategy": strategy}
    parts = load_tensors(run.store.get(key, make), "forgery")[1]
    return arena.forger.file(parts["chosen"], parts["late"], parts["samples"])


def sizes(whole: Fingerprint) -> list[float | None]:
    """Mean L2 of the change: as much as the file may hold, those of `LARGEST`, and what needs no references."""
    l2 = float(whole.l2.mean())
    small = 0.97 * CHANGE_ON_OWNERS_WORD * l2 / whole.change
    return [None, *sorted({size for size in (*LARGEST, small) if size < l2}, reverse=True)]


def rows_of(arena: Arena, run: Run) -> Iterator[Row]:
    """One row for each strategy, size of the change, suspect and policy."""
    for strategy in STRATEGIES:
        whole = forged(arena, strategy, run)
        benign = {name: logits_of(network, whole.originals) for name, (network, _) in arena.suspects.items()}
        for largest in sizes(whole):
            try:
                made = shrunk(whole, largest)
            except ExitprintError as error:
                yield _row(arena, strategy, largest, None) | {"said": f"refused: {error}"}
                continue
            references = [_seen(made, name, *each) for name, each in arena.references.items()]
            about = _row(arena, strategy, largest, made)
            for name, (network, policies) in arena.suspects.items():
                crafted, seconds = logits_of(network, made.samples), seconds_of(network)
                for rule, policy in policies.items():
                    exits = policy.exits(crafted), policy.exits(benign[name])
                    yield about | {"suspect": name, "rule": rule} | _asked(made, exits, seconds, references)


def _seen(made: Fingerprint, name: str, network: MultiExitNetwork, policies: dict[str, ExitPolicy]) -> Reference:
    """What the samples come to on a reference of the verifier's, under each policy."""
    logits = logits_of(network, made.samples)
    exits = [policy.exits(logits) for policy in policies.values()]
    return Reference(name, tuple(share_of_pairs("contrast", each, each, made.late) for each in exits), "other")


def _row(arena: Arena, strategy: str, largest: float | None, made: Fingerprint | None) -> dict[str, Any]:
    return {
        "images": arena.name,
        "strategy": strategy,
        "largest L2": largest,
        "L2": float(made.l2.mean()) if made else None,
        "change": made.change if made else None,
        "suspect": "",
        "rule": "",
        "share": None,
        "nature": None,
        "said": "",
        "reference": None,
        "said with references": None,
    }


def _asked(
    made: Fingerprint, exits: tuple[Tensor, Tensor], seconds: Tensor, references: Sequence[Reference]
) -> dict[str, Any]:
    share, nature = (share_of_pairs("contrast", each, each, made.late) for each in exits)
    suspect = Replayed.of(made, *exits, seconds)
    largest = max((max(reference.share) for reference in references), default=None)
    return {
        "share": share,
        "nature": nature,
        "said": _said(made, suspect, ()),
        "reference": largest,
        "said with references": _said(made, suspect, references) if references else None,
    }


def _said(made: Fingerprint, suspect: Suspect, references: Sequence[Reference]) -> str:
    try:
        return verify(made, suspect, references=references).decision
    except ExitprintError as error:
        return f"refused: {error}"


def table(rows: Sequence[Row]) -> list[Row]:
    """For each strategy and size of the change how many were claimed."""
    found: list[Row] = []
    for about in dict.fromkeys((row["images"], row["strategy"], row["largest L2"]) for row in rows):
        cell = [row for row in rows if (row["images"], row["strategy"], row["largest L2"]) == about]
        asked = [row for row in cell if row["share"] is not None]
        found.append(
            {
                "images": about[0],
                "strategy": about[1],
                "L2": cell[0]["L2"],
                "change": cell[0]["change"],
                "suspects × policies": len(asked),
                "share, mean": float(np.mean([row["share"] for row in asked])) if asked else None,
                "largest": max((row["share"] for row in asked), default=None),
                "nature, largest": max((row["nature"] for row in asked), default=None),
                **_counted(cell, "said", ""),
                "references, largest share": cell[0]["reference"],
                **_counted(cell, "said with references", " with them"),
            }
        )
    return found


def _counted(cell: Sequence[Row], column: str, words: str) -> Row:
    """How many were claimed, and how many files refused before anything was asked."""
    said = [row[column] for row in cell]
    if None in said:
        return {f"derived{words}": None, f"refused{words}": None}
    return {
        f"derived{words}": said.count("derived"),
        f"refused{words}": sum(each.startswith("refused") for each in said),
    }


def _networks(preset: Preset) -> list[Trained]:
    return DIGITS.networks()


def _make(run: Run) -> list[Path]:
    for cohort in cohorts(run.data_dir):
        realise_all(cohort.networks(), run.store, run.data_dir, run.pool)
    rows = [row for arena in arenas(run) for row in rows_of(arena, run)]
    page, file = run.out / "forgeries.md", run.out / "forgeries.parquet"
    write_parquet(rows, file)
    write_bytes(page, f"# Forgeries\n\n{markdown(table(rows))}".encode())
    return [page, file]


STUDY = Study("forgeries", "Fingerprints made to claim networks that are nobody's copies.", _networks, _make)
