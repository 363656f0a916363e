"""A coarse clock is not taken for a perfect one: ticks are no exits, and exits that are ticks apart are still found."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from exitprint.timing.exits import METHODS, estimate_exits
from exitprint.timing.exits.ticks import tick_of
from exitprint.timing.leak import countermeasures

TICKS = [0.001, 0.0156]
"""Only rounding differs between them: what is drawn is drawn in ticks."""
COSTS = np.array([0.0, 7.3, 13.1, 22.7, 28.4])
"""Of five exits, in ticks."""


def read_off(seconds, tick):
    """What a clock says that ticks."""
    return np.round(seconds / tick) * tick


def drawn(noise, repeats, inputs=600, costs=(0.0,), seed=0):
    """Runtimes in ticks, shape (inputs, repeats), and the exit of each input."""
    rng = np.random.default_rng(seed)
    left_at = rng.integers(len(costs), size=inputs)
    return 20 + np.array(costs)[left_at, None] + noise * rng.standard_normal((inputs, repeats)), left_at


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tick", TICKS)
def test_two_thousand_normal_times_have_no_exits(tick, method):
    seconds = np.random.default_rng(0).normal(0.1, 3 * tick, 2000)
    assert estimate_exits(read_off(seconds, tick), method).count == 1


@pytest.mark.parametrize("repeats", [1, 4])
@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("tick", TICKS)
def test_a_suspect_that_is_quieter_than_the_clock_has_no_exits(tick, noise, repeats):
    seconds, _ = drawn(noise, repeats)
    assert estimate_exits(read_off(seconds * tick, tick)).count == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("tick", TICKS)
def test_times_that_repeat_exactly_are_not_exact(tick, method):
    once, _ = drawn(2.0, 1)
    seconds = read_off(once * tick, tick).repeat(5, axis=1)
    assert np.ptp(seconds, axis=1).max() == 0 and estimate_exits(seconds, method).count == 1


@pytest.mark.parametrize("repeats", [1, 6])
@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("tick", TICKS)
def test_exits_that_are_ticks_apart_are_found(tick, noise, repeats):
    seconds, left_at = drawn(noise, repeats, costs=COSTS)
    estimate = estimate_exits(read_off(seconds * tick, tick))
    assert estimate.count == 5 and adjusted_rand_score(left_at, estimate.exits) > 0.97


@pytest.mark.parametrize("tick", TICKS)
def test_many_noisy_repeats_are_as_good_as_a_finer_clock(tick):
    seconds, left_at = drawn(0.7, 48, costs=(0.0, 1.3, 2.7))
    estimate = estimate_exits(read_off(seconds * tick, tick))
    assert estimate.count == 3 and adjusted_rand_score(left_at, estimate.exits) > 0.97


@pytest.mark.parametrize("repeats", [1, 4])
@pytest.mark.parametrize("noise", [0.5, 3.0])
@pytest.mark.parametrize("tick", TICKS)
def test_the_tick_is_estimated(tick, noise, repeats):
    seconds, _ = drawn(noise, repeats, costs=COSTS)
    assert tick_of(read_off(seconds * tick, tick)) == pytest.approx(tick, rel=1e-6)
    interrupted = read_off(seconds * tick, tick)
    interrupted[7, 0] += 0.3217 * tick
    assert tick_of(interrupted) == pytest.approx(tick, rel=1e-6)
    assert tick_of(seconds) == 0


@pytest.mark.parametrize("tick", TICKS)
def test_a_clock_that_is_said_to_be_exact_is_taken_at_its_word(tick):
    seconds, left_at = drawn(0.0, 1, costs=(0.0, 1.0, 2.0, 3.0))
    assert (estimate_exits(seconds * tick, exact=True).exits == left_at).all()
    assert estimate_exits(seconds * tick).count < 4


@pytest.mark.parametrize("tick", TICKS)
def test_a_countermeasure_of_coarse_times_is_not_flattered(tick):
    """Who knows that the times are on a grid reads it off exactly."""
    seconds, left_at = drawn(0.05, 4, costs=(0.0, 10.0, 20.0, 30.0))
    grids = [row for row in countermeasures(seconds * tick, left_at) if "times only" in row.name]
    assert grids and all(row.leak.bits > 0.9 for row in grids)
