"""What forgers do, on networks on digits, and the study's table by hand."""

from __future__ import annotations

import pytest
import torch

from exitprint.errors import ExitprintError
from exitprint.fingerprints.shares import logits_of, share_of_pairs
from exitprint.fingerprints.threshold import CHANGE_ON_OWNERS_WORD
from exitprint.training import leaving_policy
from exitprint_studies.ours import arenas, forgers
from exitprint_studies.ours import forgeries as study
from exitprint_studies.ours.banks import seconds_of
from exitprint_studies.ours.forgers import POOL, STRATEGIES, Forger, nothing_changed, shrunk
from exitprint_studies.studies import study_named

NO_REFERENCES = {"reference": None, "said with references": None}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(forgers, "SAMPLES", 40)
    monkeypatch.setattr(forgers, "STEPS", 20)


@pytest.fixture(scope="module")
def forger(trained, digits):
    networks = [trained(seed) for seed in (0, 1, 3)]
    policies = [leaving_policy(network, digits.calibration, 0.4) for network in networks]
    return Forger(networks[0], networks[1:], policies, digits.test)


def share(network, policy, made, pixels):
    exits = policy.exits(logits_of(network, pixels))
    return share_of_pairs("contrast", exits, exits, made.late)


def test_swapped_halves_are_late_by_nature(forger):
    made = nothing_changed(forger)
    assert made.pool == POOL and float(made.l2.max()) < 0.01
    assert share(forger.at_hand[0], forger.policies[1], made, made.originals) > 0.8


def test_what_is_crafted_on_networks_at_hand_moves_them(forger):
    made = STRATEGIES["crafted on all networks at hand"](forger)
    for network, policy in zip(forger.at_hand, forger.policies[1:], strict=True):
        assert share(network, policy, made, made.samples) > 0.9 > 0.3 > share(network, policy, made, made.originals)


def test_a_forgery_is_made_small_enough_to_pass(forger):
    whole = STRATEGIES["large changes on his own network"](forger)
    made, small = shrunk(whole), shrunk(whole, 0.5)
    made.check()
    assert float(small.l2.mean()) == pytest.approx(0.5, abs=0.05)


def test_what_never_passes_is_refused(forger):
    whole = nothing_changed(forger)
    torch.manual_seed(0)
    with pytest.raises(ExitprintError, match="twice"):
        shrunk(forger.file(whole.chosen[:1].repeat(4), torch.tensor([True, True, False, False]), whole.samples[:4]))


def test_the_table_counts_claims_and_refusals():
    about = {"images": "a", "strategy": "s", "largest L2": None, "L2": 0.5, "change": 0.3, "suspect": "x", "rule": "r"}
    row = about | {"reference": 0.4, "said with references": "inconclusive"}
    rows = [
        row | {"share": 0.9, "nature": 0.1, "said": "derived"},
        row | {"share": 0.7, "nature": 0.2, "said": "inconclusive", "said with references": "refused: a reference"},
        row | {"largest L2": 0.1, "share": None, "nature": None, "said": "refused: too large"} | {"reference": None},
        about | {"strategy": "t", "share": 0.1, "nature": 0.1, "said": "independent"} | NO_REFERENCES,
    ]
    first, second, third = study.table(rows)
    assert (first["derived"], first["largest"], first["suspects × policies"]) == (1, 0.9, 2)
    assert (first["derived with them"], first["refused with them"]) == (0, 1)
    assert (second["derived"], second["refused"], second["suspects × policies"]) == (0, 1, 0)
    assert (third["derived"], third["derived with them"]) == (0, None)


def test_what_needs_no_references_is_tried(forger):
    whole = STRATEGIES["large changes on his own network"](forger)
    smallest = min(size for size in study.sizes(whole) if size is not None)
    assert shrunk(whole, smallest).change <= CHANGE_ON_OWNERS_WORD


def test_verifiers_references_come_into_the_verdict(forger):
    made = shrunk(STRATEGIES["crafted on all networks at hand"](forger))
    network, policy = forger.at_hand[0], forger.policies[1]
    seen = study._seen(made, "at hand", network, {"strict": policy})
    exits = policy.exits(logits_of(network, made.samples)), policy.exits(logits_of(network, made.originals))
    row = study._asked(made, exits, seconds_of(network), [seen])
    assert row["reference"] == row["share"] > 0.8 and row["said with references"].startswith("refused: ")
    assert row["said"].startswith("refused: this fingerprint changes")


def test_the_study_is_declared():
    for cohort in (arenas.DIGITS, arenas.FASHION):
        networks = cohort.networks()
        assert len(networks) == 1 + arenas.AT_HAND + arenas.SUSPECTS + arenas.OWN_REFERENCES >= 33
        assert len({spec.seed for spec in networks}) == len(networks)
        assert all(spec.architecture.backbone().stages for spec in networks[: len(cohort.kinds)])
    assert arenas.cohorts(None) == [arenas.DIGITS]
    assert study_named("forgeries").presets == ("laptop",)
