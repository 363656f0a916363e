"""Why times say nothing: laws of the figures, and where one cause ends and another begins."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from behaviour import heard
from exitprint.timing.session import FLOOR
from exitprint.timing.silence import _agreement, _beyond_usual, silence
from exitprint.timing.timings import quiet

RNG = np.random.default_rng


def rounds(inputs, repeats, seconds):
    """So many inputs in a new order in each round: an input's number and its seconds, by number and by place."""
    order = [one for number in range(repeats) for one in RNG(number).permutation(inputs)]
    return [(index, seconds(index, place)) for place, index in enumerate(order)]


def by_input(index, place):
    return 1 + index / 10


def noise(seed, scale=1.0):
    rng = RNG(seed)
    return lambda index, place: 5 + scale * rng.random()


def test_nothing_was_asked():
    assert silence(heard([])) is None


def test_the_same_time_for_every_input():
    assert silence(heard([(0, 2.5), (1, 2.5)])) == ("same", 0.0, 2.5, 0.0, 0.0)
    assert silence(heard([(0, 2.5), (0, 2.5)])) is None, "one input cannot differ from others"
    assert silence(heard([(0, 2.5), (1, 2.6)])) is None


@pytest.mark.parametrize(("inputs", "said"), [(7, None), (8, "noise")])
def test_seven_inputs_asked_again_are_too_few_to_tell(inputs, said):
    askings = [*rounds(inputs, 2, noise(1)), (50, 7.0), (51, 7.0)]
    found = silence(heard(askings))
    assert (found and found.cause) == said


def test_times_that_follow_the_input_are_not_silent():
    for repeats in (2, 3, 9):
        assert silence(heard(rounds(20, repeats, by_input))) is None


@given(st.integers(0, 200), st.floats(1e-3, 1e3))
@settings(max_examples=10)
def test_the_unit_of_time_does_not_matter(seed, unit):
    askings = rounds(12, 3, noise(seed))
    found, scaled = silence(heard(askings)), silence(heard([(index, unit * seconds) for index, seconds in askings]))
    assert (found is None) == (scaled is None)
    if found and scaled:
        assert found.cause == scaled.cause and found.agreement == pytest.approx(scaled.agreement)
        assert (unit * found.middle, unit * found.spread) == pytest.approx((scaled.middle, scaled.spread))


def test_the_figures_are_those_of_all_times():
    askings = rounds(12, 3, noise(0, scale=3))
    found, seconds = silence(heard(askings)), [seconds for _, seconds in askings]
    assert found.cause == "noise" and 0 <= found.agreement < 0.5
    assert found.middle == np.median(seconds)
    assert found.spread == pytest.approx(np.quantile(seconds, 0.95) - np.quantile(seconds, 0.05))
    slowest = [max(range(3), key=lambda k, i=i: [s for j, s in askings if j == i][k]) == 0 for i in range(12)]
    assert found.cached == np.mean(slowest)


@pytest.mark.parametrize(("scale", "cause"), [(0.9, "constant"), (1.5, "noise")])
def test_constant_time_lies_within_a_fifth_of_the_middle_one(scale, cause):
    askings = next(
        askings
        for seed in itertools.count()
        for askings in [rounds(30, 2, noise(seed, scale))]
        if (found := silence(heard(askings))) and found.agreement < 0.2 and found.cached < 0.75
    )
    found = silence(heard(askings))
    assert found.cause == cause and (found.spread < 0.2 * found.middle) == (cause == "constant")


def weak(strength):
    """Times that follow the input a little."""
    rng = RNG(5)
    return lambda index, place: 50 + strength * index / 40 + 0.5 * rng.random()


def test_the_less_the_input_shows_the_less_is_said_of_it():
    found = {strength: silence(heard(rounds(40, 4, weak(strength)))) for strength in (0.0, 0.35, 3.0)}
    assert found[0.0].cause == "constant" and found[0.0].agreement < 0.25
    assert found[0.35].cause == "noise" and 0.25 <= found[0.35].agreement < 0.5
    assert found[0.35].spread < 0.2 * found[0.35].middle, "noise, since some of the input shows"
    assert found[3.0] is None


@pytest.mark.parametrize(("inputs", "silent"), [(9, True), (40, False)])
def test_a_few_inputs_have_to_agree_more_than_many(inputs, silent):
    """Three standard deviations of chance: 0.84 among nine inputs, and 0.5 among many."""

    def weakly(seed):
        rng = RNG(seed)
        return heard(rounds(inputs, 2, lambda index, place: index / inputs + 0.35 * rng.random()))

    asking = next(asking for asking in map(weakly, itertools.count()) if 0.62 < _agreement(asking) < 0.75)
    assert (silence(asking) is not None) == silent


def cached(shown, of=12, later=0.01):
    """Inputs of which so many took longest when they were asked first; later askings spread over `later`."""
    rng = RNG(3)
    first = [(index, (2 + rng.random()) if index < shown else 0.1) for index in rng.permutation(of)]
    again = [(index, 1 + later * rng.random()) for _ in range(2) for index in rng.permutation(of)]
    return [*first, *again]


@pytest.mark.parametrize(("shown", "cause"), [(12, "cache"), (9, "cache"), (8, "noise")])
def test_three_of_four_first_askings_make_a_cache(shown, cause):
    found = silence(heard(cached(shown)))
    assert found.cause == cause and found.cached == shown / 12


def test_what_spreads_as_widely_when_it_is_asked_again_is_no_cache():
    assert silence(heard(cached(12, later=0.15))).cause == "cache"
    found = silence(heard(cached(12, later=0.9)))
    assert found is None or found.cause != "cache"


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=10)
def test_agreement_is_that_of_two_halves_less_that_with_the_neighbours(seed, repeats):
    """Written down once more, asking by asking."""
    asking = heard(rounds(10, repeats, lambda index, place: index / 9 + noise(seed + place)(0, 0)))
    beyond = _beyond_usual(asking)
    numbers = [asked.index for asked in asking.asked]
    one, other, beside = [], [], []
    for index in range(10):
        places = [place for place, number in enumerate(numbers) if number == index]
        next_to = [p + 1 if p + 1 < len(numbers) and numbers[p + 1] != index else p - 1 for p in places]
        one.append(quiet([beyond[p] for p in places[::2]]))
        other.append(quiet([beyond[p] for p in places[1::2]]))
        beside.append(quiet([beyond[p] for p in next_to[1::2]]))
    own, load = spearmanr(one, other).statistic, max(0.0, spearmanr(one, beside).statistic)
    assert _agreement(asking) == pytest.approx(min(1, max(0, (own - load) / (1 - load))))


def test_a_load_is_taken_off():
    """A load that wanders is what neighbours share; two askings in a row do not agree because of it alone."""
    order = [index for pair in range(0, 40, 2) for index in (pair, pair + 1, pair + 1, pair)]
    found = []
    for seed in range(20):
        load, rng = [0.0], RNG(seed)
        for _ in order:
            load.append(0.9 * load[-1] + rng.standard_normal())
        found.append(_agreement(heard(zip(order, np.exp(load[1:]), strict=True))))
    assert np.mean(found) < 0.25
    assert _agreement(heard([(index, 5.0) for index in order])) == 0


def test_what_was_usual_is_the_mean_of_the_neighbours_without_the_extremes():
    seconds = RNG(0).random(25)
    beyond = _beyond_usual(heard(enumerate(seconds)))
    padded = np.concatenate([[seconds[0]] * 4, seconds, [seconds[-1]] * 4])
    usual = [np.sort(padded[place : place + 9])[2:7].mean() for place in range(25)]
    assert beyond == pytest.approx(seconds - usual)


def test_the_path_alone_is_no_asking():
    """The cheapest requests stand between the first two and change no figure but their own place."""
    warm_up, askings = [5.0, 5.5], rounds(12, 3, noise(2))
    asking = heard(askings, warm_up)
    assert [asked.kind for asked in asking.asked[:7]] == ["early", *[FLOOR] * 5, "early"]
    beyond, plain = _beyond_usual(asking), _beyond_usual(heard([(0, 5.0), (0, 5.5), *askings]))
    assert (beyond[1:6] == 0).all() and np.delete(beyond, range(1, 6)) == pytest.approx(plain)
    found = silence(asking)
    assert found.middle == np.median([seconds for _, seconds in askings])
