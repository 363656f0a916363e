"""`study contrast`: the paper's fingerprint and the contrast on the same networks, and what each part is worth.

Runtimes are a cost model's, unless a table says that they were measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exitprint.data import ImageData, unit_range
from exitprint.errors import ExitprintError
from exitprint.files import write_bytes
from exitprint.fingerprints import (
    ContrastMethod,
    Fingerprint,
    contrast_fingerprint,
    craft_paper,
    load_fingerprint,
    paper_fingerprint,
    save_fingerprint,
)
from exitprint.fingerprints.score import auc, longest_time, t_n
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.networks.policy import lowest
from exitprint.suspects import CostModel
from exitprint.training import calibrated_policy, policy_accuracy
from exitprint_studies.metrics import roc_auc
from exitprint_studies.ours.third_party import third_party_networks, third_party_rows
from exitprint_studies.population.declare import Member, Spec, realise, source
from exitprint_studies.population.jobs import realise_all, run_jobs
from exitprint_studies.population.laptop import (
    FIRST_INDEPENDENT_SEED,
    INDEPENDENTS,
    LAPTOP,
    at_rad,
    population,
    trained,
)
from exitprint_studies.population.store import Store
from exitprint_studies.study import Preset, Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

RADS = (5.0, 15.0)
SAMPLES = 100
VERSION = 3
"""Raised whenever fingerprints are crafted otherwise than before by the same parameters."""
CALIBRATED_FOR = (0.0, 5.0, 15.0)
HARD = 0.9
"""T_c of the hard cell: most benign inputs leave late."""
USEFUL = 0.85
"""A copy that keeps less than this share of the target's accuracy is useless to a thief (the paper's largest RAD)."""
TESTED = 1000
"""So many copies and independents of each family are measured besides, each input so often."""
METHOD = ContrastMethod()
WITHOUT: dict[str, ContrastMethod] = {
    "everything": METHOD,
    "no margin": replace(METHOD, margin_log_odds=0.0),
    "early at one exit": replace(METHOD, early_exits=1),
    "no choice by nature": replace(METHOD, extreme_share=0.5),
    "no surplus of candidates": replace(METHOD, candidates_per_sample=1),
    "Adam on tanh instead of unit steps": replace(METHOD, adam_learning_rate=0.005),
}
REFERENCES = tuple(range(FIRST_INDEPENDENT_SEED + INDEPENDENTS, FIRST_INDEPENDENT_SEED + INDEPENDENTS + 2))
"""Seeds of independents that the owner has; they are not among the suspects."""


@dataclass(frozen=True)
class Asked:
    """One network at one RAD, and the fingerprints that it is asked."""

    member: Member
    files: Mapping[str, Path]


def policies_of(network: MultiExitNetwork, data: ImageData) -> list[ExitPolicy]:
    """The network's policies from RAD=0 to RAD=15."""
    return [calibrated_policy(network, data.calibration, rad) for rad in CALIBRATED_FOR]


def fingerprints(family: str, store: Store, data_dir: Path | None) -> dict[str, Path]:
    """Files of all fingerprints of a family's target, by name; crafted where the store lacks them.

    ``paper`` is the paper's with each sample stopped as soon as it passes every exit at RAD=5 and 15, ``on the same
    images`` crafts that from the contrast's originals.
    """
    spec = population(family)[0].network

    def crafted(name: str, details: Any, make: Callable[[], Fingerprint]) -> Path:
        key = {"side by side": name, "version": VERSION, "details": details, "target": spec.key, "samples": SAMPLES}
        return store.get(key, lambda path: save_fingerprint(make(), path))

    def contrast(method: ContrastMethod, references: Sequence[int] = ()) -> Fingerprint:
        network, data = realise(spec, store, data_dir), source(spec).load(data_dir)
        known = [realise(trained(family, source(spec), seed), store, data_dir) for seed in references]
        return contrast_fingerprint(
            network, data.test, policies_of(network, data), SAMPLES, method=method, references=known, check=False
        )

    def narrow() -> Fingerprint:
        network, data = realise(spec, store, data_dir), source(spec).load(data_dir)
        return contrast_fingerprint(network, data.test, [network.policy], SAMPLES, method=METHOD, check=False)

    def paper() -> Fingerprint:
        network, data = realise(spec, store, data_dir), source(spec).load(data_dir)
        strictest = lowest(policies_of(network, data)[1:], network.num_exits - 1)
        return paper_fingerprint(network, data.test, [strictest], SAMPLES, check=False)

    def same_images(file: Path) -> Fingerprint:
        network, data, other = realise(spec, store, data_dir), source(spec).load(data_dir), load_fingerprint(file)
        strictest = lowest(policies_of(network, data)[1:], network.num_exits - 1)
        made = craft_paper(network, other.benign, strictest)
        return replace(
            other, kind="paper", samples=made.samples, reached=made.reached, steps=made.steps, late=other.late | True
        )

    files = {name: crafted("contrast", asdict(method), partial(contrast, method)) for name, method in WITHOUT.items()}
    files["one policy only"] = crafted("one policy", asdict(METHOD), narrow)
    files["with two networks known to be independent"] = crafted(
        "references", asdict(METHOD), partial(contrast, METHOD, REFERENCES)
    )
    files["paper"] = crafted("paper", "", paper)
    files["paper, same images"] = crafted("paper, same", asdict(METHOD), partial(same_images, files["everything"]))
    return files


def scored(asked: Asked, store: Store, data_dir: Path | None) -> dict[str, float]:
    """What a network does with every fingerprint, by name, and its accuracy; kept in the store."""
    spec = asked.member.network
    digests = {name: json.loads(_note(file))["specification"] for name, file in asked.files.items()}
    key = {"scored": 3, "network": spec.key, "fingerprints": digests, "tested": TESTED}

    def measure(path: Path) -> None:
        network, data = realise(spec, store, data_dir), source(spec).load(data_dir)
        suspect = CostModel(network)
        longest = longest_time(suspect.ask(data.test[:TESTED].x).seconds)
        found = {"accuracy": policy_accuracy(network, data.test[:TESTED])}
        for name, file in asked.files.items():
            fingerprint = load_fingerprint(file)
            seconds = suspect.ask(fingerprint.x).seconds
            late = fingerprint.late.numpy()
            found[name] = t_n(seconds, longest) if fingerprint.kind == "paper" else auc(seconds[late], seconds[~late])
        write_bytes(path, json.dumps(found, sort_keys=True).encode())

    return dict(json.loads(store.get(key, measure, ".scores").read_bytes()))


def _note(file: Path) -> bytes:
    return file.with_suffix(".json").read_bytes()


def rows_of(run: Run) -> list[Row]:
    """One row for each family, RAD and network."""
    rows: list[Row] = []
    for family in LAPTOP:
        files = fingerprints(family, run.store, run.data_dir)
        for rad in RADS:
            members = at_rad(population(family), rad)
            asked = [Asked(member, files) for member in members]
            scoring = partial(scored, store=run.store, data_dir=run.data_dir)
            found = run_jobs(scoring, asked, run.pool, f"{family} at RAD={rad:g}")
            own = found[0]["accuracy"]
            for member, scores in zip(members, found, strict=True):
                about = {"family": family, "RAD": rad, "network": member.name, "truth": member.role}
                rows.append(
                    {
                        **about,
                        "group": member.group,
                        "keeps": scores["accuracy"] / own,
                        "clock": "cost-model",
                        **scores,
                    }
                )
    return rows


def hard_rows(run: Run) -> list[Row]:
    """The hard cell: everybody at T_c = `HARD`, fingerprints made for that."""
    rows: list[Row] = []
    for family in LAPTOP:
        members = population(family)
        spec = members[0].network
        data = source(spec).load(run.data_dir)
        target = realise(spec, run.store, run.data_dir)
        target.policy = ExitPolicy(HARD)
        contrast = contrast_fingerprint(target, data.test, [target.policy], SAMPLES, check=False)
        paper = paper_fingerprint(target, data.test, [target.policy], SAMPLES, check=False)
        benign = data.test[:TESTED].x
        for member in members:
            network = realise(member.network, run.store, run.data_dir)
            network.policy = ExitPolicy(HARD)
            suspect = CostModel(network)
            ordinary = suspect.ask(benign).seconds
            seconds, late = suspect.ask(contrast.x).seconds, contrast.late.numpy()
            rows.append(
                {
                    "family": family,
                    "network": member.name,
                    "truth": member.role,
                    "group": member.group,
                    "benign T_N": t_n(ordinary, longest_time(ordinary)),
                    "paper": t_n(suspect.ask(paper.x).seconds, longest_time(ordinary)),
                    "everything": auc(seconds[late], seconds[~late]),
                }
            )
    return rows


def _values(rows: Sequence[Row], column: str, truth: str, useful: bool = False) -> np.ndarray:
    return np.array([r[column] for r in rows if r["truth"] == truth and not (useful and r["keeps"] < USEFUL)])


def roc_table(rows: Sequence[Row]) -> list[Row]:
    """ROC AUC of both methods in each cell, over all copies and over those worth having."""
    table: list[Row] = []
    for family, rad, cell in _cells(rows):
        line: dict[str, Any] = {
            "network": family,
            "RAD": int(rad),
            "independents": len(_values(cell, "paper", "independent")),
        }
        for useful in (False, True):
            copies = _values(cell, "paper", "stolen", useful)
            line |= {"copies" if not useful else "useful copies": len(copies)}
            for column, method, sign in (("everything", "contrast", 1), ("paper", "paper", -1)):
                estimate = roc_auc(
                    sign * _values(cell, column, "stolen", useful), sign * _values(cell, column, "independent")
                )
                name = f"{method}{', useful copies' if useful else ''}"
                line[name] = f"{estimate.value:.3f} ({estimate.low:.3f}–{estimate.high:.3f})"
        table.append(line)
    return table


def group_table(rows: Sequence[Row]) -> list[Row]:
    """Mean and least contrast, and the paper's mean T_N, by what was done to a copy."""
    table: list[Row] = []
    for group in dict.fromkeys(row["group"] for row in rows):
        cell = [row for row in rows if row["group"] == group]
        table.append(
            {
                "group": group,
                "networks × RAD": len(cell),
                "accuracy kept": float(np.mean([r["keeps"] for r in cell])),
                "contrast, mean AUC": float(np.mean([r["everything"] for r in cell])),
                "least": float(min(r["everything"] for r in cell)),
                "largest": float(max(r["everything"] for r in cell)),
                "paper, mean T_N": float(np.mean([r["paper"] for r in cell])),
            }
        )
    return table


def hard_table(rows: Sequence[Row]) -> list[Row]:
    """ROC AUC of both methods where most inputs leave late."""
    table: list[Row] = []
    for family in dict.fromkeys(row["family"] for row in rows):
        cell = [row for row in rows if row["family"] == family]
        line: dict[str, Any] = {"network": family, "benign T_N of the target": cell[0]["benign T_N"]}
        for column, method, sign in (("everything", "contrast", 1), ("paper", "paper", -1)):
            for without in (False, True):
                chosen = [r for r in cell if not (without and r["group"] == "adversarial")]
                estimate = roc_auc(
                    sign * _values(chosen, column, "stolen"), sign * _values(chosen, column, "independent")
                )
                line[f"{method}{', without adversarial training' if without else ''}"] = estimate.value
        line["largest AUC of an independent"] = float(_values(cell, "everything", "independent").max())
        table.append(line)
    return table


def ablation_table(rows: Sequence[Row], run: Run) -> list[Row]:
    """What each part is worth: taken out once, over all families and both RADs."""
    table: list[Row] = []
    for name in [*WITHOUT, "one policy only", "with two networks known to be independent"]:
        made = [load_fingerprint(fingerprints(family, run.store, run.data_dir)[name]) for family in LAPTOP]
        aucs = []
        for _, _, cell in _cells(rows):
            aucs.append(roc_auc(_values(cell, name, "stolen", True), _values(cell, name, "independent")).value)
        copies, others = _values(rows, name, "stolen", True), _values(rows, name, "independent")
        table.append(
            {
                "contrast": name,
                "goal reached": float(np.mean([f.reached.double().mean() for f in made])),
                "mean L2": float(np.mean([f.l2.mean() for f in made])),
                "target": float(np.mean(_values(rows, name, "target"))),
                "useful copies, median AUC": float(np.median(copies)),
                "5 % quantile": float(np.quantile(copies, 0.05)),
                "independents, median": float(np.median(others)),
                "largest": float(others.max()),
                "least ROC AUC": float(min(aucs)),
            }
        )
    return table


def visibility_table(run: Run) -> list[Row]:
    """Table 6's row: how much both methods change the same images."""
    table: list[Row] = []
    for family in LAPTOP:
        files = fingerprints(family, run.store, run.data_dir)
        for name, file in (("contrast", "everything"), ("paper", "paper, same images")):
            made = load_fingerprint(files[file])
            change = unit_range(made.samples) - unit_range(made.originals)
            early = made.late if name == "contrast" else torch.arange(len(made)) < (len(made) + 1) // 2
            table.append(
                {
                    "network": family,
                    "method": name,
                    "reached": int(made.reached.sum()),
                    "mean L2": float(made.l2.mean()),
                    "mean L2, early by nature": float(made.l2[early].mean()),
                    "mean L2, late by nature": float(made.l2[~early].mean()),
                    "mean square per pixel": float(change.square().mean()),
                    "steps": float(made.steps.double().mean()),
                }
            )
    return table


def _cells(rows: Sequence[Row]) -> list[tuple[str, float, list[Row]]]:
    return [
        (family, rad, [row for row in rows if (row["family"], row["RAD"]) == (family, rad)])
        for family in dict.fromkeys(row["family"] for row in rows)
        for rad in RADS
    ]


def _networks(preset: Preset) -> list[Spec]:
    specs = [member.network for family in LAPTOP for member in population(family)]
    data = source(specs[0])
    known = [trained(family, data, seed) for family in LAPTOP for seed in REFERENCES]
    return [*specs, *known, *third_party_networks()]


def _make(run: Run) -> list[Path]:
    realise_all(
        [s for s in _networks(run.preset) if s not in third_party_networks()], run.store, run.data_dir, run.pool
    )
    rows = rows_of(run)
    hard = hard_rows(run)
    tables: dict[str, Sequence[Row]] = {
        "1. ROC AUC, cost model": roc_table(rows),
        "2. By what was done to the copy, cost model": group_table(rows),
        f"3. The hard cell: T_c = {HARD} everywhere, cost model": hard_table(hard),
        "4. Visibility: the same images, changed by both methods": visibility_table(run),
        "6. Ablation: each part taken out once, cost model": ablation_table(rows, run),
    }
    files = [run.out / "contrast.parquet", run.out / "contrast-hard.parquet"]
    for file, content in zip(files, (rows, hard), strict=True):
        write_parquet(content, file)
    try:
        other = third_party_rows(run)
        tables["5. A third party's ResNet-20, cost model"] = other
        files.append(run.out / "contrast-third-party.parquet")
        write_parquet(other, files[-1])
    except ExitprintError as error:
        note = f"\n## 5. A third party's ResNet-20\n\nNot run: {error}\n"
    else:
        note = ""
    page = run.out / "contrast.md"
    parts = [f"## {title}\n\n{markdown(table)}" for title, table in sorted(tables.items())]
    write_bytes(page, ("# The contrast fingerprint beside the paper's\n\n" + "\n".join(parts) + note).encode())
    return [page, *files]


STUDY = Study("contrast", "The paper's fingerprint and the contrast on the same networks.", _networks, _make)
