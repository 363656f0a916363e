from __future__ import annotations

import numpy as np
import pytest

from exitprint.networks import ExitPolicy
from exitprint.stealing.agreement import Behaviour, agreement, behaviour


def test_by_hand():
    victim = Behaviour(np.array([1, 2, 3, 4]), np.array([0, 1, 2, 2]), np.array([0.2, 0.6, 1.0, 1.0]))
    other = Behaviour(np.array([1, 2, 0, 0]), np.array([0, 0, 0, 2]), np.array([0.1, 0.1, 0.1, 1.1]))
    found = agreement(other, victim, np.array([1, 0, 3, 0]))
    assert (found.accuracy, found.fidelity, found.same_exit, found.within_one) == (0.5, 0.5, 0.5, 0.75)
    assert found.cost == pytest.approx(0.35) and found.cost_difference == pytest.approx(-0.5)
    assert found.exit_distance == pytest.approx(0.5)


def test_a_network_agrees_with_itself(target, digits):
    itself = behaviour(target, digits.test.pixels)
    found = agreement(itself, itself, digits.test.labels.numpy())
    assert (found.fidelity, found.same_exit, found.within_one) == (1, 1, 1)
    assert found.cost_difference == found.exit_distance == 0
    prediction = target.predict(digits.test.x)
    assert (itself.exits == prediction.exits.numpy()).all() and (itself.labels == prediction.labels.numpy()).all()


def test_exits_may_stand_for_others_of_the_victims(target, digits):
    shut = target.copy()
    shut.policy = ExitPolicy(2.0)
    names = np.arange(target.num_exits) + 3
    assert (behaviour(shut, digits.test.pixels[:50], names).exits == target.num_exits - 1 + 3).all()
