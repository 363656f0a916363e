"""What makes an image late or early enough: goals beyond thresholds, and within what an exit can say."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.fingerprints.goals import contrast_goals, log_odds
from exitprint.networks import ExitPolicy
from exitprint.networks.policy import patience_threshold

POLICIES = [ExitPolicy(0.98), ExitPolicy(0.9)]


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


def test_patience_asks_no_exit_for_a_longer_run_than_it_can_have():
    exits = torch.tensor([[2, 2, 2, 3, 3]])
    goals = contrast_goals([ExitPolicy(patience_threshold(2), "patience")], exits, 5, 10)
    aimed = goals.above > -torch.inf
    assert aimed.tolist() == [False, False, True, True, True]
    longest = 1 - 1 / torch.arange(1, 6)
    assert (torch.sigmoid(goals.above) < longest)[aimed].all()
