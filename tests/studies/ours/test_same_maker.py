"""Fingerprints composed of a bank are those that crafting gives, and the study's rows and tables."""

from __future__ import annotations

import pytest
import torch

from exitprint.fingerprints import Method, contrast_fingerprint
from exitprint.fingerprints.contrast import natural_order
from exitprint.fingerprints.shares import logits_of
from exitprint.networks import ExitPolicy
from exitprint_studies.ours import same_maker as study
from exitprint_studies.ours.banks import Bank, Left, Replayed, composed
from exitprint_studies.ours.makers import of_the_maker


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
    whole = contrast_fingerprint(target, images, [policy], 80, method=Method(candidates=1, steps=30))
    direct = contrast_fingerprint(target, images, [policy], 40, method=Method(steps=30))
    logits = logits_of(target, images.pixels)
    places = natural_order(policy.certainty(logits), policy.exits(logits)[None]).argsort()[whole.chosen]
    chosen = composed(whole.late, places, whole.l2, whole.reached, pool=80, samples=40, seed=0)
    assert sorted(whole.chosen[chosen].tolist()) == sorted(direct.chosen.tolist())
