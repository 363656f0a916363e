from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from exitprint.errors import ExitprintError
from exitprint.evidence.betting import check_probability, log_growth, log_total, lower_bound, stakes

nulls = st.floats(0.02, 0.98)
observations = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def wealth(x: list[float], null: float) -> float:
    return float(np.exp(logsumexp(stakes()[1] + log_growth(np.array(x), null).sum(axis=0))))


def test_the_unit_is_divided_among_the_gamblers() -> None:
    u, log_w = stakes()
    assert np.exp(log_w).sum() == pytest.approx(1, abs=1e-12)
    assert u.min() > 0 and u.max() < 1
    assert np.exp(log_w) @ u == pytest.approx(2 / 3), "the mean of the density 2u"


@given(observations, st.lists(st.floats(0, 1), min_size=1, max_size=5), nulls)
def test_whatever_the_distribution_the_wealth_grows_only_if_its_mean_exceeds_the_null(
    past: list[float], support: list[float], null: float
) -> None:
    after = np.mean([wealth([*past, x], null) for x in support])
    change = after / wealth(past, null)
    assert (change <= 1 + 1e-9) if np.mean(support) <= null else (change >= 1 - 1e-9)


@settings(max_examples=30)
@given(observations, nulls, st.floats(1e-4, 0.5))
def test_the_lower_bound_is_where_the_test_stops_refuting(x: list[float], m: float, error: float) -> None:
    bound = lower_bound(lambda null: np.log(wealth(x, null)), error)
    assert (m < bound) == (np.log(wealth(x, m)) >= -np.log(error)) or m == pytest.approx(bound, abs=1e-9)


@given(st.floats(0, 1), st.floats(1e-6, 0.5))
def test_the_lower_bound_is_found_to_the_last_digit(at: float, error: float) -> None:
    """Against a wealth that reaches 1 / error exactly up to `at`."""
    bound = lower_bound(lambda m: -np.log(error) if m <= at else -np.log(error) - 1e-9, error)
    assert -1e-16 <= at - bound < 1e-15 or at == 1


def test_there_are_64_gamblers_and_the_bold_have_more() -> None:
    u, log_w = stakes()
    assert u.shape == log_w.shape == (64,) and (np.diff(u) > 0).all()
    assert np.exp(log_w) @ u**6 == pytest.approx(2 / 8), "any moment of the density 2u"


@settings(max_examples=25)
@given(st.lists(observations, min_size=1, max_size=2), nulls)
def test_growth_is_that_of_each_stake(x: list[list[float]], null: float) -> None:
    size = min(map(len, x))
    x_ = np.array([row[:size] for row in x])
    growth = log_growth(x_, null)
    assert growth.shape == (*x_.shape, 64)
    for place, one in np.ndenumerate(x_):
        assert np.exp(growth[place]) == pytest.approx(1 - stakes()[0] + stakes()[0] * one / null)


@given(observations, nulls)
def test_all_wealth_together_is_the_sum_of_the_gamblers(x: list[float], null: float) -> None:
    log_wealth = stakes()[1] + log_growth(np.array(x), null).sum(axis=0)
    assert log_total(log_wealth) == pytest.approx(float(logsumexp(log_wealth)))


@pytest.mark.parametrize("value", [0, 1, -0.5, 2, float("nan")])
def test_a_probability_lies_between_0_and_1(value: float) -> None:
    with pytest.raises(ExitprintError, match="alpha must lie strictly between 0 and 1"):
        check_probability("alpha", value)


def test_a_probability_is_given_back() -> None:
    assert check_probability("alpha", 0.25) == 0.25 and check_probability("alpha", 1e-12) == 1e-12


def test_large_wealth_does_not_overflow() -> None:
    log_wealth = np.array([[1000.0, 999.0], [-1000.0, -1000.0]])
    assert log_total(log_wealth) == pytest.approx([1000 + np.log1p(np.exp(-1)), -1000 + np.log(2)])
