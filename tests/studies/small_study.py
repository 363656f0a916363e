"""A small study, for programs that are to be disturbed: `run(FOLDER)` writes FOLDER/table.parquet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from declared import RECIPE, small

from exitprint.cli import main
from exitprint.files import write_bytes
from exitprint.training import policy_accuracy
from exitprint_studies import (
    Calibrated,
    Source,
    Spec,
    Store,
    Tampered,
    markdown,
    realise,
    realise_all,
    run_jobs,
    studies,
    write_parquet,
)
from exitprint_studies.study import Run, Study


def networks(preset: str) -> list[Spec]:
    """A target, independents, and copies, each calibrated."""
    heads = RECIPE.heads.model_dump()
    target, others = small(0), [small(seed) for seed in (1, 2, 3)]
    pruned = Tampered(parent=target, kind="prune", parameters={"rate": 0.2, "heads": heads}, seed=1)
    copies: list[Spec] = [
        pruned,
        Tampered(parent=pruned, kind="quantise", parameters={"heads": heads}, seed=2),
        Tampered(parent=target, kind="retrain-exits", parameters={"share": 0.5, "heads": heads}, seed=3),
        Tampered(parent=target, kind="finetune", parameters={"epochs": 1, "heads": heads}, seed=4),
    ]
    return [Calibrated(parent=network, rad=15) for network in (target, *copies, *others)]


def row(item: tuple[Spec, Store]) -> dict[str, Any]:
    """What the table says of a network."""
    spec, store = item
    network = realise(spec, store)
    test = Source(name="digits", limit=400).load().test
    return {
        "network": spec.model_dump_json(),
        "accuracy": policy_accuracy(network, test),
        "T_c": network.policy.thresholds[0],
    }


def make(run: Run) -> list[Path]:
    """Make the networks, measure each, write the table."""
    specs = networks(run.preset)
    realise_all(specs, run.store, run.data_dir, run.pool)
    rows = run_jobs(row, [(spec, run.store) for spec in specs], run.pool, "measuring")
    page, table = run.out / "page.md", run.out / "table.parquet"
    write_parquet(rows, table)
    write_bytes(page, markdown(rows).encode())
    return [page, table]


def run(folder: str, *options: str) -> None:
    """`exitprint study small --out FOLDER`, its store in that folder."""
    studies.STUDIES["small"] = Study("small", "for tests", networks, make)
    sys.argv = ["exitprint", "study", "small", "--out", folder, "--store", f"{folder}/store", *options]
    main()
