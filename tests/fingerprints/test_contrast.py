"""What a contrast fingerprint promises: whom it chooses, what it reaches, and what its verdict says."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from exitprint.data import eight_bit
from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints import (
    ContrastMethod,
    contrast_fingerprint,
    load_fingerprint,
    save_fingerprint,
    verify,
)
from exitprint.fingerprints import contrast as contrast_module
from exitprint.fingerprints import crafting as crafting_module
from exitprint.fingerprints import optimise as optimise_module
from exitprint.fingerprints.contrast import (
    share_of_distance,
)
from exitprint.fingerprints.optimise import Crafted
from exitprint.fingerprints.shares import shares
from exitprint.networks import ExitPolicy
from exitprint.suspects import CostModel
from exitprint.tampering import prune, retrain_exits

POLICIES = [ExitPolicy(0.98), ExitPolicy(0.9)]
SMALLEST = ContrastMethod(margin_log_odds=0.1)
"""The last that is tried by default; given at once it is crafted for once."""


@pytest.fixture(scope="module")
def made(target, digits):
    return contrast_fingerprint(target, digits.test, POLICIES, 100, 3, SMALLEST)


@pytest.fixture(scope="module")
def kept_away(target, trained, digits):
    """The same, with two networks known to be independent."""
    return contrast_fingerprint(target, digits.test, POLICIES, 100, 3, SMALLEST, [trained(3), trained(4)])


def test_reached_samples_keep_their_order_under_every_policy_after_rounding(target, made):
    assert made.reached.float().mean() >= 0.9
    with torch.no_grad():
        logits = target(made.x)
    late, early = made.late & made.reached, ~made.late & made.reached
    for T_c in np.linspace(0.9, 0.98, 7):
        exits = ExitPolicy(float(T_c)).exits(logits)
        assert (exits[late] == target.num_exits - 1).all()
        assert exits[early].max() < target.num_exits - 1


def test_late_samples_are_early_by_nature_and_the_other_way_round(target, made):
    with torch.no_grad():
        logits = target(made.benign)
    exits = torch.stack([policy.exits(logits) for policy in POLICIES]).double().mean(0)
    assert exits[made.late].max() <= exits[~made.late].min()
    assert made.late.sum() == 50


def test_the_same_seed_gives_the_same_file(target, digits, made, tmp_path):
    again = contrast_fingerprint(target, digits.test, POLICIES, 100, 3, SMALLEST)
    save_fingerprint(made, tmp_path / "one")
    save_fingerprint(again, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = load_fingerprint(tmp_path / "one")
    assert read.kind == "contrast" and torch.equal(read.late, made.late)
    assert read.pool == len(digits.test) and torch.equal(read.answers, made.answers)


def test_candidates_that_are_given_up_would_not_have_been_kept(target, digits, made, monkeypatch):
    craft = contrast_module.craft_contrast
    monkeypatch.setattr(contrast_module, "craft_contrast", lambda *given: craft(*given[:-1]))
    to_the_end = contrast_fingerprint(target, digits.test, POLICIES, 100, 3, SMALLEST)
    assert torch.equal(made.chosen, to_the_end.chosen) and torch.equal(made.samples, to_the_end.samples)
    assert made.record["passes"] < 0.9 * to_the_end.record["passes"]


def test_copies_are_never_independent_and_independents_never_derived(target, trained, digits, kept_away):
    known = {"three": CostModel(trained(3)), "four": CostModel(trained(4))}
    for copy in (target, retrain_exits(target, digits, rad=None, seed=5), prune(target, digits, rate=0.2, rad=None)):
        verdict = verify(kept_away, CostModel(copy), references=known)
        assert verdict.decision == ("derived" if copy is target else verdict.decision) != "independent"
        assert verdict.share > 0.85 and verdict.nature > 0.9
    for seed in (1, 2):
        assert verify(kept_away, CostModel(trained(seed)), references=known).decision != "derived"


def test_a_change_that_independents_would_follow_is_refused(target, digits):
    with pytest.raises(ExitprintError, match="use a smaller --margin"):
        contrast_fingerprint(target, digits.test, [ExitPolicy(0.95), ExitPolicy(0.35)], 10, method=SMALLEST)


@pytest.mark.parametrize(("known", "margins"), [(False, [1.0, 0.5, 0.25, 0.1]), (True, [1.5, 0.5, 0.3, 0.1])])
@pytest.mark.parametrize("enough", [1, 2, 3, 4, 5])
def test_margins_are_tried_until_the_change_is_small_enough(
    target, trained, digits, monkeypatch, known, margins, enough
):
    """Crafting is made up: the changes of the first margins are large."""
    tried = []

    def craft(network, x, late, goals, method, *_):
        tried.append(method.margin_log_odds)
        changed = eight_bit(x)
        changed[:, 0] ^= 1 if len(tried) == enough else 128
        return Crafted(changed, torch.ones(len(x)).bool(), torch.zeros(len(x)).long(), len(x))

    monkeypatch.setattr(contrast_module, "craft_contrast", craft)
    references = [trained(3)] if known else []

    def crafted():
        return contrast_fingerprint(target, digits.test, POLICIES, 20, 3, references=references, check=False)

    if enough > len(margins):
        with pytest.raises(ExitprintError, match="would have to change these images"):
            crafted()
    else:
        assert crafted().record["method"]["margin_log_odds"] == margins[enough - 1]
    assert tried == margins[:enough]


def test_a_margin_out_of_range_is_refused(target, digits):
    with pytest.raises(ExitprintError, match="log-odds"):
        contrast_fingerprint(target, digits.test, POLICIES, 40, method=ContrastMethod(margin_log_odds=-1.0))


def test_networks_known_to_be_independent_follow_the_change_less(target, trained, digits, made):
    method = ContrastMethod(reference_weight=2.0)
    reluctant = contrast_fingerprint(target, digits.test, POLICIES, 100, 3, method, [trained(1)])

    def share(fingerprint, network):
        (found,) = shares(
            network, [network.policy], "contrast", fingerprint.samples, fingerprint.originals, fingerprint.late
        )
        return found

    assert share(reluctant, target) > 0.95
    assert share(reluctant, trained(1)) < share(made, trained(1)) - 0.1
    assert len(reluctant.references) == 1


def test_a_change_that_is_large_for_these_images_is_warned_of(digits, made, kept_away):
    assert "--reference" in made.record["warnings"][-1]
    share = share_of_distance(made.samples, made.originals, digits.test)
    assert share > 0.25
    assert share_of_distance(made.originals, made.originals, digits.test) == 0


def test_each_reference_is_told_with_its_name_its_recipe_and_what_the_samples_come_to(trained, kept_away):
    assert [(each.name, each.recipe) for each in kept_away.references] == [
        ("reference 1", "same"),
        ("reference 2", "same"),
    ]
    again = shares(trained(3), POLICIES, "contrast", kept_away.samples, kept_away.originals, kept_away.late)
    assert kept_away.references[0].share == again and max(again) < 0.5


def test_too_small_a_pool_is_refused_and_a_small_one_warned_of(target, digits, monkeypatch):
    with pytest.raises(ExitprintError, match="needs a pool of at least 300 images"):
        contrast_fingerprint(target, digits.test[:100], POLICIES, 60)

    def optimise(network, variable, *rest, **more):
        changed = eight_bit(variable.images())
        changed[:, 0, 0, 0] ^= 1
        return Crafted(changed, torch.ones(len(changed)).bool(), torch.zeros(len(changed)).long(), 0)

    monkeypatch.setattr(crafting_module, "optimise", optimise)
    for images, said in ((149, True), (150, False)):
        made = contrast_fingerprint(target, digits.test[:images], POLICIES, 30, check=False)
        assert ("pool of at least 150" in " ".join(made.record["warnings"])) == said


def test_an_interrupted_crafting_says_so(target, digits, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(optimise_module, "eight_bit", stop)
    with pytest.raises(Interrupted, match="no fingerprint was written"):
        contrast_fingerprint(target, digits.test, POLICIES, samples=10)


@pytest.mark.parametrize(("unchanged", "samples"), [(30, 30), (36, 24)])
def test_samples_that_are_not_changed_are_left_out_and_counted(target, digits, monkeypatch, unchanged, samples):
    """Of 2 × 30 images the first `unchanged` of each half are as they were."""

    def optimise(network, variable, *rest, **more):
        pixels = eight_bit(variable.images())
        changed = torch.arange(60) % 30 >= unchanged // 2
        pixels[changed, 0, 0, 0] ^= 1
        return Crafted(pixels, torch.ones(60).bool(), torch.zeros(60).long(), 60)

    monkeypatch.setattr(crafting_module, "optimise", optimise)
    made = contrast_fingerprint(target, digits.test, POLICIES, 30, 3, check=False)
    assert (made.l2 > 0).all() and len(made) == samples and int(made.late.sum()) == samples // 2
    said = f"{30 - samples} of 30 samples left out"
    assert (said in " ".join(made.record["warnings"])) == (samples < 30)


def test_without_a_changed_half_there_is_no_contrast(target, digits, monkeypatch):
    unchanged = partial(Crafted, reached=torch.ones(60).bool(), steps=torch.zeros(60).long(), passes=60)
    monkeypatch.setattr(
        crafting_module, "optimise", lambda _, variable, *__, **___: unchanged(eight_bit(variable.images()))
    )
    with pytest.raises(ExitprintError, match="there is no contrast"):
        contrast_fingerprint(target, digits.test, POLICIES, 30, 3)


def test_too_few_images_are_refused(target, digits):
    with pytest.raises(ExitprintError, match="cannot be crafted"):
        contrast_fingerprint(target, digits.test[:5], POLICIES, samples=10)
