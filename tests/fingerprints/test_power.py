from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.errors import ExitprintError
from exitprint.fingerprints.power import chance_of_claim, samples_for
from exitprint.fingerprints.statistic import Test


@settings(max_examples=20)
@given(st.sampled_from([0.85, 0.9, 0.95, 1.0]), st.sampled_from([0.5, 0.8, 0.99]))
def test_more_power_or_less_effect_needs_more_samples(share: float, power: float) -> None:
    needed = samples_for(share, 0.65, power)
    assert needed % 2 == 0 and needed <= samples_for(share - 0.05, 0.65, power)
    assert chance_of_claim(share, 0.65, needed) >= power > chance_of_claim(share, 0.65, needed - 2)


def test_the_samples_that_are_said_to_be_needed_find_the_copy() -> None:
    """The product's own test on as many pairs as are said to do."""
    rng = np.random.default_rng(1)
    pairs = samples_for(0.9, 0.65, 0.9) // 2
    found = 0
    for _ in range(300):
        test = Test(0.65, 1e-3, 1e-3, nature=False)
        for x in (rng.random(pairs) < 0.9).astype(float):
            test.update("crafted", float(x))
        found += test.decision == "derived"
    assert found / 300 == pytest.approx(0.9, abs=0.06)


def test_no_effect_has_no_number_of_samples() -> None:
    with pytest.raises(ExitprintError, match="any useful number of samples"):
        samples_for(0.7, 0.8, 0.9)
    with pytest.raises(ExitprintError, match="power must lie"):
        samples_for(0.9, 0.65, 1.0)
