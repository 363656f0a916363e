"""What samples come to on networks at hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from exitprint.fingerprints.shares import logits_of, measured, named, policy_of, recipe_of, share_of_pairs, shares
from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture

ticks = st.lists(st.integers(0, 5), min_size=2, max_size=12)


@given(ticks, st.randoms(use_true_random=False))
def test_the_share_of_a_contrast_is_that_of_late_against_early(seconds, random):
    late = torch.tensor([random.random() < 0.5 for _ in seconds])
    late[0], late[1] = True, False
    times = torch.tensor(seconds)
    pairs = [(a > b) + 0.5 * (a == b) for a in times[late].tolist() for b in times[~late].tolist()]
    assert share_of_pairs("contrast", times, -times, late) == pytest.approx(sum(pairs) / len(pairs))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_the_share_of_the_papers_kind_is_that_of_samples_against_other_originals(seconds):
    samples, originals = (torch.tensor(part) for part in zip(*seconds, strict=True))
    pairs = [
        (a > b) + 0.5 * (a == b)
        for i, a in enumerate(samples.tolist())
        for j, b in enumerate(originals.tolist())
        if i != j
    ]
    found = share_of_pairs("paper", samples, originals, samples > -1)
    assert found == pytest.approx(sum(pairs) / len(pairs))


@pytest.mark.parametrize(("sample", "share"), [(1, 0.0), (2, 0.5), (3, 1.0)])
def test_a_single_sample_is_compared_with_its_own_original(sample, share):
    one = torch.tensor([2])
    assert share_of_pairs("paper", torch.tensor([sample]), one, one > 0) == share


def network(seed: int, width: int = 4) -> MultiExitNetwork:
    made = MultiExitNetwork.build(architecture("resnet8", (1, 8, 8), 10, width=width), seed)
    made.policy = ExitPolicy(0.12)
    return made


IMAGES = torch.randint(0, 256, (2, 10, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LATE = torch.arange(10) < 5


def test_a_policy_is_that_given_where_its_exits_fit_or_the_networks_own():
    one = network(0)
    exits = one.num_exits
    for given_ in (ExitPolicy(0.7), ExitPolicy([0.7] * (exits - 1))):
        assert policy_of(one, given_) is given_
    assert policy_of(one, ExitPolicy([0.7] * exits)) is one.policy
    assert policy_of(one, lambda network: ExitPolicy(network.num_exits / 10)) == ExitPolicy(exits / 10)


def test_shares_are_those_of_the_exits_under_each_policy():
    one = network(0).train()
    logits = [logits_of(one, part) for part in IMAGES]
    assert not one.training and logits[0].shape == (10, one.num_exits, 10)
    assert torch.allclose(logits[0], one(IMAGES[0].float() / 255), atol=1e-6)
    certain = torch.cat(logits).softmax(-1).amax(-1)[:, :-1]
    policies = [ExitPolicy(float(certain.quantile(at))) for at in (0.6, 0.9)]
    for kind in ("contrast", "paper"):
        found = shares(one, policies, kind, *IMAGES, LATE)
        wanted = [share_of_pairs(kind, *(policy.exits(part) for part in logits), LATE) for policy in policies]
        assert found == tuple(wanted)
    assert len(set(shares(one, policies, "paper", *IMAGES, LATE))) == 2, "the policies differ on these images"


def test_references_are_named_and_measured():
    a, b = network(1), network(2)
    assert named({"x": a}) == {"x": a} and list(named([a, b])) == ["reference 1", "reference 2"]
    made = SimpleNamespace(kind="contrast", samples=IMAGES[0], originals=IMAGES[1], late=LATE, through=())
    found = measured(made, {"a": a, "b": b}, network(0), [ExitPolicy(0.12)])
    assert [one.name for one in found] == ["a", "b"] and [one.recipe for one in found] == ["other", "other"]
    assert found[1].share == shares(b, [ExitPolicy(0.12)], "contrast", *IMAGES, LATE)


def test_the_same_recipe_is_all_but_the_seed():
    one, other = network(0), network(1)
    assert recipe_of(one, other) == "other", "nothing is known of how they were trained"
    for made, seed in ((one, 0), (other, 1)):
        made.history = [{"step": "trained", "epochs": 5, "seed": seed}]
    assert recipe_of(one, other) == "same"
    other.history = [{"step": "trained", "epochs": 6, "seed": 1}]
    assert recipe_of(one, other) == "other"
    for made in (one, other):
        made.history = [{"step": "wrapped", "seed": 1}]
    assert recipe_of(one, other) == "other"
    wider = network(2, width=6)
    for made in (one, wider):
        made.history = [{"step": "trained", "seed": 1}]
    assert recipe_of(one, wider) == "other"
