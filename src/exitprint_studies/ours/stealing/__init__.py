"""`study stealing`: substitutes for victims that can only be asked, against conventional model stealing.

Runtimes are measured, in this process. Where inputs really left is read from the victim only to judge with. Costs are
FLOPs, as a share of a network's own whole run.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from exitprint.files import write_bytes
from exitprint_studies.ours.stealing.attack import Attack
from exitprint_studies.ours.stealing.declared import victims
from exitprint_studies.ours.stealing.measures import Measures, measured
from exitprint_studies.ours.stealing.page import page
from exitprint_studies.ours.stealing.plot import drawn
from exitprint_studies.ours.victims import Robbed, Victim
from exitprint_studies.population.declare import Spec, Trained
from exitprint_studies.population.jobs import realise_all, run_jobs
from exitprint_studies.population.store import Store
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import write_parquet


def _make(run: Run) -> list[Path]:
    planned = victims(run.preset)
    at_hand = [victim for victim in planned if victim.is_at_hand(run.data_dir)]
    absent = [victim.name for victim in planned if victim not in at_hand]
    realise_all(_networks(at_hand), run.store, run.data_dir, run.pool)
    machine = platform.node()
    for victim in at_hand:  # here and now, because nothing else of the study runs beside it
        for each in (victim, *victim.others):
            _attack(each, run.store, run.data_dir, machine)
    job = partial(_measured, store=run.store, data_dir=run.data_dir, machine=machine)
    return written(run_jobs(job, at_hand, run.pool, "stealing (victims)"), absent, run.out)


def _attack(victim: Victim, store: Store, data_dir: Path | None, machine: str) -> Attack:
    """The victim asked and the thief's own network timed, or what was found out when that was done on this machine."""
    return Attack(Robbed(victim, store, data_dir, machine))


def _measured(victim: Victim, store: Store, data_dir: Path | None, machine: str) -> Measures:
    return measured(_attack(victim, store, data_dir, machine))


def written(measures: Sequence[Measures], absent: Sequence[str], folder: Path) -> list[Path]:
    """Page, table of all substitutes and curve, as files in this folder; the page first."""
    text, table, picture = folder / "stealing.md", folder / "stealing.parquet", folder / "stealing-queries.png"
    rows = [row for one in measures for row in one.rows]
    curve = [row for one in measures for row in one.curve]
    scan = [row for one in measures for row in one.scan]
    again = [row for one in measures for row in one.again]
    write_parquet([*rows, *curve, *scan, *again], table)
    files = [text, table]
    if curve:
        write_bytes(picture, drawn(curve))
        files.append(picture)
    write_bytes(text, page(measures, absent, picture.name if curve else None).encode())
    return files


def _networks(robbed: Sequence[Victim]) -> list[Spec]:
    every = [each for victim in robbed for each in (victim, *victim.next_trainings)]
    return list(dict.fromkeys(each.network for each in every if isinstance(each.network, Trained)))


STUDY = Study(
    "stealing",
    "Substitutes that stop where their victims stop, against conventional ones.",
    lambda preset: _networks(victims(preset)),
    _make,
    ("laptop", "gpu"),
)  # fmt: skip
