"""Making what exhibits rest on: networks, fingerprints, measurements, each found again where it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from exitprint_studies.paper.cells import RADS, Cell, cells, in_turn
from exitprint_studies.paper.crafted import METHODS, Method, craft, crafting_seconds
from exitprint_studies.paper.exhibit import Exhibit
from exitprint_studies.paper.judge import MORE, RATES, judged
from exitprint_studies.paper.measure import Measurement, Scores, measuring_seconds, rows, scores
from exitprint_studies.paper.rehearsal import rehearsed
from exitprint_studies.paper.results import Results
from exitprint_studies.population.declare import Member, Spec, is_there, with_ancestors
from exitprint_studies.population.jobs import realise_all, run_jobs
from exitprint_studies.population.store import Store
from exitprint_studies.study import Preset, Run
from exitprint_studies.tables import Row


@dataclass(frozen=True)
class Asked:
    """One row of work: a measurement, and the cell, RAD and pool that it belongs to."""

    cell: int
    rad: float
    pool: str
    measurement: Measurement


def declared(preset: Preset, exhibits: Sequence[Exhibit]) -> list[Spec]:
    """The networks that these exhibits rest on, those first of which every cell has one."""
    return in_turn([_networks(cell, exhibits) for cell in cells(preset)])


def results_of(run: Run, exhibits: Sequence[Exhibit], chosen: Sequence[Cell] | None = None) -> Results:
    """Everything that these exhibits rest on, made where it is not there.

    Parameters
    ----------
    run
        Its preset says which cells there are; where it is to use what is there, networks that are missing are left out
        and none is made; in a rehearsal each cell is made small.
    exhibits
        Tables and figures.
    chosen
        Other cells than the preset's.

    Raises
    ------
    ExitprintError
        As training, tampering, crafting and writing do.
    Interrupted
        On Ctrl-C; what was finished is kept.
    """
    found = list(chosen if chosen is not None else cells(run.preset))
    if run.rehearsal:
        found = [rehearsed(cell) for cell in found]
    if run.present:
        found = [cell for cell in found if is_there(cell.target, run.store)]
    else:
        realise_all(in_turn([_networks(cell, exhibits) for cell in found]), run.store, run.data_dir, run.pool)
    jobs = [
        (number, cell, method)
        for number, cell in enumerate(found)
        for method in METHODS
        if _possible(run, cell, method)
    ]
    crafting = partial(_crafted, store=run.store, data_dir=run.data_dir)
    files = run_jobs(crafting, [(cell, method) for _, cell, method in jobs], run.pool, "crafting fingerprints")
    fingerprints = {(number, method): file for (number, _, method), file in zip(jobs, files, strict=True) if file}
    asked = [each for number, cell in enumerate(found) for each in _asked(run, number, cell, exhibits, fingerprints)]
    measuring = partial(scores, store=run.store, data_dir=run.data_dir)
    measured = run_jobs(measuring, [each.measurement for each in asked], run.pool, "measuring networks")
    everything = [row for each, score in zip(asked, measured, strict=True) for row in _rows(found, each, score)]
    return Results(found, judged(everything), fingerprints, _seconds(run.store, found, asked), run.store, run.data_dir)


def _networks(cell: Cell, exhibits: Sequence[Exhibit]) -> list[Spec]:
    wanted = {member.name for exhibit in exhibits for member in _members(cell, exhibit)}
    members = [member.network for member in (*cell.members, *cell.more) if member.name in wanted]
    return [members[0], *cell.surrogates, *cell.references, *members[1:]]


def _members(cell: Cell, exhibit: Exhibit) -> list[Member]:
    return [*exhibit.members(cell), *exhibit.further(cell)]


def _possible(run: Run, cell: Cell, method: Method) -> bool:
    if not run.present or method != "baseline":
        return True
    return all(is_there(spec, run.store) for spec in (*cell.surrogates, *cell.references))


def _asked(
    run: Run,
    number: int,
    cell: Cell,
    exhibits: Sequence[Exhibit],
    fingerprints: dict[tuple[int, Method], Path],
) -> list[Asked]:
    wanted = {member.name for exhibit in exhibits for member in _members(cell, exhibit)}
    with_policies = any(exhibit.base == "rates" for exhibit in exhibits)
    files = {method: file for (place, method), file in fingerprints.items() if place == number}
    asked = []
    for rad in RADS:
        rated = cell.at(rad) if with_policies else [member.at(rad) for member in cell.members]
        more = [member.at(rad) for member in cell.more]
        policies = {member.name for member in rated} - {member.name for member in cell.members}
        for pool, members in ((RATES, rated), (MORE, more)):
            for member in members:
                wished = member.name in wanted or (pool == RATES and member.name in policies)
                if wished and (not run.present or _weights_are_there(member, run.store)):
                    asked.append(Asked(number, rad, pool, Measurement(member, files)))
    return asked


def _weights_are_there(member: Member, store: Store) -> bool:
    return is_there(with_ancestors([member.network])[-2], store)


def _rows(found: Sequence[Cell], asked: Asked, score: Scores) -> list[Row]:
    return rows(found[asked.cell], asked.rad, asked.measurement, score, asked.pool)


def _crafted(job: tuple[Cell, Method], store: Store, data_dir: Path | None) -> Path | None:
    return craft(job[0], job[1], store, data_dir)


def _seconds(store: Store, found: Sequence[Cell], asked: Sequence[Asked]) -> dict[tuple[int, str], float]:
    seconds: dict[tuple[int, str], float] = {}
    for number, cell in enumerate(found):
        mine = [each.measurement for each in asked if each.cell == number]
        networks = with_ancestors([*(each.member.network for each in mine), *cell.surrogates, *cell.references])
        seconds[number, "networks, s"] = sum(store.seconds(spec.key) or 0.0 for spec in networks)
        seconds[number, "crafting, s"] = sum(crafting_seconds(cell, method, store) for method in METHODS)
        seconds[number, "measuring, s"] = measuring_seconds(mine, store)
    return seconds
