"""What a contrast fingerprint promises: whom it chooses, what it reaches, and what its verdict says."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

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
from exitprint.fingerprints import optimise as optimise_module
from exitprint.fingerprints.contrast import (
    choose,
    contrast_goals,
    least_changed,
    log_odds,
    natural_order,
    share_of_distance,
    usable_policies,
    weak_contrast,
)
from exitprint.fingerprints.optimise import Crafted, StepsOfLength
from exitprint.fingerprints.shares import shares
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.networks.policy import patience_threshold
from exitprint.suspects import CostModel
from exitprint.tampering import prune, retrain_exits

POLICIES = [ExitPolicy(0.98), ExitPolicy(0.9)]


@pytest.fixture(scope="module")
def made(target, digits):
    return contrast_fingerprint(target, digits.test, POLICIES, samples=100, seed=3)


@pytest.fixture(scope="module")
def kept_away(target, trained, digits):
    """The same, with two networks known to be independent."""
    return contrast_fingerprint(target, digits.test, POLICIES, 100, 3, references=[trained(3), trained(4)])


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
    tried_last = ContrastMethod(**made.record["method"])
    again = contrast_fingerprint(target, digits.test, POLICIES, 100, 3, tried_last)
    save_fingerprint(made, tmp_path / "one")
    save_fingerprint(again, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = load_fingerprint(tmp_path / "one")
    assert read.kind == "contrast" and torch.equal(read.late, made.late)
    assert read.pool == len(digits.test) and torch.equal(read.answers, made.answers)


def test_copies_are_never_independent_and_independents_never_derived(target, trained, digits, kept_away):
    known = {"three": CostModel(trained(3)), "four": CostModel(trained(4))}
    for copy in (target, retrain_exits(target, digits, rad=None, seed=5), prune(target, digits, rate=0.2, rad=None)):
        verdict = verify(kept_away, CostModel(copy), references=known)
        assert verdict.decision == ("derived" if copy is target else verdict.decision) != "independent"
        assert verdict.share > 0.85 and verdict.nature > 0.9
    for seed in (1, 2):
        assert verify(kept_away, CostModel(trained(seed)), references=known).decision != "derived"


def test_a_change_that_independents_would_follow_is_refused(target, digits):
    with pytest.raises(ExitprintError, match="use --kind paper"):
        contrast_fingerprint(target, digits.test, [ExitPolicy(0.95), ExitPolicy(0.35)], samples=10)


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


def test_in_every_other_step_one_reference_is_asked_in_turn_about_what_is_not_done():
    arch = architecture("resnet8", (1, 8, 8), 10, width=4)
    references = [MultiExitNetwork.build(arch, seed).eval() for seed in (0, 1)]
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    pull = contrast_module.Reluctance(
        references, x, torch.arange(6) < 3, contrast_module.Goals(x, x, "confidence"), weight=2.0
    )
    asked = []
    for number, reference in enumerate(references):
        reference.register_forward_pre_hook(lambda _, given, number=number: asked.append((number, len(given[0]))))
    left = {0: 6, 1: 6, 2: 5, 3: 4, 4: 4, 5: 2, 6: 2}
    pulls = [pull(x[:n] + 0.05, torch.arange(n), step) for step, n in left.items()]
    assert asked == [(0, 6), (1, 4), (0, 2)]
    assert [len(each) for each in pulls] == list(left.values())
    assert pulls[0].abs().sum() == 0 and pulls[1].abs().sum() > 0
    assert torch.equal(pulls[2], pulls[1][:5])


def test_too_small_a_pool_is_refused_and_a_small_one_warned_of(target, digits, monkeypatch):
    with pytest.raises(ExitprintError, match="needs a pool of at least 300 images"):
        contrast_fingerprint(target, digits.test[:100], POLICIES, 60)

    def optimise(network, variable, *rest, **more):
        changed = eight_bit(variable.images())
        changed[:, 0, 0, 0] ^= 1
        return Crafted(changed, torch.ones(len(changed)).bool(), torch.zeros(len(changed)).long(), 0)

    monkeypatch.setattr(contrast_module, "optimise", optimise)
    for images, said in ((149, True), (150, False)):
        made = contrast_fingerprint(target, digits.test[:images], POLICIES, 30, check=False)
        assert ("pool of at least 150" in " ".join(made.record["warnings"])) == said


def test_a_step_has_the_length_it_says_and_stays_within_pixel_values():
    x = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    variable = StepsOfLength(x, 0.1)
    variable.step(torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(1)))
    variable.keep(torch.tensor([True, False, True, True]))
    moved = variable.images() - x[[0, 2, 3]]
    assert torch.allclose(moved.flatten(1).norm(dim=1), torch.full((3,), 0.1), atol=1e-5)
    for _ in range(50):
        variable.step(torch.ones(3, 1, 5, 5))
    assert variable.images().min() == 0


def test_an_interrupted_crafting_says_so(target, digits, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(optimise_module, "eight_bit", stop)
    with pytest.raises(Interrupted, match="no fingerprint was written"):
        contrast_fingerprint(target, digits.test, POLICIES, samples=10)


def test_goals_lie_beyond_every_threshold():
    exits = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 3]])
    goals = contrast_goals([ExitPolicy(0.5), ExitPolicy(0.9)], exits, 5, 10, margin=0.5, early_exits=1)
    assert torch.sigmoid(goals.below).max() < 0.5
    aimed = goals.above > -torch.inf
    assert aimed.sum() == 2 and torch.sigmoid(goals.above[aimed].max()) > 0.9


def test_an_early_image_is_certain_where_benign_images_begin_to_leave_and_nowhere_else():
    exits = torch.tensor([[2, 2, 2, 3, 4, 5, 5, 5]])
    goals = contrast_goals([ExitPolicy(0.5)], exits, 5, 10, margin=0.0, early_exits=2)
    assert goals.above.tolist() == [-torch.inf, -torch.inf, 0.0, 0.0, -torch.inf]


@settings(max_examples=50)
@given(st.floats(0.12, 0.99), st.floats(0, 2), st.integers(2, 100))
def test_a_late_goal_is_never_below_chance(T_c, margin, classes):
    goals = contrast_goals([ExitPolicy(T_c)], torch.zeros(1, 4).long(), 3, classes, margin)
    if T_c > 1 / classes + 1e-3:
        assert (torch.sigmoid(goals.below) >= 1 / classes - 1e-3).all()


def test_met_is_a_distance_of_nothing(target, digits):
    with torch.no_grad():
        logits = target(digits.test[:50].x)
    exits = torch.stack([policy.exits(logits) for policy in POLICIES])
    goals = contrast_goals(POLICIES, exits, target.num_exits - 1, 10)
    late = torch.arange(50) < 25
    assert torch.equal(goals.met(logits, late), goals.distance(logits, late) == 0)
    assert log_odds(logits, "confidence").shape == (50, target.num_exits - 1)


@settings(max_examples=50)
@given(st.integers(2, 60), st.floats(0, 1), st.integers(0, 5))
def test_choice_takes_each_image_once_and_halves_from_their_ends(samples, share, seed):
    order = torch.randperm(120, generator=torch.Generator().manual_seed(9))
    chosen, late = choose(order, samples, share, seed)
    assert len(set(chosen.tolist())) == samples and late.sum() == samples - samples // 2
    rank = order.argsort()
    assert rank[chosen[late]].max() < rank[chosen[~late]].min()


def test_natural_order_is_by_exit_then_by_certainty():
    certainty = torch.tensor([[0.9, 0.9, 1], [0.2, 0.3, 1], [0.8, 0.9, 1], [0.1, 0.9, 1]])
    exits = torch.tensor([[0, 2, 0, 1]])
    assert natural_order(certainty, exits).tolist() == [0, 2, 3, 1]


def test_the_least_changed_that_reached_their_goal_are_kept():
    originals = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    samples = originals.clone()
    samples[:, 0, 0, 0] = torch.tensor([9, 1, 5, 7, 2, 3], dtype=torch.uint8)
    reached = torch.tensor([True, False, True, True, True, True])
    crafted = Crafted(samples, reached, torch.zeros(6).long(), 0)
    late = torch.arange(6) < 3
    assert least_changed(crafted, originals, late, 4).tolist() == [0, 2, 4, 5]
    samples[4] = originals[4]
    assert least_changed(crafted, originals, late, 6).tolist() == [0, 1, 2, 3, 5]


@pytest.mark.parametrize(("unchanged", "samples"), [(30, 30), (36, 24)])
def test_samples_that_are_not_changed_are_left_out_and_counted(target, digits, monkeypatch, unchanged, samples):
    """Of 2 × 30 images the first `unchanged` of each half are as they were."""

    def optimise(network, variable, *rest, **more):
        pixels = eight_bit(variable.images())
        changed = torch.arange(60) % 30 >= unchanged // 2
        pixels[changed, 0, 0, 0] ^= 1
        return Crafted(pixels, torch.ones(60).bool(), torch.zeros(60).long(), 60)

    monkeypatch.setattr(contrast_module, "optimise", optimise)
    made = contrast_fingerprint(target, digits.test, POLICIES, 30, 3, check=False)
    assert (made.l2 > 0).all() and len(made) == samples and int(made.late.sum()) == samples // 2
    said = f"{30 - samples} of 30 samples left out"
    assert (said in " ".join(made.record["warnings"])) == (samples < 30)


def test_without_a_changed_half_there_is_no_contrast(target, digits, monkeypatch):
    unchanged = partial(Crafted, reached=torch.ones(60).bool(), steps=torch.zeros(60).long(), passes=60)
    monkeypatch.setattr(
        contrast_module, "optimise", lambda _, variable, *__, **___: unchanged(eight_bit(variable.images()))
    )
    with pytest.raises(ExitprintError, match="there is no contrast"):
        contrast_fingerprint(target, digits.test, POLICIES, 30, 3)


def test_patience_asks_no_exit_for_a_longer_run_than_it_can_have():
    exits = torch.tensor([[2, 2, 2, 3, 3]])
    goals = contrast_goals([ExitPolicy(patience_threshold(2), "patience")], exits, 5, 10)
    aimed = goals.above > -torch.inf
    assert aimed.tolist() == [False, False, True, True, True]
    longest = 1 - 1 / torch.arange(1, 6)
    assert (torch.sigmoid(goals.above) < longest)[aimed].all()


def test_policies_under_which_all_leave_at_once_are_left_out_with_a_warning(target):
    kept, warnings = usable_policies(target, [ExitPolicy(0.9), ExitPolicy(0.05), ExitPolicy(2.0)])
    assert kept == [ExitPolicy(0.9)] and len(warnings) == 2
    with pytest.raises(ExitprintError, match="same exit"):
        usable_policies(target, [ExitPolicy(0.05)])
    with pytest.raises(ExitprintError, match="one criterion"):
        usable_policies(target, [ExitPolicy(0.9), ExitPolicy(0.9, "entropy")])


def test_too_little_contrast_by_nature_is_warned_of():
    exits = torch.tensor([[0, 1, 2, 3], [3, 3, 3, 3]])
    warned = weak_contrast(exits, torch.arange(4), torch.tensor([True, True, False, False]))
    assert len(warned) == 1 and "policy 2" in warned[0]


def test_too_few_images_are_refused(target, digits):
    with pytest.raises(ExitprintError, match="cannot be crafted"):
        contrast_fingerprint(target, digits.test[:5], POLICIES, samples=10)
