from __future__ import annotations

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


def leaving(confidences, thresholds):
    """Probability of leaving at each exit, an exit's own being the odds of its confidence over those of T."""
    odds = confidences[:, :-1] / (1 - confidences[:, :-1]) / (thresholds / (1 - thresholds))
    here = torch.cat([odds / (1 + odds), torch.ones(len(confidences), 1)], 1)
    stays = torch.cat([torch.ones(len(confidences), 1), (1 - here).cumprod(1)[:, :-1]], 1)
    return here * stays


@given(seed=st.integers(0, 1000))
def test_without_margin_the_strategy_loss_is_the_likelihood_of_the_victims_exits(seed):
    g = torch.Generator().manual_seed(seed)
    thresholds, confidences = 0.2 + 0.7 * torch.rand(3, generator=g), 0.1 + 0.8 * torch.rand(20, 4, generator=g)
    left_at = torch.randint(4, (20,), generator=g)
    likely = leaving(confidences, thresholds)
    assert torch.allclose(likely.sum(1), torch.ones(()), atol=1e-5)
    expected = -likely.gather(1, left_at[:, None]).log().mean()
    assert torch.isclose(strategy_loss(confidences, thresholds, left_at, margin=0.0), expected, rtol=1e-4)


def test_a_margin_asks_for_more():
    thresholds, left_at = torch.tensor([0.7, 0.8]), torch.tensor([1])
    confidences = torch.tensor([[0.5, 0.9, 0.2]])
    low, high = (strategy_loss(confidences, thresholds, left_at, margin) for margin in (0.0, 1.0))
    assert 0 < low < high
    clearer = torch.tensor([[0.3, 0.97, 0.2]])
    assert strategy_loss(clearer, thresholds, left_at, 1.0) < high


def test_the_strategy_loss_teaches_at_the_victims_exit_and_before_it_only():
    confidences = torch.full((1, 4), 0.6, requires_grad=True)
    strategy_loss(confidences, torch.tensor([0.7, 0.7, 0.7]), torch.tensor([1]), 0.2).backward()
    assert confidences.grad is not None
    first, second, *others = confidences.grad[0].tolist()
    assert first > 0 > second and others == [0.0, 0.0]


def test_confidences_of_one_and_thresholds_near_it_are_finite():
    confidences = torch.tensor([[1.0, 0.0, 0.5]], requires_grad=True)
    loss = strategy_loss(confidences, torch.tensor([1.0, 0.999]), torch.tensor([2]), 0.2)
    loss.backward()
    assert loss.isfinite() and confidences.grad is not None and confidences.grad.isfinite().all()
