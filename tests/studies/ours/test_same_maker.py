"""Fingerprints composed of a bank are those that crafting gives, and the study's rows and tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from exitprint.fingerprints import ContrastMethod, contrast_fingerprint
from exitprint.fingerprints.choice import natural_order
from exitprint.fingerprints.shares import logits_of
from exitprint.networks import ExitPolicy
from exitprint.suspects import CostModel
from exitprint_studies.ours import banks
from exitprint_studies.ours import same_maker as study
from exitprint_studies.ours.banks import Bank, Replayed, composed, left
from exitprint_studies.ours.makers import Workshop, of_the_maker
from exitprint_studies.ours.same_maker import Suspect
from exitprint_studies.population.store import Store


def bank_of(n=40, pool=100):
    """n crafted images of a pool: the first half late, places as the halves' extremes, changes growing."""
    late = torch.arange(n) < n // 2
    places = torch.cat([torch.arange(n // 2), pool - 1 - torch.arange(n // 2)])
    return late, places, torch.linspace(0.1, 1.0, n), torch.ones(n, dtype=torch.bool)


def test_composed_takes_the_least_changed_of_the_extreme():
    late, places, l2, reached = bank_of()
    chosen = composed(late, places, l2, reached, pool=100, samples=20, seed=0)
    assert late[chosen].sum() == 10
    assert chosen.tolist() == [*range(10), *range(20, 30)]


def test_composed_leaves_out_what_did_not_reach_its_goal():
    late, places, l2, reached = bank_of()
    reached[:5] = False
    chosen = composed(late, places, l2, reached, pool=100, samples=20, seed=0)
    assert chosen[:10].tolist() == list(range(5, 15))


def test_small_fingerprints_come_from_the_extreme_tenth():
    late, places, l2, reached = bank_of(n=100, pool=300)
    drawn = {seed: composed(late, places, l2, reached, pool=300, samples=10, seed=seed) for seed in range(3)}
    assert all(places[chosen[:5]].max() < 30 and places[chosen[5:]].min() >= 270 for chosen in drawn.values())
    assert drawn[0].tolist() != drawn[1].tolist()


@pytest.mark.timeout(60)
def test_a_bank_gives_the_fingerprint_that_crafting_gives(target, digits):
    images = digits.test[:80]
    policy = ExitPolicy(0.9)
    whole = contrast_fingerprint(
        target, images, [policy], 80, method=ContrastMethod(candidates_per_sample=1, steps=30), check=False
    )
    direct = contrast_fingerprint(target, images, [policy], 40, method=ContrastMethod(steps=30), check=False)
    logits = logits_of(target, images.pixels)
    places = natural_order(policy.certainty(logits), policy.exits(logits)[None]).argsort()[whole.chosen]
    chosen = composed(whole.late, places, whole.l2, whole.reached, pool=80, samples=40, seed=0)
    assert sorted(whole.chosen[chosen].tolist()) == sorted(direct.chosen.tolist())


class Digits(Workshop):
    """A workshop whose maker trained three networks on digits."""

    def __init__(self, store, networks, images):
        super().__init__(store, None)
        object.__setattr__(self, "kept", (networks, images))

    def images(self, adopted):
        return self.kept[1]

    def network(self, adopted, theft=None):
        return self.kept[0][adopted.depth]

    def policies(self, adopted, theft=None):
        return [ExitPolicy(T_c) for T_c in (0.95, 0.9, 0.8)], [0.9, 0.9, 0.9]


@pytest.fixture
def workshop(tmp_path, trained, digits, monkeypatch):
    monkeypatch.setattr(banks, "rules", lambda data: [ExitPolicy(0.9)])
    monkeypatch.setattr(study, "SIZES", (40,))
    monkeypatch.setattr(study, "SEEDS", 1)
    networks = {20: trained(0), 32: trained(1), 44: trained(3)}
    return Digits(Store(tmp_path / "store"), networks, digits)


BANK = Bank(of_the_maker(20), 0.2, (of_the_maker(32),), pool=400, images=80)


@pytest.mark.timeout(120)
def test_rows_say_what_verify_says(workshop, monkeypatch):
    monkeypatch.setattr(study, "suspects", lambda bank: [Suspect(of_the_maker(depth), None) for depth in (20, 32, 44)])
    rows = list(study.rows_of(BANK, workshop))
    assert [(row["suspect"], row["truth"]) for row in rows[::3]] == [
        ("ResNet-20", "target"),
        ("ResNet-32", "reference"),
        ("ResNet-44", "stranger"),
    ]
    own, stranger = rows[1], rows[-2]
    assert own["share"] == 1.0 > 0.6 > stranger["share"]
    assert stranger["derived"] == 0 and all(sum(row[what] for what in study.SAID) == 1 for row in rows)
    assert study.strangers_table(rows)[0]["derived"] == 0
    assert study.copies_table(rows)[0]["verdicts"] == 2


def test_a_replayed_suspect_answers_as_the_network_does(workshop):
    crafted, where = BANK.crafted(workshop), left(workshop, BANK, of_the_maker(20))
    chosen = torch.arange(6)
    part = replace(crafted, **{name: getattr(crafted, name)[chosen] for name in study.TENSORS})
    network = workshop.network(of_the_maker(20)).copy()
    network.policy = ExitPolicy(0.9)
    replayed, asked = (
        Replayed.of(part, where.samples[1][chosen], where.originals[1][chosen], where.seconds),
        CostModel(network),
    )
    for x in (part.x, part.benign):
        assert replayed.ask(x).seconds == pytest.approx(asked.ask(x).seconds)


def test_the_makers_banks_are_declared_once():
    declared = study.banks()
    assert len({json.dumps(bank.key, sort_keys=True) for bank in declared}) == len(declared)
    assert {bank.target.depth for bank in declared} == {20, 32, 44}
