from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
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


@given(observations, nulls, st.floats(1e-4, 0.5))
def test_the_lower_bound_is_where_the_test_stops_refuting(x: list[float], m: float, error: float) -> None:
    bound = lower_bound(lambda null: np.log(wealth(x, null)), error)
    assert (m < bound) == (np.log(wealth(x, m)) >= -np.log(error)) or m == pytest.approx(bound, abs=1e-9)


@given(observations, nulls)
def test_all_wealth_together_is_the_sum_of_the_gamblers(x: list[float], null: float) -> None:
    log_wealth = stakes()[1] + log_growth(np.array(x), null).sum(axis=0)
    assert log_total(log_wealth) == pytest.approx(float(logsumexp(log_wealth)))


@pytest.mark.parametrize("value", [0, 1, -0.5, 2, float("nan")])
def test_a_probability_lies_between_0_and_1(value: float) -> None:
    with pytest.raises(ExitprintError, match="alpha must lie strictly between 0 and 1"):
        check_probability("alpha", value)
