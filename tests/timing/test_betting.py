from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from exitprint.timing.betting import log_e_counts, log_growth, lower_bound, needed_for, stakes

counts = st.integers(0, 60)
nulls = st.floats(0.02, 0.98)
observations = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def wealth(x: list[float], null: float) -> float:
    return float(np.exp(logsumexp(stakes()[1] + log_growth(np.array(x), null).sum(axis=0))))


def test_the_unit_is_divided_among_the_gamblers() -> None:
    u, log_w = stakes()
    assert np.exp(log_w).sum() == pytest.approx(1, abs=1e-12)
    assert u.min() > 0 and u.max() < 1
    assert np.exp(log_w) @ u == pytest.approx(2 / 3), "the mean of the density 2u"


@given(counts, counts, nulls)
def test_the_wealth_is_a_martingale_where_the_null_is_tight(for_: int, against: int, null: float) -> None:
    after = np.logaddexp(
        np.log(null) + log_e_counts(for_ + 1, against, null), np.log1p(-null) + log_e_counts(for_, against + 1, null)
    )
    assert after == pytest.approx(float(log_e_counts(for_, against, null)), abs=1e-8)


@given(counts, counts, nulls, st.floats(0, 1))
def test_the_wealth_shrinks_on_average_everywhere_else_in_the_null(
    for_: int, against: int, null: float, part: float
) -> None:
    p = part * null
    now = log_e_counts(for_, against, null)
    after = p * np.exp(log_e_counts(for_ + 1, against, null) - now)
    after += (1 - p) * np.exp(log_e_counts(for_, against + 1, null) - now)
    assert after <= 1 + 1e-8


@given(observations, st.lists(st.floats(0, 1), min_size=1, max_size=5), nulls)
def test_whatever_the_distribution_the_wealth_grows_only_if_its_mean_exceeds_the_null(
    past: list[float], support: list[float], null: float
) -> None:
    after = np.mean([wealth([*past, x], null) for x in support])
    change = after / wealth(past, null)
    assert (change <= 1 + 1e-9) if np.mean(support) <= null else (change >= 1 - 1e-9)


@given(counts, counts, nulls)
def test_counts_are_observations_of_zero_and_one(for_: int, against: int, null: float) -> None:
    x = [1.0] * for_ + [0.0] * against + [null]
    assert np.log(wealth(x, null)) == pytest.approx(float(log_e_counts(for_, against, null)), abs=1e-8)


@given(observations, nulls, st.floats(1e-4, 0.5))
def test_the_lower_bound_is_where_the_test_stops_refuting(x: list[float], m: float, error: float) -> None:
    bound = lower_bound(lambda null: np.log(wealth(x, null)), error)
    assert (m < bound) == (np.log(wealth(x, m)) >= -np.log(error)) or m == pytest.approx(bound, abs=1e-9)


def test_needed_counts_are_the_smallest_that_suffice() -> None:
    needed = needed_for(1e-3, 0.5, 40)
    for against, for_ in enumerate(needed):
        if for_ <= 40:
            assert log_e_counts(for_, against, 0.5) >= np.log(1000) > log_e_counts(for_ - 1, against, 0.5)
        else:
            assert log_e_counts(40, against, 0.5) < np.log(1000)
