"""Laws of the EEC curve, T_N and the AUC of two halves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exitprint.errors import ExitprintError
from exitprint.fingerprints.score import auc, eec, t_n

times = arrays(np.float64, st.integers(1, 40), elements=st.floats(0.001, 100))


@given(times, st.floats(0.01, 100))
def test_t_n_is_the_area_under_the_eec_curve(seconds, longest):
    time, exited = eec(seconds, longest)
    area = float((np.diff(time) * exited[:-1]).sum())
    assert t_n(seconds, longest) == pytest.approx(area, abs=1e-9)


@given(times, st.floats(0.01, 100), st.floats(0.1, 1000))
def test_t_n_does_not_depend_on_the_unit_of_time(seconds, longest, factor):
    assert t_n(seconds * factor, longest * factor) == pytest.approx(t_n(seconds, longest), abs=1e-9)


@given(times, st.floats(0.01, 100))
def test_t_n_is_a_share_and_zero_only_if_all_take_longest(seconds, longest):
    value = t_n(seconds, longest)
    assert 0 <= value <= 1
    assert (value < 1e-12) == bool((seconds >= longest * (1 - 1e-11)).all())


@given(times, st.floats(0.01, 10))
def test_a_constant_overhead_scales_every_t_n_by_one_factor(seconds, overhead):
    benign = np.linspace(0.01, 100, 7)
    before = t_n(seconds, 100.0), t_n(benign, 100.0)
    after = t_n(seconds + overhead, 100.0 + overhead), t_n(benign + overhead, 100.0 + overhead)
    assert before[0] * after[1] == pytest.approx(after[0] * before[1], abs=1e-9)


@given(times)
def test_the_eec_curve_ascends_from_nothing_to_everything(seconds):
    time, exited = eec(seconds, float(seconds.max()))
    assert (np.diff(time) >= 0).all() and (np.diff(exited) >= 0).all()
    assert (time[0], exited[0], time[-1], exited[-1]) == (0, 0, 1, 1)


@given(times, times)
def test_auc_is_the_share_of_pairs_in_which_the_late_one_is_slower(late, early):
    pairs = (late[:, None] > early).mean() + 0.5 * (late[:, None] == early).mean()
    assert auc(late, early) == pytest.approx(pairs)
    assert auc(early, late) == pytest.approx(1 - pairs)


ticks = arrays(np.float64, st.integers(1, 40), elements=st.integers(1, 1000))


@given(ticks, ticks)
def test_any_rising_clock_gives_the_same_auc(late, early):
    assert auc(np.log(late) * 3 - 1, np.log(early) * 3 - 1) == pytest.approx(auc(late, early))


def test_a_clock_that_stands_still_is_refused():
    with pytest.raises(ExitprintError, match="not positive"):
        t_n(np.zeros(3), 0.0)
