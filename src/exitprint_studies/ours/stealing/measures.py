"""What is measured of an attack: how like their victim substitutes are, with how many queries; what an owner sees."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score

from exitprint.errors import ExitprintError
from exitprint.fingerprints import Fingerprint, contrast_fingerprint, paper_fingerprint
from exitprint.fingerprints.shares import share_of_pairs
from exitprint.networks import MultiExitNetwork
from exitprint.stealing.agreement import Agreement, agreement, behaviour
from exitprint.suspects import CostModel
from exitprint.training.evaluate import logits_of
from exitprint_studies.metrics import decision_of
from exitprint_studies.ours.stealing.attack import Attack
from exitprint_studies.ours.stealing.declared import (
    ANEW,
    AT_COST,
    CONVENTIONAL,
    EXITS_ALONE,
    LABELS,
    NO_SEARCH,
    NO_STRATEGY,
    OURS,
    SCAN,
    SINGLE,
    TRUE_EXITS,
)
from exitprint_studies.ours.victims import as_words
from exitprint_studies.tables import Row

SAMPLES = 40
"""Of the fingerprints that substitutes are verified with."""


@dataclass(frozen=True)
class Measures:
    """What was measured of the attack on one victim.

    Attributes
    ----------
    rows
        One for each substitute.
    curve
        One for each number of queries.
    scan
        One for each weighting of the losses.
    estimate
        What its runtimes told.
    again
        One for each further victim of its kind, and each of two methods.
    owner
        One for each fingerprint and network that it was verified against.
    """

    rows: list[Row]
    curve: list[Row]
    scan: list[Row]
    estimate: Row
    again: list[Row]
    owner: list[Row]


def measured(attack: Attack) -> Measures:
    """Everything that the attack on one victim gives."""
    victim = attack.robbed.victim
    return Measures(
        rows=rows(attack),
        curve=curve(attack) if victim.shares else [],
        scan=scan(attack) if victim.scanned else [],
        estimate=estimate(attack),
        again=[row for other in victim.others for row in against_each_other(Attack(attack.robbed.beside(other)))],
        owner=owner(attack),
    )


def row(attack: Attack, method: str, network: MultiExitNetwork, queries: int) -> Row:
    """How much this substitute is like the victim."""
    victim = attack.robbed.truth
    names = attack.names if network.num_exits > 1 else np.array([attack.robbed.num_exits - 1])
    here = behaviour(network, attack.robbed.tested.pixels, names)
    found = asdict(agreement(here, victim, attack.robbed.tested.labels.numpy()))
    spent = float(np.interp(here.costs, attack.costs, attack.times).mean() / attack.robbed.shares_of_time.mean() - 1)
    name = attack.robbed.victim.name
    return {"victim": name, "method": method, "queries": queries, **found, "time_difference": spent}


def rows(attack: Attack) -> list[Row]:
    """The victim itself, then every substitute."""
    transfer_set, robbed = attack.estimated, attack.robbed
    itself = asdict(agreement(robbed.truth, robbed.truth, robbed.tested.labels.numpy()))
    made = {
        SINGLE: attack.one_exit(transfer_set),
        CONVENTIONAL: attack.conventional(transfer_set),
        AT_COST: attack.conventional_at_cost(),
        LABELS: attack.label_only(),
        OURS: attack.ours(transfer_set),
        NO_SEARCH: attack.not_searched(),
        NO_STRATEGY: attack.ours(transfer_set, strategy=0.0, damp=False, early=1.0),
        TRUE_EXITS: attack.ours(attack.true),
    }
    same = {"victim": robbed.victim.name, "method": "the victim itself", "queries": 0, **itself, "time_difference": 0.0}
    substitutes = [row(attack, method, network, len(transfer_set)) for method, network in made.items()]
    return [same, *substitutes, exits_alone(attack), *trained_again(attack)]


def trained_again(attack: Attack) -> list[Row]:
    """How the owner's own next training agrees with the victim, as a yardstick; nothing for a third party's."""
    robbed, victim = attack.robbed, attack.robbed.victim
    labels = robbed.tested.labels.numpy()
    others = [asdict(agreement(robbed.beside(other).truth, robbed.truth, labels)) for other in victim.next_trainings]
    if not others:
        return []
    found = {measure: float(np.mean([other[measure] for other in others])) for measure in others[0]}
    return [{"victim": victim.name, "method": ANEW, "queries": None, **found, "time_difference": None}]


def exits_alone(attack: Attack) -> Row:
    """How well this many queries let a network of the substitute's size tell the victim's exits, as a yardstick."""
    told = attack.names[logits_of(attack.classifier_of_exits(), attack.robbed.tested.pixels)[:, -1].argmax(1).numpy()]
    distance = np.abs(told - attack.robbed.truth.exits)
    return {
        "victim": attack.robbed.victim.name,
        "method": EXITS_ALONE,
        "queries": len(attack.estimated),
        **dict.fromkeys([*(field.name for field in fields(Agreement)), "time_difference"]),
        "same_exit": float((distance == 0).mean()),
        "within_one": float((distance <= 1).mean()),
    }


def curve(attack: Attack) -> list[Row]:
    """Ours and the conventional substitute with fewer queries."""
    return [row for share in (*attack.robbed.victim.shares, 1.0) for row in against_each_other(attack, share)]


def against_each_other(attack: Attack, share: float = 1.0) -> list[Row]:
    """Ours and the conventional substitute with this share of the queries."""
    number = round(share * len(attack.estimated))
    part = attack.estimated.at(torch.arange(number))
    return [
        row(attack, OURS, attack.ours(part), number),
        row(attack, CONVENTIONAL, attack.conventional(part), number),
    ]


def scan(attack: Attack) -> list[Row]:
    """Ours with other weights of the losses."""
    transfer_set = attack.estimated
    return [
        row(attack, name, attack.ours(transfer_set, **changes), len(transfer_set)) for name, changes in SCAN.items()
    ]


def estimate(attack: Attack) -> Row:
    """What the victim's measured runtimes told of its exits."""
    inquiry, truth = attack.robbed.inquiry, attack.robbed.true_exits
    return {
        "victim": attack.robbed.victim.name,
        "network": as_words(attack.robbed.victim),
        "exits": attack.robbed.num_exits,
        "found": inquiry.estimate.count,
        "ARI": float(adjusted_rand_score(truth, inquiry.estimate.exits)),
        "queries": len(truth),
        "repeats": inquiry.seconds.shape[1],
        "ended": inquiry.end,
        "substitute": attack.arch.title,
    }


def owner(attack: Attack) -> list[Row]:
    """Does a fingerprint of the victim recognise what was stolen by asking? On the cost model."""
    network, images = attack.robbed.network, attack.robbed.data.test
    made = {
        "paper": paper_fingerprint(network, images, samples=SAMPLES, check=False),
    }
    with suppress(ExitprintError):  # refused where the images are too small for it
        made["contrast"] = contrast_fingerprint(network, images, [network.policy], SAMPLES, check=False)
    suspects = {
        "the victim itself": network,
        CONVENTIONAL: attack.conventional(attack.estimated),
        OURS: attack.ours(attack.estimated),
    }
    return [
        _verdict_row(attack.robbed.victim.name, kind, name, fingerprint, CostModel(suspect))
        for kind, fingerprint in made.items()
        for name, suspect in suspects.items()
    ]


def _verdict_row(victim: str, kind: str, name: str, fingerprint: Fingerprint, suspect: CostModel) -> Row:
    samples, originals = (torch.from_numpy(suspect.ask(x).seconds) for x in (fingerprint.x, fingerprint.benign))
    return {
        "victim": victim,
        "fingerprint": kind,
        "suspect": name,
        "share of pairs": share_of_pairs(fingerprint.kind, samples, originals, fingerprint.late),
        "verdict": decision_of(fingerprint, suspect),
    }
