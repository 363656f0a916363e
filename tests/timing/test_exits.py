from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from exitprint.errors import ExitprintError
from exitprint.timing.exits import METHODS, estimate_exits
from exitprint.timing.exits.repeats import condense
from exitprint.timing.exits.simulated import Clock


def draw(clock, inputs=2000, repeats=1, seed=0):
    return clock.draw(inputs, repeats, np.random.default_rng(seed))


@pytest.mark.parametrize("number", [10, 28])
@pytest.mark.parametrize("populations", ["uniform", "geometric", "dirichlet"])
def test_exits_ten_noise_widths_apart_are_all_found(number, populations):
    seconds, left_at = draw(Clock(number, 10, populations, uneven=0.3))
    estimate = estimate_exits(seconds)
    used = np.bincount(left_at)
    assert (used >= 3).sum() <= estimate.count <= (used >= 1).sum()
    assert adjusted_rand_score(left_at, estimate.exits) >= 0.99


@pytest.mark.parametrize("populations", ["uniform", "geometric", "dirichlet"])
def test_repeats_find_exits_five_noise_widths_apart(populations):
    seconds, left_at = draw(Clock(10, 5, populations, uneven=0.3), repeats=5)
    estimate = estimate_exits(seconds)
    assert abs(estimate.count - (np.bincount(left_at) >= 3).sum()) <= 1
    assert adjusted_rand_score(left_at, estimate.exits) >= 0.95


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_clear_exits(method):
    seconds, left_at = draw(Clock(6, 12), inputs=600)
    estimate = estimate_exits(seconds, method)
    assert estimate.count == 6 and estimate.method == method
    assert adjusted_rand_score(left_at, estimate.exits) >= 0.99
    assert sum(estimate.count_probabilities.values()) == pytest.approx(1)
    assert estimate.certainty == max(estimate.count_probabilities.values())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("repeats", [1, 4])
def test_a_suspect_whose_time_does_not_depend_on_the_input_has_one_exit(method, repeats):
    seconds, _ = draw(Clock(1, 10), inputs=500, repeats=repeats)
    estimate = estimate_exits(seconds, method)
    assert estimate.count == 1 and not estimate.depends_on_input
    assert estimate.boundaries.shape == (0,) and estimate.relative_depths.tolist() == [1.0]


def test_noise_of_two_levels_is_no_exit_when_it_does_not_come_back():
    rng = np.random.default_rng(0)
    slow = rng.random((600, 2)) < 0.5
    seconds = 1 + slow + 0.02 * rng.standard_normal(slow.shape)
    assert estimate_exits(seconds[:, :1]).count == 2
    assert estimate_exits(seconds).count == 1


def test_a_clock_without_noise_gives_its_values():
    rng = np.random.default_rng(0)
    costs = np.array([1.0, 2.5, 3.0, 7.0])
    left_at = rng.integers(4, size=200)
    estimate = estimate_exits(costs[left_at], exact=True)
    assert (estimate.exits == left_at).all()
    assert estimate.centres == pytest.approx(costs)
    assert estimate.boundaries == pytest.approx([1.75, 2.75, 5.0])
    assert estimate_exits(np.full(50, 0.25)).count == 1


def test_ticks_of_a_coarse_clock_are_no_exits():
    seconds, left_at = draw(Clock(5, 10), inputs=1000, repeats=3)
    estimate = estimate_exits(np.round(seconds, 1))
    assert estimate.count == 5
    assert adjusted_rand_score(left_at, estimate.exits) >= 0.99


def test_interrupted_runs_are_no_exits_and_not_trusted():
    seconds, _ = draw(Clock(6, 10), inputs=1000)
    interrupted = np.arange(5) * 200
    seconds[interrupted] += np.linspace(20, 90, 5)[:, None]
    estimate = estimate_exits(seconds)
    assert estimate.count == 6
    assert (estimate.probabilities[interrupted] < 0.5).all()


def test_noise_may_be_skewed_and_grow_with_depth():
    rng = np.random.default_rng(0)
    left_at = rng.integers(6, size=1500)
    seconds = left_at + (0.03 + 0.01 * left_at) * (rng.standard_normal(1500) + rng.exponential(2, 1500))
    estimate = estimate_exits(seconds)
    assert estimate.count == 6
    assert adjusted_rand_score(left_at, estimate.exits) >= 0.97


def test_probabilities_fall_towards_the_boundaries():
    seconds, _ = draw(Clock(3, 4), inputs=1000)
    estimate = estimate_exits(seconds[:, 0])
    distance = np.abs(seconds - estimate.boundaries).min(1)
    assert estimate.probabilities[distance < 0.05].mean() < 0.7
    assert estimate.probabilities[distance > 0.3].min() > 0.9


def test_relative_depths_are_fractions_of_the_deepest():
    rng = np.random.default_rng(0)
    costs = np.array([1.0, 2.0, 3.0, 5.0])
    seconds = 20 + 3 * (costs[rng.integers(4, size=800)] + 0.05 * rng.standard_normal(800))
    estimate = estimate_exits(seconds)
    assert estimate.relative_depths == pytest.approx([0.2, 0.4, 0.6, 1.0], abs=0.01)
    assert estimate.centres == pytest.approx(20 + 3 * costs, abs=0.05)


def test_few_inputs_are_enough_for_few_exits():
    seconds, left_at = draw(Clock(3, 10), inputs=40)
    assert adjusted_rand_score(left_at, estimate_exits(seconds).exits) >= 0.99


AFFINE, _ = draw(Clock(5, 8, "geometric", uneven=0.3), inputs=250, repeats=2, seed=3)


@settings(max_examples=12, deadline=None)
@given(scale=st.floats(1e-6, 1e4), shift=st.floats(-100, 100), method=st.sampled_from(METHODS))
def test_neither_the_unit_nor_an_offset_changes_the_answer(scale, shift, method):
    before, after = estimate_exits(AFFINE, method), estimate_exits(scale * (AFFINE + shift), method)
    assert (before.exits == after.exits).all()
    assert before.relative_depths == pytest.approx(after.relative_depths, abs=1e-4)
    assert scale * (before.boundaries + shift) == pytest.approx(after.boundaries, rel=1e-4)
    assert before.count_probabilities == pytest.approx(after.count_probabilities, abs=1e-2)


@given(st.permutations(range(60)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_the_inputs_changes_nothing(order):
    seconds, _ = draw(Clock(3, 10), inputs=60)
    assert (estimate_exits(seconds).exits[order] == estimate_exits(seconds[order]).exits).all()


def test_repeats_are_condensed_to_what_is_quietest():
    rng = np.random.default_rng(0)
    left_at = rng.integers(4, size=500)[:, None]
    symmetric = left_at + 0.1 * rng.standard_normal((500, 8))
    delayed = left_at + 0.01 * rng.standard_normal((500, 8)) + rng.exponential(0.3, (500, 8))
    assert (condense(symmetric) == symmetric.mean(1)).all()
    assert (condense(delayed) == delayed.min(1)).all()


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (np.arange(5.0), "too few"),
        (np.append(np.arange(30.0), np.nan), "not finite"),
        (np.ones((30, 2, 2)), "shape"),
        (np.ones((30, 0)), "shape"),
    ],
)
def test_bad_runtimes_are_refused(seconds, says):
    with pytest.raises(ExitprintError, match=says):
        estimate_exits(seconds)


def test_an_unknown_method_is_refused():
    with pytest.raises(ExitprintError, match="blocks, kde, mixture"):
        estimate_exits(np.arange(30.0), "histogram")


def test_without_its_extra_blocks_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "astropy.stats", None)
    with pytest.raises(ExitprintError, match=r"exitprint\[stealing\]"):
        estimate_exits(draw(Clock(2, 10), inputs=50)[0])
