"""`study panel`: what a judge's panel of nine does to the strongest forgeries, and what it costs on true copies.

The forger's suspects are twenty networks that he never saw. A panel for one of them is drawn from the other nineteen,
so that suspect and panel are exchangeable, as honest ones are. Decided by the product's own `verify` on the cost
model's clock. Where the change is so large that a verifier must bring a reference, the accuser brings one that follows
nothing, which is the best that he can do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exitprint.claims.control import follows, rank_p_value
from exitprint.files import write_bytes
from exitprint.fingerprints import ContrastMethod, Fingerprint, Reference, verify
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.suspects import CostModel
from exitprint.tampering.kinds import tamper
from exitprint_studies.ours.arenas import DIGITS, Arena, of_a_cohort
from exitprint_studies.ours.forgeries import LARGEST, forged
from exitprint_studies.ours.forgers import own_contrast, shrunk
from exitprint_studies.population.declare import Trained
from exitprint_studies.population.jobs import realise_all
from exitprint_studies.study import Preset, Run, Study
from exitprint_studies.tables import Row, markdown, write_parquet

PANEL = 9
PANELS = 1000
"""Panels that are drawn for each suspect."""
STRATEGIES = ("crafted on all networks at hand", "best of 1,000 choices", "large changes on his own network")
BROUGHT = (Reference("one that follows nothing", (0.0,), "other"),)
HONEST = "honest: crafted on his own network"
COPIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("retrain-exits", {}),
    ("finetune", {"epochs": 2}),
    ("prune", {"rate": 0.2}),
    ("quantise", {}),
)
"""What thieves made of the owner's network."""


def rows_of(arena: Arena, run: Run) -> Iterator[Row]:
    """One row for each fingerprint, suspect and policy."""
    for strategy in STRATEGIES:
        whole = forged(arena, strategy, run)
        for largest in (None, *(size for size in LARGEST if size < float(whole.l2.mean()))):
            yield from _of(arena, strategy, shrunk(whole, largest))
    forger = arena.forger
    honest = own_contrast(forger, ContrastMethod().margin_log_odds, len(whole))
    yield from _of(arena, HONEST, honest)
    data = DIGITS.data.load(run.data_dir)
    for kind, parameters in COPIES:
        stolen = tamper(forger.own, data, kind, {**parameters, "rad": None})
        yield _asked(HONEST, honest, kind, "as the owner's", stolen, forger.policies[0], copy=True)


def _of(arena: Arena, name: str, made: Fingerprint) -> Iterator[Row]:
    for suspect, (network, policies) in arena.suspects.items():
        for rule, policy in policies.items():
            yield _asked(name, made, suspect, rule, network, policy)


def _asked(
    name: str,
    made: Fingerprint,
    suspect: str,
    rule: str,
    network: MultiExitNetwork,
    policy: ExitPolicy,
    copy: bool = False,
) -> Row:
    kept, network.policy = network.policy, policy
    verdict = verify(made, CostModel(network), references=BROUGHT)
    network.policy = kept
    return {
        "fingerprint": name,
        "L2": float(made.l2.mean()),
        "change": f"{made.change:.0%}",
        "suspect": suspect,
        "rule": rule,
        "copy": copy,
        "said": verdict.decision,
        "e-value": verdict.e_value,
        "follows": follows(verdict),
    }


@dataclass(frozen=True)
class Panelled:
    """What comes of one suspect with panels of nine: shares of the panels.

    Attributes
    ----------
    unclaimed
        It is derived, and no network of the panel is.
    claimed
        It is derived, and no network of the panel follows the samples: what `audit` decides.
    ranked
        The exact p-value of its rank is the smallest one.
    """

    unclaimed: float
    claimed: float
    ranked: float


def with_panels(suspect: Row, others: Sequence[Row], seed: int) -> Panelled:
    """What comes of a suspect with panels that are drawn from `others`."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(PANELS):
        panel = [others[index] for index in rng.permutation(len(others))[:PANEL]]
        derived = suspect["said"] == "derived"
        unclaimed = derived and all(each["said"] != "derived" for each in panel)
        claimed = derived and not any(each["follows"] for each in panel)
        p_value = rank_p_value(suspect["e-value"], [each["e-value"] for each in panel])
        found.append((unclaimed, claimed, p_value <= 1 / (1 + PANEL)))
    return Panelled(*np.mean(found, axis=0).tolist())


def table(rows: Sequence[Row]) -> list[Row]:
    """For each fingerprint and policy how many suspects are claimed, without a panel and with one of nine."""
    found: list[Row] = []
    for name, size in dict.fromkeys((row["fingerprint"], row["L2"]) for row in rows):
        cell = [row for row in rows if (row["fingerprint"], row["L2"]) == (name, size)]
        independents = [row for row in cell if not row["copy"]]
        for rule in dict.fromkeys(row["rule"] for row in cell):
            asked = [row for row in cell if row["rule"] == rule]
            panelled = []
            for number, row in enumerate(asked):
                rest = [each for each in independents if each["suspect"] != row["suspect"]]
                rest = [each for each in rest if each["rule"] == (rest[0]["rule"] if row["copy"] else rule)]
                panelled.append(with_panels(row, rest, number))
            found.append(
                {
                    "fingerprint": name,
                    "change": cell[0]["change"],
                    "suspects": f"{len(asked)} {'copies' if asked[0]['copy'] else 'independents'}, {rule}",
                    "derived": sum(row["said"] == "derived" for row in asked),
                    "follow": sum(row["follows"] for row in asked),
                    "derived, and none of nine is": sum(each.unclaimed for each in panelled),
                    "derived, and none of nine follows": sum(each.claimed for each in panelled),
                    "share with p ≤ 0.1": float(np.mean([each.ranked for each in panelled])),
                }
            )
    return found


def _networks(preset: Preset) -> list[Trained]:
    return DIGITS.networks()


def _make(run: Run) -> list[Path]:
    realise_all(DIGITS.networks(), run.store, run.data_dir, run.pool)
    rows = list(rows_of(of_a_cohort(DIGITS, run), run))
    page, file = run.out / "panel.md", run.out / "panel.parquet"
    write_parquet(rows, file)
    write_bytes(page, f"# A judge's panel\n\n{markdown(table(rows))}".encode())
    return [page, file]


STUDY = Study("panel", "What a judge's panel does to forgeries, and costs on copies.", _networks, _make)
