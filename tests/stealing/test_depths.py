from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitprint.networks import MultiExitNetwork, architecture, exit_costs
from exitprint.stealing import depths
from exitprint.stealing.depths import costs_at, timed_costs, victim_depths
from exitprint.suspects import CostModel
from exitprint.timing.inquiry import inquire

ARCH = architecture("resnet14", (1, 8, 8), 10, width=4)


@pytest.fixture(scope="module")
def inquiry(target, digits):
    return inquire(CostModel(target), digits.test.x[:200])


@given(
    steps=st.lists(st.floats(0.01, 1), min_size=2, max_size=12),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=12),
    overhead=st.floats(0, 3),
)
def test_a_network_of_the_thiefs_own_kind_is_read_exactly(steps, shares, overhead):
    costs = np.cumsum(steps)
    seconds = overhead + costs
    relative = seconds / seconds[-1]
    assert costs_at(relative, seconds, costs) == pytest.approx(costs / costs[-1])
    told = costs_at(np.sort(shares), seconds, costs)
    assert (np.diff(told) >= 0).all() and told.min() >= 0 and told.max() <= 1


def test_on_a_cost_model_times_are_costs(inquiry, digits, target):
    told = victim_depths(inquiry, ARCH)
    assert len(told) == inquiry.estimate.count > 1 and told[-1] == 1
    used = np.unique(target.predict(digits.test.x[:200]).exits.numpy())
    costs = np.array(exit_costs(target))[used]
    assert told == pytest.approx(costs / costs[-1])


def test_measured_times_are_read_against_a_network_of_ones_own(monkeypatch, inquiry):
    seen = {}

    def timed(arch, images, clock, copies, seed):
        seen.update(arch=arch, copies=copies, clock=clock)
        return np.array([1.0, 2.0, 4.0]), np.array([0.1, 0.5, 1.0])

    monkeypatch.setattr(depths, "timed_costs", timed)
    measured = replace(inquiry, clock="measured", copies=8)
    told = victim_depths(measured, ARCH)
    assert told == pytest.approx(np.interp(inquiry.relative_times, [0, 0.25, 0.5, 1], [0, 0.1, 0.5, 1]))
    assert seen == {"arch": ARCH, "copies": 8, "clock": "measured"}


def test_what_the_path_adds_is_not_the_networks(inquiry):
    centres = inquiry.estimate.centres
    slow = replace(inquiry, floor=7.0, estimate=replace(inquiry.estimate, centres=centres + 7.0))
    assert slow.relative_times == pytest.approx(inquiry.relative_times)
    assert replace(inquiry, floor=1e9).relative_times == pytest.approx(np.ones(len(centres)))


def test_later_exits_of_ones_own_network_take_longer(digits):
    seconds, costs = timed_costs(ARCH, digits.train[:40].x, "measured")
    assert seconds.shape == costs.shape and costs[-1] == 1
    assert seconds.min() > 0 and seconds[-1] > seconds[0]
    assert costs == pytest.approx(exit_costs(MultiExitNetwork.build(ARCH.model_copy(update={"exits": None}))))
