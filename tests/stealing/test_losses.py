from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from exitprint.stealing.losses import damped, performance_loss, strategy_loss


def answers(batch, classes, seed, sharpness=5.0):
    return (sharpness * torch.randn(batch, classes, generator=torch.Generator().manual_seed(seed))).softmax(1)


@given(seed=st.integers(0, 1000), ceilings=st.lists(st.floats(-0.2, 1.2), min_size=1, max_size=4))
def test_damped_answers_are_probabilities_below_the_ceiling_of_the_same_ranking(seed, ceilings):
    p = answers(6, 5, seed)
    lower = damped(p, torch.tensor(ceilings))
    assert lower.shape == (6, len(ceilings), 5)
    assert torch.allclose(lower.sum(-1), torch.ones(()), atol=1e-5)
    limit = torch.tensor(ceilings).clamp_min(1 / 5)
    assert (lower.amax(-1) <= limit + 1e-5).all()
    assert ((lower - p[:, None]).abs().amax(-1) < 1e-5)[p.amax(1, keepdim=True) <= limit].all()
    order = p.argsort(1)
    assert (lower.gather(2, order[:, None].expand_as(lower)).diff(dim=-1) >= -1e-6).all()


def test_the_performance_loss_is_zero_only_for_the_victims_answers():
    p = answers(8, 4, 0)
    exact = p.log()[:, None].expand(-1, 3, -1)
    assert performance_loss(exact, p).abs() < 1e-5
    assert performance_loss(exact + torch.randn(exact.shape), p) > 0.01


def test_against_labels_it_is_the_cross_entropy():
    logits, labels = torch.randn(8, 3, 4), torch.arange(8) % 4
    one_hot = F.one_hot(labels, 4).float()
    expected = torch.stack([F.cross_entropy(logits[:, k], labels) for k in range(3)]).mean()
    assert torch.isclose(performance_loss(logits, one_hot), expected)


def test_exits_before_the_victims_count_as_told():
    logits, p, left_at = torch.randn(5, 4, 3), answers(5, 3, 1), torch.tensor([0, 1, 2, 3, 3])
    first = logits.clone()
    for row, exit in enumerate(left_at):
        first[row, :exit] = 9 * torch.randn(int(exit), 3)
    alone = performance_loss(logits, p, left_at, early=0.0)
    assert torch.isclose(performance_loss(first, p, left_at, early=0.0), alone)
    assert not torch.isclose(performance_loss(first, p, left_at, early=0.5), alone)
    assert torch.isclose(performance_loss(logits, p, left_at, early=1.0), performance_loss(logits, p))


def test_damping_asks_for_less_confidence_before_the_victims_exit_only():
    p, left_at = torch.tensor([[0.9, 0.1]]), torch.tensor([1])
    unsure, sure = torch.tensor([[0.6, 0.4]]).log(), p.log()
    logits = torch.stack([unsure, sure, sure], 1)
    assert performance_loss(logits, p, left_at, torch.tensor([0.6, 0.6, 1.0])).abs() < 1e-5
    assert performance_loss(logits, p, left_at) > 0.01


def test_the_strategy_loss_by_hand():
    thresholds = torch.tensor([0.7, 0.8])
    confidences = torch.tensor([[0.9, 0.5, 0.4], [0.9, 0.85, 0.4], [0.75, 0.1, 0.2], [0.1, 0.1, 0.1]])
    left_at = torch.tensor([0, 1, 2, 2])
    each = [strategy_loss(confidences[i : i + 1], thresholds, left_at[i : i + 1], margin=0.1).item() for i in range(4)]
    assert each == pytest.approx([0.0, (0.9 - 0.6) + (0.9 - 0.85), (0.75 - 0.6) / 2, 0.0], abs=1e-6)
    together = strategy_loss(confidences, thresholds, left_at, margin=0.1)
    assert together.item() == pytest.approx(sum(each) / 4)


@given(seed=st.integers(0, 1000), margin=st.floats(0, 0.2))
def test_without_strategy_loss_everybody_leaves_where_the_victim_does(seed, margin):
    g = torch.Generator().manual_seed(seed)
    thresholds = 0.3 + 0.6 * torch.rand(3, generator=g)
    left_at = torch.randint(4, (20,), generator=g)
    exits = torch.arange(3)
    confidences = torch.where(exits < left_at[:, None], thresholds - margin - 1e-3, (thresholds + margin + 1e-3))
    confidences = torch.cat([confidences, torch.rand(20, 1, generator=g)], 1)
    assert strategy_loss(confidences, thresholds, left_at, margin) == 0
    leaves = torch.cat([confidences[:, :-1] >= thresholds, torch.ones(20, 1, dtype=torch.bool)], 1)
    assert (leaves.int().argmax(1) == left_at).all()
