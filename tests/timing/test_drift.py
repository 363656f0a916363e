from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from exitprint.errors import ExitprintError
from exitprint.timing.drift import steadied
from exitprint.timing.exits import estimate_exits
from exitprint.timing.inquiry import places

INPUTS, REPEATS = 200, 8
LEFT_AT = np.arange(INPUTS) * 7 % 9
USUAL = (3.0 + LEFT_AT)[:, None]
PLACES = places((INPUTS, REPEATS), seed=0)


def noise(seed=0, size=0.01):
    return np.exp(size * np.random.default_rng(seed).standard_normal((INPUTS, REPEATS)))


def drift(seed=0, size=0.15, forgets=5.0):
    """A factor that forgets its past after so many askings, for each asking in its place."""
    rng, keep = np.random.default_rng(seed), np.exp(-1 / forgets)
    course = np.empty(INPUTS * REPEATS)
    course[0] = rng.standard_normal()
    for place in range(1, len(course)):
        course[place] = keep * course[place - 1] + np.sqrt(1 - keep**2) * rng.standard_normal()
    return np.exp(size * course)[PLACES]


def spread(seconds):
    return np.abs(np.log(seconds / USUAL) - np.median(np.log(seconds / USUAL))).mean()


def test_every_asking_has_its_place():
    assert sorted(PLACES.ravel()) == list(range(INPUTS * REPEATS))
    assert (np.arange(REPEATS) == PLACES // INPUTS).all()
    assert (places((INPUTS, REPEATS), seed=0) == PLACES).all() and (places((INPUTS, REPEATS), seed=1) != PLACES).any()


@pytest.mark.parametrize(("forgets", "left"), [(2.0, 0.75), (10.0, 0.5), (100.0, 0.4)])
def test_drift_is_taken_out_and_exits_are_found(forgets, left):
    drifting = USUAL * noise() * drift(forgets=forgets)
    steady = steadied(drifting, PLACES)
    assert spread(steady) < left * spread(drifting)
    before, after = (estimate_exits(seconds) for seconds in (drifting, steady))
    found = adjusted_rand_score(LEFT_AT, after.exits)
    assert found > adjusted_rand_score(LEFT_AT, before.exits)
    assert forgets < 10 or (found > 0.95 and after.count == 9)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), size=st.floats(1e-4, 0.3))
def test_noise_that_does_not_drift_is_left_alone(seed, size):
    seconds = USUAL * noise(seed, size)
    assert steadied(seconds, PLACES) is seconds


@settings(deadline=None, max_examples=20)
@given(unit=st.floats(1e-9, 1e6), seed=st.integers(0, 10**6))
def test_the_unit_does_not_matter(unit, seed):
    drifting = USUAL * noise(seed) * drift(seed)
    assert steadied(unit * drifting, PLACES) == pytest.approx(unit * steadied(drifting, PLACES), rel=1e-6)


def test_a_few_interrupted_requests_do_not_pull_their_neighbours_along():
    drifting = USUAL * noise() * drift()
    disturbed = drifting.copy()
    strays = np.random.default_rng(3).choice(drifting.size, 30, replace=False)
    disturbed.ravel()[strays] *= 20
    others = np.setdiff1d(np.arange(drifting.size), strays)
    steady = steadied(disturbed, PLACES)
    usual = np.broadcast_to(USUAL, drifting.shape)
    off = np.abs(np.log(steady / usual).ravel()[others])
    assert np.median(off) < 0.6 * np.median(np.abs(np.log(drifting / usual)))


def test_what_cannot_be_told_apart_is_returned_as_it_is():
    once = USUAL * noise()[:, :1]
    assert steadied(once, PLACES[:, :1]) is once
    zero = USUAL * noise()
    zero[3, 2] = 0
    assert steadied(zero, PLACES) is zero
    with pytest.raises(ExitprintError, match="one shape"):
        steadied(zero, PLACES[:, 1:])
