"""T_N by the paper's protocol, on times that are told beforehand."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from time import perf_counter

import numpy as np
import pytest

from behaviour import OverAPath, behaviour, crafted, key
from exitprint.errors import ExitprintError
from exitprint.fingerprints import measure_t_n
from exitprint.fingerprints.score import longest_time, t_n


@pytest.mark.parametrize("kind", ["paper", "contrast"])
def test_t_n_is_that_of_the_late_samples_and_of_their_originals(kind):
    made = crafted(kind, 20)
    seconds = behaviour(made, copy=True)
    suspect = OverAPath(seconds)
    start = perf_counter()
    found = measure_t_n(made, suspect, repeats=3)
    assert 0 < found.seconds <= perf_counter() - start
    samples, benign = (np.array([0.001 + seconds[key(x)] for x in part]) for part in (made.x, made.benign))
    longest, late = longest_time(benign), made.late.numpy()
    assert pytest.approx(t_n(samples[late], longest)) == found.T_N
    assert found.benign_T_N == pytest.approx(t_n(benign[late], longest)) and found.benign_T_N > found.T_N
    assert found.timings["fingerprint"].per_input == pytest.approx(samples)
    assert found.timings["benign"].seconds.shape == (20, 3)
    assert found.requests == 2 * 20 * 3 and len(suspect.asked) == found.requests + 20, "twenty warm it up"
    assert found.clock == "measured"


def test_a_cost_model_is_asked_once():
    made = crafted("paper", 10)
    found = measure_t_n(made, OverAPath(behaviour(made, copy=True), clock="cost-model"))
    assert found.clock == "cost-model" and found.requests == 20 and found.timings["benign"].seconds.shape == (10, 1)


def test_the_paper_times_each_input_ten_times_in_an_order_of_the_seed():
    made = crafted("paper", 4)
    orders = []
    for seed in ({"seed": 0}, {}, {"seed": 1}):
        suspect = OverAPath(behaviour(made, copy=True))
        assert measure_t_n(made, suspect, **seed).timings["fingerprint"].seconds.shape == (4, 10)
        orders.append(suspect.asked)
    assert orders[0] == orders[1] != orders[2]
    with pytest.raises(ExitprintError, match="must be positive"):
        measure_t_n(made, OverAPath({}), repeats=0)
    with pytest.raises(TypeError, match="positional"):
        measure_t_n(made, OverAPath({}), 3)


def test_two_measurements_of_the_same_numbers_are_equal():
    made = crafted("paper", 4)
    found = measure_t_n(made, OverAPath(behaviour(made, copy=True)), repeats=1)
    assert replace(found, timings={}) == found and "timings" not in repr(found)
    with pytest.raises(FrozenInstanceError):
        found.T_N = 0.0
