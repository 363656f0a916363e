"""Which images are chosen, in which order, and which crafted ones are kept."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.fingerprints.choice import choose, least_changed, natural_order, weak_contrast
from exitprint.fingerprints.optimise import Crafted


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


def test_too_little_contrast_by_nature_is_warned_of():
    exits = torch.tensor([[0, 1, 2, 3], [3, 3, 3, 3]])
    warned = weak_contrast(exits, torch.arange(4), torch.tensor([True, True, False, False]))
    assert len(warned) == 1 and "policy 2" in warned[0]
