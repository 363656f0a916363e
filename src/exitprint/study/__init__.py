"""The papers' tables and figures: populations of networks in, tables out."""

from __future__ import annotations

from exitprint.study.jobs import Plan, executor, plan, realise_all, run_jobs
from exitprint.study.metrics import Estimate, rate, roc_auc
from exitprint.study.population import Calibrated, Member, Source, Spec, Tampered, Trained, realise, trained_together
from exitprint.study.store import Store
from exitprint.study.tables import markdown, read_parquet, write_parquet

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
    "trained_together",
    "write_parquet",
]
