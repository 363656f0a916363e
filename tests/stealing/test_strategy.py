from __future__ import annotations

from itertools import product
from time import process_time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.errors import ExitprintError
from exitprint.networks.policy import ExitPolicy
from exitprint.stealing import strategy
from exitprint.stealing.strategy import search_thresholds


def small_case(seed):
    """8 to 12 queries, 3 or 4 exits, often with equal confidences."""
    rng = np.random.default_rng(seed)
    n, K = int(rng.integers(8, 13)), int(rng.integers(3, 5))
    confidences = rng.random((n, K)).round(int(rng.integers(1, 4)))
    return confidences, rng.integers(K, size=n), rng.integers(3, size=n), rng.integers(3, size=(n, K))


def every_strategy(confidences):
    """Where the queries leave, under all thresholds that make a difference."""
    n, K = confidences.shape
    candidates = [np.append(np.unique(confidences[:, i]), 2.0) for i in range(K - 1)]
    for thresholds in product(*candidates):
        yield np.append(confidences[:, :-1] >= thresholds, np.ones((n, 1), dtype=bool), axis=1).argmax(1)


def brute_force(confidences, victim_exits, victim_labels, labels):
    """The best (agreement, label agreement) over all thresholds that make a difference."""
    n, best = len(confidences), (-1, -1)
    for left_at in every_strategy(confidences):
        reached = (left_at == victim_exits).sum(), (labels[np.arange(n), left_at] == victim_labels).sum()
        best = max(best, reached)
    return best


def test_equals_brute_force_on_100_small_cases():
    for seed in range(100):
        confidences, victim_exits, victim_labels, labels = small_case(seed)
        found = search_thresholds(confidences, victim_exits, victim_labels, labels)
        n = len(confidences)
        best = brute_force(confidences, victim_exits, victim_labels, labels)
        assert found.exact
        assert (round(found.agreement * n), round(found.label_agreement * n)) == best


def test_coordinate_ascent_comes_close_to_brute_force(monkeypatch):
    monkeypatch.setattr(strategy, "SMALL", 0)
    missed = 0
    for seed in range(40):
        confidences, victim_exits, victim_labels, labels = small_case(seed)
        found = search_thresholds(confidences, victim_exits, seed=seed)
        best, _ = brute_force(confidences, victim_exits, victim_labels, labels)
        reached = round(found.agreement * len(confidences))
        assert not found.exact and reached <= best
        missed += best - reached
    assert missed <= 2


@pytest.mark.parametrize("seed", range(5))
def test_the_victims_cost_is_met_for_little_agreement(seed):
    confidences, left_at, _ = planted(3000, 9, seed, noise=0.3)
    costs = np.linspace(1 / 9, 1, 9)
    free, found = search_thresholds(confidences, left_at), search_thresholds(confidences, left_at, costs=costs)
    wanted = costs[left_at].mean()
    assert abs(costs[free.exits].mean() / wanted - 1) > 0.02 > abs(costs[found.exits].mean() / wanted - 1)
    assert free.agreement - 0.03 < found.agreement <= free.agreement


@pytest.mark.parametrize("share", [0.8, 1.25])
def test_another_mean_cost_than_the_victims_is_met_too(share):
    confidences, left_at, _ = planted(3000, 9, 0, noise=0.3)
    costs = np.linspace(1 / 9, 1, 9)
    wanted = share * costs[left_at].mean()
    found = search_thresholds(confidences, left_at, costs=costs, mean_cost=wanted)
    assert costs[found.exits].mean() == pytest.approx(wanted, rel=0.02)
    common = search_thresholds(confidences, left_at, costs=costs)
    assert found.agreement < common.agreement


def test_small_cases_too_come_nearer_to_the_victims_cost():
    nearer = 0
    for seed in range(40):
        confidences, victim_exits, _, _ = small_case(seed)
        costs = np.arange(1.0, confidences.shape[1] + 1)
        free = search_thresholds(confidences, victim_exits)
        found = search_thresholds(confidences, victim_exits, costs=costs)
        before, after = (abs(costs[each.exits].mean() - costs[victim_exits].mean()) for each in (free, found))
        assert after <= before and found.agreement <= free.agreement
        nearer += after < before
    assert nearer > 20


def test_many_queries_and_exits_take_at_most_two_seconds():
    confidences, left_at, _ = planted(10_000, 27, seed=0, noise=0.3)
    started = process_time()
    search_thresholds(confidences, left_at, costs=np.linspace(1 / 27, 1, 27))
    assert process_time() - started < 2


def planted(n, K, seed, noise=0.0):
    rng = np.random.default_rng(seed)
    confidences = (rng.random((n, 1)) + rng.random((n, K))).astype(np.float32) / 2
    thresholds = rng.uniform(0.5, 0.9, K - 1)
    seen = confidences + noise * rng.standard_normal((n, K))
    left_at = np.append(seen[:, :-1] >= thresholds, np.ones((n, 1), dtype=bool), axis=1).argmax(1)
    return confidences, left_at, thresholds


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_victims_own_thresholds(seed):
    confidences, left_at, thresholds = planted(3000, 6, seed)
    found = search_thresholds(confidences, left_at)
    assert found.agreement == 1.0
    assert found.thresholds == pytest.approx(thresholds, abs=0.02)


def test_a_network_with_these_thresholds_leaves_where_the_search_says():
    confidences, left_at, _ = planted(500, 5, seed=0, noise=0.1)
    found = search_thresholds(confidences, left_at)
    policy = ExitPolicy(tuple(found.thresholds))
    assert (policy.exits_of_certainty(torch.from_numpy(confidences)).numpy() == found.exits).all()
    assert found.agreement == (found.exits == left_at).mean()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1.1))
def test_no_common_threshold_agrees_more(seed, threshold):
    confidences, left_at, _ = planted(200, 5, seed, noise=0.2)
    common = np.append(confidences[:, :-1] >= threshold, np.ones((200, 1), dtype=bool), axis=1).argmax(1)
    assert search_thresholds(confidences, left_at, restarts=2).agreement >= (common == left_at).mean()


def test_labels_break_ties_only():
    confidences = np.array([[0.9, 0.5], [0.6, 0.5], [0.2, 0.5]])
    victim_exits, victim_labels = np.array([0, 1, 1]), np.array([7, 7, 7])
    wrong_later = np.array([[7, 0], [7, 0], [7, 7]])
    found = search_thresholds(confidences, victim_exits, victim_labels, wrong_later)
    assert found.exits.tolist() == [0, 1, 1] and found.label_agreement == pytest.approx(2 / 3)
    undecided = np.array([0, 0, 1]), np.array([[0.9, 0.5], [0.6, 0.5], [0.6, 0.5]])
    assert search_thresholds(undecided[1], undecided[0], victim_labels, wrong_later).exits.tolist() == [0, 0, 0]
    better_later = np.array([[7, 0], [0, 7], [0, 7]])
    assert search_thresholds(undecided[1], [0, 0, 1], victim_labels, better_later).exits.tolist() == [0, 1, 1]


def test_one_exit_takes_everybody():
    found = search_thresholds(np.ones((5, 1)), np.zeros(5, dtype=int))
    assert found.thresholds.shape == (0,) and found.agreement == 1.0 and found.label_agreement is None


def test_the_same_seed_gives_the_same_thresholds():
    confidences, left_at, _ = planted(1000, 8, seed=1, noise=0.3)
    first, second = (search_thresholds(confidences, left_at, seed=4).thresholds for _ in range(2))
    assert (first == second).all()


@pytest.mark.parametrize(
    ("confidences", "victim_exits", "labels", "says"),
    [
        (np.ones(5), np.zeros(5, dtype=int), None, "shape"),
        (np.full((5, 2), np.nan), np.zeros(5, dtype=int), None, "not finite"),
        (np.ones((5, 2)), np.zeros(4, dtype=int), None, "whole numbers from 0 to 1"),
        (np.ones((5, 2)), np.full(5, 2), None, "whole numbers from 0 to 1"),
        (np.ones((5, 2)), np.zeros(5), None, "whole numbers"),
        (np.ones((5, 2)), np.zeros(5, dtype=int), np.zeros((5, 2)), "neither"),
    ],
)
def test_bad_input_is_refused(confidences, victim_exits, labels, says):
    with pytest.raises(ExitprintError, match=says):
        search_thresholds(confidences, victim_exits, labels=labels)


@pytest.mark.parametrize("costs", [[1.0], [1.0, np.nan], [-1.0, 1.0], [0.0, 0.0]])
def test_costs_must_fit(costs):
    with pytest.raises(ExitprintError, match="costs must be 2 numbers"):
        search_thresholds(np.ones((5, 2)), np.zeros(5, dtype=int), costs=costs)


def test_labels_must_fit():
    with pytest.raises(ExitprintError, match="labels must have shapes"):
        search_thresholds(np.ones((5, 2)), np.zeros(5, dtype=int), np.zeros(4), np.zeros((5, 2)))
