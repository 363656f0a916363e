"""`study paper` and `study paper-table-1` …: the tables and figures of Dong et al., one command each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from exitprint_studies.paper.claims import CLAIMS, COST
from exitprint_studies.paper.exhibit import Exhibit
from exitprint_studies.paper.figures import FIGURES
from exitprint_studies.paper.make import declared, results_of
from exitprint_studies.paper.report import write_exhibits
from exitprint_studies.paper.tables import TABLES
from exitprint_studies.population.declare import Spec
from exitprint_studies.study import PRESETS, Preset, Run, Study

EXHIBITS: tuple[Exhibit, ...] = (*TABLES, *FIGURES, CLAIMS, COST)


def _networks(preset: Preset, exhibits: Sequence[Exhibit]) -> list[Spec]:
    return declared(preset, exhibits)


def _make(run: Run, exhibits: Sequence[Exhibit], name: str, title: str) -> list[Path]:
    size = f"Rehearsal of preset {run.preset}" if run.rehearsal else f"Preset {run.preset}"
    return write_exhibits(results_of(run, exhibits), exhibits, name, title, size, run.out)


def _study(name: str, summary: str, exhibits: Sequence[Exhibit]) -> Study:
    return Study(
        name,
        summary,
        partial(_networks, exhibits=exhibits),
        partial(_make, exhibits=exhibits, name=name, title=summary),
        PRESETS,
        partial_runs=True,
    )


STUDIES: tuple[Study, ...] = (
    _study("paper", "Every table and figure of the fingerprinting paper", EXHIBITS),
    *(_study(f"paper-{exhibit.name}", exhibit.title, [exhibit]) for exhibit in EXHIBITS),
)
