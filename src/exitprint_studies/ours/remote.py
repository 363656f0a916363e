"""`study remote`: what verification at an address costs and how often it errs, with jitter and hostile operators.

Its networks take about ten milliseconds for a full run, and are asked behind a server in another process. Verdicts are
measured from beginning to end, through real requests, behind paths with jitter and with every hostile operator. Error
rates over thousands of verdicts are simulated by `study error-rates`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from exitprint.errors import ExitprintError
from exitprint.evidence.limits import BUDGET, ERROR_RATE
from exitprint.files import write_bytes
from exitprint.fingerprints import Fingerprint, contrast_fingerprint, load_fingerprint, save_fingerprint, verify
from exitprint.fingerprints.verify import run_digest
from exitprint.networks import save_network
from exitprint.progress import progress
from exitprint.suspects import KServeSuspect
from exitprint.training import calibrated_policy
from exitprint_studies.hostile import misbehaving
from exitprint_studies.hostile.operators import TROUBLES
from exitprint_studies.population.declare import Member, Role, Source, realise, source
from exitprint_studies.population.jobs import realise_all
from exitprint_studies.population.laptop import Setting, population
from exitprint_studies.population.store import Store
from exitprint_studies.study import Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

DATA = Source(name="cifar10", limit=12_000)
SETTING = Setting(depth=56, width=8, epochs=15, learning_rate=0.1)
"""A full run of this ResNet takes about ten milliseconds on one core."""
CHOSEN = (
    "target", "retrained 1", "fine-tuned 2", "pruned 0.2", "independent 5", "independent 6", "independent 7",
)  # fmt: skip
REFERENCES = ("independent 3", "independent 4")
SAMPLES = 200
LOOSER_RAD = 15.0


@dataclass(frozen=True)
class Jitter:
    """Delay that the path adds to a request: of which kind, with which standard deviation in milliseconds.

    `amplification` is how often each request holds its image.
    """

    kind: str
    milliseconds: float
    amplification: int = 1


SERVED = (
    (Jitter("jitter", 0), 7),
    (Jitter("jitter", 1), 7),
    (Jitter("jitter", 5), 7),
    (Jitter("heavy-tail", 5), 3),
    (Jitter("jitter", 20, amplification=8), 3),
)
"""Paths that verdicts are measured behind, and how many on each network."""
OPERATOR_BUDGET = 400
PATIENCE = 5.0


def remote_members(data: Source = DATA) -> list[Member]:
    """The target, three stolen copies and three independents, ResNet-56s calibrated for RAD=5."""
    return [member for member in population("resnet", data, setting=SETTING) if member.name in CHOSEN]


def remote_references(data: Source = DATA) -> list[Member]:
    """Networks that the owner knows to be independent; none of them is verified."""
    return [member for member in population("resnet", data, setting=SETTING) if member.name in REFERENCES]


def remote_fingerprint(members: Sequence[Member], store: Store, data_dir: Path | None = None) -> Fingerprint:
    """The target's contrast fingerprint, for its own policy (RAD=5) and a looser one; from the store where it is."""
    target = members[0].network
    references = [member.network for member in remote_references(source(target))]

    def make(path: Path) -> None:
        network = realise(target, store, data_dir)
        images = source(target).load(data_dir)
        others = [realise(reference, store, data_dir) for reference in references]
        policies = [network.policy, calibrated_policy(network, images.calibration, LOOSER_RAD)]
        made = contrast_fingerprint(network, images.test, policies, SAMPLES, seed=0, references=others)
        save_fingerprint(made, path)

    what = {
        "contrast": target.key,
        "version": 3,
        "samples": SAMPLES,
        "references": [each.key for each in references],
        "looser": LOOSER_RAD,
    }
    return load_fingerprint(store.get(what, make))


def study_remote(
    members: Sequence[Member],
    store: Store,
    data_dir: Path | None = None,
    seed: int = 0,
) -> dict[str, list[Row]]:
    """All tables of the study; networks and fingerprint are made first where the store lacks them.

    Measuring takes about half an hour. What was measured on this machine is kept in the store too, and not measured
    again.

    Parameters
    ----------
    members
        The target first, then stolen copies and independents; see `remote_members`.
    store, data_dir
        As in `realise`.
    seed
        Of everything that is drawn.

    Returns
    -------
    dict
        Rows by table: ``served`` and ``operators``.
    """
    fingerprint = remote_fingerprint(members, store, data_dir)
    with TemporaryDirectory() as folder:
        files = {member.name: Path(folder) / f"{number}.safetensors" for number, member in enumerate(members)}
        for member in members:
            save_network(realise(member.network, store, data_dir), files[member.name])
        bench = Bench(fingerprint, files, store, seed)
        return {"served": served_rows(members, bench), "operators": operator_rows(members, bench)}


@dataclass(frozen=True)
class Bench:
    """Networks behind a server in another process; what was measured on this machine is found again in the store.

    Attributes
    ----------
    fingerprint
        What they are asked with.
    files
        Each network's file, by name.
    store
        Where it is kept.
    seed
        Of the order of requests and of the jitter.
    """

    fingerprint: Fingerprint
    files: Mapping[str, Path]
    store: Store
    seed: int = 0

    def verdicts(
        self,
        member: Member,
        trouble: str,
        amount: float | None = None,
        amplification: int = 1,
        count: int = 1,
        budget: int = BUDGET,
    ) -> list[Row]:
        """So many verdicts on one network behind one operator, each measured from beginning to end."""

        def make(path: Path) -> None:
            rows = []
            with misbehaving(self.files[member.name], trouble, amount, seed=self.seed) as url:
                for seed in range(self.seed, self.seed + count):
                    suspect = KServeSuspect(url, amplification=amplification, timeout=PATIENCE, patience=PATIENCE)
                    rows.append(_verdict(self.fingerprint, suspect, member.role, budget, seed))
            write_bytes(path, json.dumps(rows).encode())

        what = {
            "trouble": trouble,
            "amount": amount,
            "amplification": amplification,
            "verdicts": count,
            "budget": budget,
        }
        rows: list[Row] = json.loads(self.store.get(self._key(member, **what), make, ".rows").read_bytes())
        return rows

    def _key(self, member: Member, **what: Any) -> dict[str, Any]:
        fingerprint = run_digest(self.fingerprint, subject="study", seed=self.seed)
        return {"measured on": platform.node(), "fingerprint": fingerprint, "network": member.network.key, **what}


def _verdict(fingerprint: Fingerprint, suspect: KServeSuspect, truth: Role, budget: int, seed: int) -> Row:
    right = "independent" if truth == "independent" else "derived"
    start = perf_counter()
    try:
        known = fingerprint.references  # the study trained these networks itself, so it is no owner's word
        verdict = verify(fingerprint, suspect, budget=budget, seed=seed, references=known)
        decision: str = verdict.decision
        share: float | None = verdict.share
        requests, why = verdict.requests, verdict.reason
    except ExitprintError as error:
        decision, share, requests, why = "error", None, suspect.requests, str(error)
    return {
        "verdict": decision,
        "right": decision == right,
        "wrong": decision not in (right, "inconclusive", "error"),
        "share of pairs": share,
        "requests": requests,
        "seconds": perf_counter() - start,
        "why": why,
    }


def served_rows(members: Sequence[Member], bench: Bench) -> list[Row]:
    """How verdicts on each network behind each of `SERVED` came out, and what they cost."""
    rows = list[Row]()
    with progress("measured verdicts with jitter", sum(count for _, count in SERVED) * len(members)) as advance:
        for jitter, count in SERVED:
            for member in members:
                found = bench.verdicts(member, jitter.kind, jitter.milliseconds, jitter.amplification, count)
                rows.append(
                    {
                        "kind": jitter.kind,
                        "standard deviation, ms": jitter.milliseconds,
                        "amplification": jitter.amplification,
                        "network": member.name,
                        "truth": member.role,
                        "verdicts": len(found),
                        "right": sum(row["right"] for row in found),
                        "wrong": sum(row["wrong"] for row in found),
                        "requests, median": int(np.median([row["requests"] for row in found])),
                        "seconds, median": float(np.median([row["seconds"] for row in found])),
                    }
                )
                advance(count)
    return rows


def operator_rows(members: Sequence[Member], bench: Bench) -> list[Row]:
    """Each hostile operator against a stolen copy and an independent, one verdict each."""
    rows = list[Row]()
    chosen = [next(m for m in members if m.role == role) for role in ("stolen", "independent")]
    with progress("hostile operators", len(TROUBLES) * len(chosen)) as advance:
        for name, trouble in TROUBLES.items():
            for member in chosen:
                (found,) = bench.verdicts(member, name, budget=OPERATOR_BUDGET)
                operator = trouble.does.format(amount=trouble.amount)
                rows.append({"operator": operator, "network": member.name, **found})
                advance(1)
    return rows


def remote_page(tables: Mapping[str, Sequence[Row]]) -> str:
    """The tables of `study_remote` as Markdown."""
    parts = [
        "# Verification at an address\n",
        f"Alpha and beta are {ERROR_RATE:g}, the budget is {BUDGET:,} requests. The fingerprint has {SAMPLES} images; "
        f"it was kept away from {len(REFERENCES)} networks that are known to be independent. Everything is *measured*: "
        "real requests from beginning to end, to a server in another process.\n",
        "## Networks behind a path with jitter, measured\n",
        "Verdicts that are neither right nor wrong are `inconclusive`.\n",
        markdown(tables["served"], digits=1),
        "## Hostile and unlucky operators, measured\n",
        f"Budget {OPERATOR_BUDGET:,} requests, {PATIENCE:g} s of patience. *Share of pairs*: in which an image made "
        "late took longer, which is lost where images are altered.\n",
        markdown(_brief(tables["operators"]), digits=2),
    ]
    return "\n".join(parts)


def _brief(rows: Sequence[Row]) -> list[Row]:
    """The rows without the reasons of verdicts that were reached."""
    return [{**row, "why": None if row["right"] or row["wrong"] else row["why"]} for row in rows]


def _make(run: Run) -> list[Path]:
    members = remote_members()
    realise_all([member.network for member in [*members, *remote_references()]], run.store, run.data_dir, run.pool)
    tables = study_remote(members, run.store, run.data_dir)
    files = []
    for name, rows in tables.items():
        files.append(run.out / f"remote-{name}.parquet")
        write_parquet(rows, files[-1])
    page = run.out / "remote.md"
    write_bytes(page, remote_page(tables).encode())
    return [page, *files]


STUDY = Study(
    "remote",
    "What verification at an address costs and how often it errs.",
    lambda preset: [member.network for member in [*remote_members(), *remote_references()]],
    _make,
)
