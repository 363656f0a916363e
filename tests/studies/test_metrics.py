"""ROC AUC and rates: against their definitions, and intervals that cover what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from exitprint.errors import ExitprintError
from exitprint_studies import rate, roc_auc

SCORES = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=12)


@given(SCORES, SCORES)
def test_auc_is_the_share_of_pairs_in_order(stolen: list[float], independent: list[float]) -> None:
    result = roc_auc(stolen, independent)
    labels = [1] * len(stolen) + [0] * len(independent)
    assert result.value == pytest.approx(roc_auc_score(labels, stolen + independent))
    assert 0 <= result.low <= result.value <= result.high <= 1
    turned = roc_auc(independent, stolen)
    assert (turned.low, turned.high) == (pytest.approx(1 - result.high), pytest.approx(1 - result.low))


def test_delong_s_interval_is_as_wide_as_its_formula_says() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 1, 30), rng.normal(0, 1, 20)
    psi = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
    half = norm.ppf(0.975) * np.sqrt(psi.mean(1).var(ddof=1) / 30 + psi.mean(0).var(ddof=1) / 20)
    result = roc_auc(x, y)
    assert result.high - result.value == pytest.approx(half)


def test_the_interval_covers_the_truth() -> None:
    rng, truth = np.random.default_rng(1), norm.cdf(1 / np.sqrt(2))
    results = [roc_auc(rng.normal(1, 1, 40), rng.normal(0, 1, 40)) for _ in range(400)]
    assert 0.92 < np.mean([r.low <= truth <= r.high for r in results]) < 0.98


def test_complete_separation_is_less_certain_with_fewer_networks() -> None:
    few, many = (roc_auc(np.ones(n), np.zeros(n)) for n in (5, 100))
    assert few.value == many.value == few.high == many.high == 1
    assert 0.5 < few.low < 0.8 < 0.95 < many.low < 1
    assert roc_auc([0.0], [1.0]).high < 1


def test_rates() -> None:
    result = rate([True] * 19 + [False])
    assert result.value == 0.95 and 0.75 < result.low < 0.95 < result.high < 1
    assert rate([False] * 20).low == 0 and rate([False] * 20).high > 0


def test_nothing_to_count_is_one_sentence() -> None:
    for stolen, independent in (([], [1.0]), ([1.0], []), ([float("nan")], [1.0])):
        with pytest.raises(ExitprintError, match="at least one score"):
            roc_auc(stolen, independent)
    with pytest.raises(ExitprintError, match="at least one network"):
        rate([])
