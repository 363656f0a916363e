"""The papers' tables and figures: populations of networks in, tables out."""

from __future__ import annotations

from exitprint_studies.metrics import Estimate, rate, roc_auc
from exitprint_studies.population.declare import (
    Calibrated,
    Member,
    Source,
    Spec,
    Tampered,
    Trained,
    realise,
)
from exitprint_studies.population.jobs import Plan, executor, plan, realise_all, run_jobs
from exitprint_studies.population.store import Store
from exitprint_studies.tables import markdown, read_parquet, write_parquet

__all__ = [
    "Calibrated",
    "Estimate",
    "Member",
    "Plan",
    "Source",
    "Spec",
    "Store",
    "Tampered",
    "Trained",
    "executor",
    "markdown",
    "plan",
    "rate",
    "read_parquet",
    "realise",
    "realise_all",
    "roc_auc",
    "run_jobs",
    "write_parquet",
]
