"""Laws of the parts that exits are found by: the noise, the mixture, the density, repeats and ticks."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import exponnorm, mannwhitneyu

from exitprint.errors import ExitprintError
from exitprint.timing.exits import blocks, estimate_exits, kde
from exitprint.timing.exits.blocks import REACH, TAILS, _best_paths, _own_width, _scores, _segment, _trace, find
from exitprint.timing.exits.emg import delay_given, log_density
from exitprint.timing.exits.estimate import MOST_ATOMS, _atoms, _relative, _shifted, _unit
from exitprint.timing.exits.kde import BINS, Density, fine_cuts
from exitprint.timing.exits.mixture import LEAST, POOLED, STRAY, Mixture, _narrow, _without_twins, around, fit, thin
from exitprint.timing.exits.repeats import REAPPEARS, _entropy, condense, unrepeated
from exitprint.timing.exits.simulated import RAREST, TAIL, Clock
from exitprint.timing.exits.ticks import FINEST, _filling, blurred, is_averaged, tick_of

RNG = np.random.default_rng
THREE = Mixture(np.array([0.5, 0.2, 0.3]), np.array([0.0, 1.0, 2.5]), np.array([0.1, 0.05, 0.2]), np.array([0.05] * 3))


# ---- the noise ----


@settings(max_examples=40)
@given(st.floats(-3, 3), st.floats(0.05, 2), st.floats(0.05, 2))
def test_the_noise_has_the_density_of_scipy(x, sigma, tau):
    assert log_density(np.array(x), sigma, tau) == pytest.approx(
        exponnorm.logpdf(x, tau / sigma, scale=sigma), abs=1e-6
    )


@pytest.mark.parametrize(("x", "sigma", "tau"), [(0.3, 0.5, 1.0), (-1.0, 0.5, 0.2), (2.0, 1.0, 3.0), (0.1, 0.1, 0.1)])
def test_the_delay_has_the_moments_of_its_posterior(x, sigma, tau):
    delay = np.linspace(0, 30, 600_001)
    log_weight = -delay / tau - ((x - delay) / sigma) ** 2 / 2
    weight = np.exp(log_weight - log_weight.max())
    mean = (delay * weight).sum() / weight.sum()
    variance = ((delay - mean) ** 2 * weight).sum() / weight.sum()
    found = delay_given(np.array(x), sigma, tau)
    assert (float(found[0]), float(found[1])) == pytest.approx((mean, variance), rel=1e-3, abs=1e-5)


# ---- the mixture ----


def test_the_joint_density_is_that_of_each_exit_and_of_strays():
    times = np.array([0.05, 1.2])
    joint = THREE.log_joint(times, span=4.0)
    assert joint.shape == (2, 4) and joint[:, 3] == pytest.approx(np.log(STRAY / 4.0))
    for row, time in enumerate(times):
        for exit in range(3):
            sigma, tau = THREE.sigma[exit], THREE.tau[exit]
            density = exponnorm.pdf(time - THREE.centres[exit], tau / sigma, scale=sigma)
            assert np.exp(joint[row, exit]) == pytest.approx((1 - STRAY) * THREE.weights[exit] * density, rel=1e-6)


@pytest.mark.parametrize("k", [0, 1])
def test_two_exits_joined_keep_their_mean_and_variance(k):
    joined = THREE.joined(k)
    assert joined.num_exits == 2 and joined.weights.sum() == pytest.approx(1)

    def moments(mixture, part):
        weights, means = mixture.weights[part], (mixture.centres + mixture.tau)[part]
        mean = weights @ means / weights.sum()
        second = weights @ (mixture.sigma[part] ** 2 + mixture.tau[part] ** 2 + (means - mean) ** 2) / weights.sum()
        return weights.sum(), mean, second

    weight, mean, variance = moments(THREE, slice(k, k + 2))
    one = slice(k, k + 1)
    assert joined.weights[k] == pytest.approx(weight) and (joined.centres + joined.tau)[k] == pytest.approx(mean)
    other = 1 - k
    assert joined.centres[other] == THREE.centres[2 * other] and joined.sigma[other] == THREE.sigma[2 * other]
    if len(set(np.round(THREE.tau / THREE.sigma, 9)[k : k + 2])) == 1:
        assert moments(joined, one)[2] == pytest.approx(variance)


def test_joining_exits_of_one_shape_keeps_the_variance():
    two = Mixture(np.array([0.4, 0.6]), np.array([0.0, 1.0]), np.array([0.2, 0.2]), np.array([0.1, 0.1]))
    one = two.joined(0)
    between = 0.4 * 0.6 * 1.0**2
    assert one.sigma[0] ** 2 + one.tau[0] ** 2 == pytest.approx(0.2**2 + 0.1**2 + between)
    assert one.sigma[0] / one.tau[0] == pytest.approx(2)


def test_what_joining_costs_is_runnalls_bound():
    costs = THREE.joining_costs()
    variances = THREE.sigma**2 + THREE.tau**2
    for k in range(2):
        w, v, m = THREE.weights[k : k + 2], variances[k : k + 2], (THREE.centres + THREE.tau)[k : k + 2]
        mean = w @ m / w.sum()
        together = (w @ (v + (m - mean) ** 2)) / w.sum()
        assert costs[k] == pytest.approx((w.sum() * np.log(together) - w @ np.log(v)) / 2)


def test_exits_are_cut_where_both_are_as_likely():
    for k, cut in enumerate(THREE.cuts()):
        joint = THREE.log_joint(np.array([cut]), 1.0)[0]
        assert joint[k] == pytest.approx(joint[k + 1], abs=1e-6) and THREE.centres[k] < cut < THREE.centres[k + 1]
    hidden = Mixture(np.array([0.999999, 1e-6]), np.array([0.0, 0.1]), np.array([1.0, 1.0]), np.array([0.5, 0.5]))
    assert hidden.cuts() == pytest.approx([0.05]), "one that is nowhere likelier is cut off half-way"


def test_a_first_mixture_takes_medians_and_the_middle_spread():
    times = np.array([1.0, 2.0, 3.0, 10.0, 12.0, 14.0, 16.0])
    counts = np.array([1.0, 5.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    made = around(times, counts, np.array([0, 0, 0, 1, 1, 1, 1]))
    assert made.weights == pytest.approx([8 / 13, 5 / 13])
    spread = np.median([2.0 - 2.0, 14.0 - 10.0]) / 1.35
    assert made.sigma == pytest.approx([spread / np.sqrt(2)] * 2) and made.tau == pytest.approx(made.sigma)
    assert made.centres + made.tau == pytest.approx([2.0, 12.0])


def noisy(exits, inputs=300, sigma=0.05, tau=0.05, seed=0):
    rng = RNG(seed)
    left_at = rng.integers(len(exits), size=inputs)
    times = np.array(exits)[left_at] + sigma * rng.standard_normal(inputs) + rng.exponential(tau, inputs)
    return np.sort(times), np.ones(inputs), left_at


def test_fitting_finds_the_parameters_and_never_gets_less_likely():
    times, counts, _ = noisy([0.0, 1.0, 2.0], inputs=3000)
    first = around(times, counts, np.searchsorted([0.5, 1.5], times))
    likely = [fit(times, counts, first, steps)[1] for steps in (1, 2, 4, 8, 30)]
    assert (np.diff(likely) >= -1e-6).all() and likely[-1] > likely[0]
    found, likelihood = fit(times, counts, first)
    assert found.centres == pytest.approx([0, 1, 2], abs=0.02) and found.weights == pytest.approx([1 / 3] * 3, abs=0.03)
    assert found.sigma == pytest.approx([0.05] * 3, abs=0.01) and found.tau == pytest.approx([0.05] * 3, abs=0.015)
    joint = found.log_joint(times, times[-1] - times[0])
    assert likelihood == pytest.approx(np.logaddexp.reduce(joint, axis=1).sum(), abs=0.1)


def test_counts_are_repeated_times():
    times, _, _ = noisy([0.0, 1.0], inputs=40)
    often = np.where(np.arange(40) % 3 == 0, 3.0, 1.0)
    several = np.repeat(times, often.astype(int))
    by_counts = fit(times, often, around(times, often, (times > 0.5).astype(int)), steps=3)
    plain = fit(several, np.ones(len(several)), around(several, np.ones(len(several)), (several > 0.5).astype(int)), 3)
    assert by_counts[1] == pytest.approx(plain[1]) and by_counts[0].sigma == pytest.approx(plain[0].sigma, rel=1e-3)


def test_a_rare_exit_borrows_the_width_of_the_others():
    assert POOLED == 10
    rng = RNG(0)
    times = np.sort(np.concatenate([0.1 * rng.standard_normal(400), 3 + 1e-4 * np.arange(3)]))
    found, _ = fit(times, np.ones(403), around(times, np.ones(403), (times > 2).astype(int)))
    assert 0.03 < found.sigma[1] < found.sigma[0] < 0.15


def test_exits_that_are_not_there_are_thinned_out():
    times, counts, _ = noisy([0.0, 1.0, 2.0], inputs=400)
    split = around(times, counts, np.searchsorted([0.0, 0.05, 0.5, 1.05, 1.5, 2.05], times))
    mixture, likely = thin(times, counts, split)
    assert mixture.num_exits == 3 and max(likely, key=likely.get) == 3
    assert sum(likely.values()) == pytest.approx(1) and list(likely) == sorted(likely)
    alone, _ = thin(
        times[times < 0.5],
        np.ones((times < 0.5).sum()),
        around(times[times < 0.5], np.ones((times < 0.5).sum()), np.zeros((times < 0.5).sum(), dtype=int)),
    )
    assert alone.num_exits == 1


def test_twins_are_one_exit():
    twins = Mixture(np.array([0.3, 0.3, 0.4]), np.array([0.0, 1e-3, 5.0]), np.full(3, 0.1), np.full(3, 0.05))
    assert _without_twins(twins, inputs=200).centres == pytest.approx([5e-4, 5.0], abs=1e-3)
    assert _without_twins(THREE, inputs=200) is THREE


def test_narrow_gaps_are_dear():
    assert (_narrow(np.array([0.0, 1.0])) == [0.0]).all() and (_narrow(np.array([3.0])) == np.zeros(0)).all()
    assert _narrow(np.array([0.0, 1.0, 2.0, 5.0])) == pytest.approx([0, 0, 0])
    narrow = _narrow(np.array([0.0, 1.0, 2.0, 2.5]))
    assert narrow == pytest.approx([0, 0, (np.log(0.5) / 0.5) ** 2 / 2])


# ---- the density ----


def test_the_density_holds_every_input_and_is_smoothed_by_a_gaussian():
    times = np.concatenate([np.full(30, 1.0), np.full(70, 2.0)])
    density = Density(times)
    assert density.histogram.sum() == 100 and len(density.edges) == BINS + 1
    assert density.edges[[0, -1]] == pytest.approx([0.9, 2.1])
    smooth = density.smooth(50)
    assert smooth.sum() == pytest.approx(100, rel=1e-3) and (smooth >= 0).all()
    bins = np.arange(BINS)
    wanted = sum(
        weight * np.exp(-(((bins - at) / 50) ** 2) / 2) / (50 * np.sqrt(2 * np.pi))
        for at, weight in ((int(density.histogram.argmax()), 70), (int(np.flatnonzero(density.histogram)[0]), 30))
    )
    assert smooth == pytest.approx(wanted, abs=1e-6)
    other = np.zeros(BINS)
    other[100] = 1.0
    assert density.smooth(50, other).argmax() == 100


def test_a_valley_parts_two_peaks_that_are_deep_and_large_enough():
    rng = RNG(0)
    times = np.concatenate([rng.normal(0, 0.1, 200), rng.normal(2, 0.1, 300)])
    density = Density(times)
    width = density.bandwidth()
    cuts = density.valleys(width)
    assert len(cuts) == 1 and 0.3 < cuts[0] < 1.7
    assert len(density.valleys(width, least=250)) == 0 and len(density.valleys(width, depth=0.0)) == 0
    assert (np.diff(fine_cuts(times)) > 0).all() and len(fine_cuts(times)) >= 1
    assert 2 < density.bandwidth() < BINS / 4


@pytest.mark.parametrize(("seed", "inputs", "octaves"), [(0, 60, 5), (1, 15, 9), (3, 60, 5), (3, 15, 7)])
def test_the_bandwidth_is_that_under_which_each_input_is_foretold_best_by_the_others(seed, inputs, octaves):
    times = RNG(seed).normal(0, 0.3 if inputs == 60 else 0.05, inputs)
    density = Density(np.concatenate([times, times[: inputs // 2] * 1.3 + 2]))
    full = density.histogram > 0
    candidates = [BINS / 4 * 2 ** (-half / 2) for half in range(24)]

    def foretold(width):
        others = density.smooth(width)[full] - 1 / (np.sqrt(2 * np.pi) * width)
        stray = STRAY * density.histogram.sum() / BINS
        return density.histogram[full] @ np.log(np.maximum(others, stray))

    assert density.bandwidth() == max(candidates, key=foretold) == BINS / 4 * 2 ** (-octaves / 2)


def test_few_inputs_far_apart_are_foretold_best_by_the_widest_bandwidth():
    assert all(Density(RNG(seed).random(4)).bandwidth() == BINS / 4 for seed in range(4))


def test_the_number_of_exits_is_as_sure_as_51_counts_of_it_agree():
    for exits in (1, 2, 3):
        rng = RNG(2)
        times = np.concatenate([rng.normal(exit, 0.03, 100) for exit in range(exits)])
        cuts, likely = kde.find(times, rng)
        assert len(cuts) == exits - 1 and likely == {exits: pytest.approx(1)}
    unsure = kde.find(RNG(0).random(60), RNG(0))[1]
    assert len(unsure) > 1 and all(51 * share == pytest.approx(round(51 * share)) for share in unsure.values())


def test_a_peak_holds_the_inputs_that_are_there():
    density = Density(np.concatenate([np.full(30, 1.0), np.full(70, 2.0)]))
    assert len(density.valleys(50, least=29.9)) == 1 and len(density.valleys(50, least=30.1)) == 0


def test_of_two_peaks_without_a_valley_the_higher_one_counts():
    density = Density(np.linspace(0, 1, 100))
    hills = np.zeros(BINS)
    hills[[2000, 2150, 6000]] = [100, 140, 130]
    (cut,) = density.valleys(90, hills)
    places = (density.edges[:-1] + density.edges[1:]) / 2
    assert places[2400] < cut < places[5800]
    assert len(density.valleys(20, hills)) == 2


# ---- segments ----


def test_the_best_path_is_that_of_all_paths():
    rng = RNG(2)
    for _ in range(10):
        ends = 6
        scores = np.where(np.triu(np.ones((ends, ends)), 1) > 0, rng.normal(0, 2, (ends, ends)), -np.inf)
        stray = rng.normal(-1, 1, ends - 1)

        def best(j, scores=scores, stray=stray):
            if j == 0:
                return 0.0, []
            options = [(best(j - 1)[0] + stray[j - 1], best(j - 1)[1])]
            options += [(best(i)[0] + scores[i, j], [*best(i)[1], (i, j)]) for i in range(j)]
            return max(options, key=lambda option: option[0])

        totals, previous = _best_paths(scores[None], stray)
        total, path = best(ends - 1)
        assert totals[0] == pytest.approx(total)
        assert _trace(previous[0], np.arange(ends) * 10) == [(10 * i, 10 * j) for i, j in path]


def test_an_own_width_costs_what_its_prior_says():
    scores = np.full((5, 1, 1), -100.0)
    scores[2] = 0.0
    cost = {step: (step * np.log(2) / 2 / 0.35) ** 2 / 2 for step in (-2, -1, 1)}
    own = _own_width(scores)[:, 0, 0]
    assert own == pytest.approx([-100, -cost[1], 0.0, -cost[-1], -cost[-2]]), "its own is two steps wider at most"


def test_segments_are_the_exits():
    times, counts, left_at = noisy([0.0, 1.0, 2.0], inputs=90)
    starts = np.arange(len(times) + 1)
    segments = _segment(times, counts, starts)
    assert len(segments) == 3 and segments[0][0] <= 1 and segments[-1][1] >= 89
    bounds = np.cumsum(np.bincount(np.sort(left_at)))
    assert [last for _, last in segments] == pytest.approx(bounds, abs=1)
    mixture, likely = find(times, counts)
    assert mixture.num_exits == 3 and likely[3] > 0.9


@pytest.mark.parametrize("tail", TAILS)
def test_a_segments_score_is_the_evidence_of_one_exit(tail):
    rng, sigma = RNG(4), 0.03
    atoms, counts = np.sort(rng.random(14)), rng.integers(1, 4, 14).astype(float)
    starts = np.array([0, 2, 3, 5, 6, 9, 12, 14])
    before = np.concatenate([[0], np.cumsum(counts)])[starts]
    scores = _scores(atoms, counts, starts, before[None, :] - before[:, None], sigma, tail)
    width, span = sigma * np.hypot(1, tail), atoms[-1] - atoms[0]
    for i, first in enumerate(starts):
        for j, last in enumerate(starts):
            inside, inputs = slice(first, last), counts[first:last].sum()
            if inputs < LEAST or atoms[last - 1] >= atoms[first] + REACH * width:
                assert scores[i, j] == -np.inf
                continue
            centres = atoms[(atoms >= atoms[first]) & (atoms < atoms[first] + REACH * width)]
            noise = log_density(atoms[inside] - centres[:, None], sigma, tail * sigma)
            likely = (np.logaddexp(noise, np.log(STRAY / span)) * counts[inside]).sum(1).max()
            assert scores[i, j] == pytest.approx(likely + np.log(np.sqrt(2 * np.pi / inputs) * width / span), abs=0.1)


def test_every_tail_is_tried_and_noise_widths_in_steps_of_the_root_of_two(monkeypatch):
    tried = {}

    def recorded(atoms, counts, starts, inputs, sigma, tail):
        tried.setdefault(tail, []).append(sigma)
        return _scores(atoms, counts, starts, inputs, sigma, tail)

    monkeypatch.setattr(blocks, "_scores", recorded)
    times, counts, _ = noisy([0.0, 1.0, 2.0], inputs=60)
    _segment(times, counts, np.arange(len(times) + 1))
    assert set(tried) == {0.1, 0.5, 2.0}
    middle = np.diff(np.quantile(times, [0.05, 0.95]))[0]
    assert tried[0.5] == pytest.approx(middle * 2.0 ** np.arange(-9.5, -0.5, 0.5))
    for tail in (0.1, 2.0):
        start = tried[0.5].index(tried[tail][0])
        assert tried[tail] == tried[0.5][start : start + 6], "three steps to either side of the best"


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_segments_do_not_depend_on_the_unit_of_time(unit):
    times, counts, _ = noisy([0.0, 1.0], inputs=40)
    times = np.sort(np.append(times, [0.6, 3.0]))
    counts = np.ones(len(times))
    segments = _segment(unit * times, counts, np.arange(len(times) + 1))
    assert len(segments) == 2 and segments == _segment(times, counts, np.arange(len(times) + 1))
    assert segments[-1][1] == len(times) - 1, "a stray time is in none"


# ---- repeats ----


def test_the_entropy_of_times_is_vasiceks():
    times = RNG(0).random(100)
    ordered = np.sort(times)
    assert _entropy(times) == pytest.approx(np.log(ordered[3:] - ordered[:-3]).mean())
    assert _entropy(times * 7) == pytest.approx(_entropy(times) + np.log(7))
    assert np.isfinite(_entropy(np.full(30, 2.0))) and _entropy(np.full(30, 2.0)) == 0
    assert _entropy(np.repeat([0.0, 1.0], 50)) < -15


@pytest.mark.parametrize(("noise", "how"), [("low", np.min), ("even", np.mean), ("heavy", np.median)])
def test_repeats_are_condensed_to_the_quietest(noise, how):
    rng = RNG(1)
    draw = {
        "low": lambda: rng.exponential(1, (300, 5)),
        "even": lambda: rng.uniform(-1, 1, (300, 5)) + rng.standard_normal((300, 5)),
        "heavy": lambda: rng.standard_t(1.2, (300, 5)),
    }[noise]
    seconds = 100 * rng.integers(3, size=(300, 1)) + draw()
    assert (condense(seconds) == how(seconds, axis=1)).all()
    assert (condense(seconds[:, :1]) == seconds[:, 0]).all()


def test_the_cut_that_comes_back_least_is_named():
    rng = RNG(0)
    level = np.repeat([0.0, 1.0, 1.02, 2.0], 50)
    seconds = level[:, None] + 0.1 * rng.standard_normal((200, 4))
    assert unrepeated(seconds, np.array([50, 50, 50, 50])) == 1
    assert unrepeated(seconds, np.array([50, 100, 50])) is None
    assert unrepeated(seconds, np.array([200])) is None
    first, second = condense(seconds[:, ::2]), condense(seconds[:, 1::2])
    for size in range(60, 140, 10):
        order = np.argsort(first)
        late, early = second[order[size:]], second[order[:size]]
        comes_back = mannwhitneyu(late, early).statistic / (len(late) * len(early)) >= REAPPEARS
        assert (unrepeated(seconds, np.array([size, 200 - size])) is None) == comes_back


# ---- ticks ----


@pytest.mark.parametrize("tick", [0.001, 0.016, 1.0])
def test_the_tick_of_a_coarse_clock_is_found(tick):
    rng = RNG(0)
    seconds = tick * np.round((1 + rng.integers(4, size=(200, 3)) + 0.3 * rng.random((200, 3))) * 5)
    assert tick_of(seconds) == pytest.approx(tick, rel=1e-3)
    assert tick_of(seconds + 17) == pytest.approx(tick, rel=1e-3)
    assert tick_of(rng.random((200, 3))) == 0.0, "fine times do not repeat"


def test_half_of_the_times_may_be_distinct():
    times = np.repeat(np.arange(10.0), 2)
    assert tick_of(times[:, None]) == pytest.approx(1.0)
    assert tick_of(np.append(times[:-1], 9.5)[:, None]) == 0.0


def test_ticks_that_are_skipped_are_found_by_euclids_algorithm():
    often = np.repeat([0.0, 4.0, 10.0, 24.0], 5)
    assert tick_of(often[:, None]) == pytest.approx(2.0)
    irregular = np.repeat([0.0, 1.0, 1 + np.sqrt(2), 4.1], 5)
    assert tick_of(irregular[:, None]) == pytest.approx(FINEST), "times that are on no grid"


@pytest.mark.parametrize("inputs", [2, 3, 5, 10, 31])
def test_equal_times_are_spread_evenly_over_their_tick(inputs):
    numbers = np.sort(_filling(np.zeros(inputs)))
    assert numbers[0] > 0 and numbers[-1] < 1
    assert np.diff(np.append(numbers, 1 + numbers[0])).max() < 2 / inputs


def test_repeats_average_a_tick_away_where_they_differ_by_half_of_it():
    seconds = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    sd = np.std([0, 1], ddof=1)
    assert is_averaged(seconds, 2 * sd) and not is_averaged(seconds, 2 * sd + 1e-9)
    assert not is_averaged(seconds[:, :1], 0.0)


def test_a_tick_is_noise():
    seconds = np.repeat([1.0, 3.0], 500)[:, None]
    spread = blurred(seconds, 0.5, averaged=False)[:500, 0] - 1.0
    assert spread.mean() == pytest.approx(0, abs=0.01) and spread.std() == pytest.approx(0.25, abs=0.01)
    assert len(np.unique(spread)) == 500
    several = np.repeat(seconds, 2, axis=1)
    both = blurred(several, 0.5, averaged=False)
    assert both[:, 0] == pytest.approx(both[:, 1]), "one offset for all askings of an input"
    even = blurred(several, 0.5, averaged=True) - several
    assert abs(even).max() <= 0.25 and even.std() == pytest.approx(0.5 / np.sqrt(12), abs=0.01)


# ---- the simulated clock ----


def test_a_simulated_clock_is_what_it_says():
    rng = RNG(0)
    seconds, left_at = Clock(4, 20, "geometric").draw(40_000, 2, rng)
    assert seconds.shape == (40_000, 2) and left_at.shape == (40_000,)
    shares = np.bincount(left_at) / 40_000
    assert shares[-1] / shares[0] == pytest.approx(RAREST, rel=0.15) and (np.diff(shares) < 0).all()
    assert shares[1] / shares[0] == pytest.approx(shares[2] / shares[1], rel=0.1)
    noise = 20 * (seconds - (1 + left_at)[:, None])
    assert noise.mean() == pytest.approx(TAIL, abs=0.02) and noise.std() == pytest.approx(np.hypot(1, TAIL), abs=0.02)
    even = np.bincount(Clock(4, 20).draw(40_000, 1, rng)[1]) / 40_000
    assert even == pytest.approx([0.25] * 4, abs=0.02)
    costs = Clock(4, 1e9, uneven=0.3).draw(4000, 1, RNG(3))
    gaps = np.diff([costs[0][costs[1] == exit].mean() for exit in range(4)])
    assert (gaps >= 0.7).all() and (gaps <= 1.3).all() and np.ptp(gaps) > 0.05
    several = [Clock(2, 1e9, uneven=0.3).draw(50, 1, RNG(seed))[0] for seed in range(20)]
    assert 0.7 < min(map(np.ptp, several)) < 0.8 and 1.2 < max(map(np.ptp, several)) < 1.3
    with pytest.raises(FrozenInstanceError):
        Clock(4, 20).ratio = 3


# ---- from runtimes to an estimate ----


def test_many_times_are_averaged_with_their_neighbours():
    few, counts = _atoms(np.array([1.0, 2.0, 2.0]))
    assert (few == [1.0, 2.0]).all() and (counts == [1.0, 2.0]).all()
    times = np.concatenate([RNG(0).random(3001), 10 + RNG(1).random(2999)])
    atoms, counts = _atoms(times)
    assert len(atoms) <= MOST_ATOMS and counts.sum() == 6000 and (np.diff(atoms) > 0).all()
    assert atoms @ counts == pytest.approx(times.sum())
    gap = np.flatnonzero(np.diff(atoms) > 5)
    assert len(gap) == 1 and counts[: gap[0] + 1].sum() == 3001, "nothing is averaged across a gap"


@pytest.mark.parametrize(
    ("runtimes", "said"),
    [
        (np.zeros((30, 0)), "must have shape"),
        (np.zeros((30, 2, 2)), "must have shape"),
        (np.zeros(()), "must have shape"),
        (np.arange(19.0), "19 runtimes are too few"),
        (np.append(np.arange(30.0), np.nan), "not finite"),
    ],
)
def test_what_are_no_runtimes_is_refused(runtimes, said):
    with pytest.raises(ExitprintError, match=said):
        estimate_exits(runtimes)
    assert estimate_exits(np.arange(20.0) % 2, exact=True).count == 2


def test_the_unit_is_that_of_the_times():
    times = RNG(0).random(200)
    assert _unit(times * 1e6) == pytest.approx(1e6 * _unit(times)) and _unit(times + 5) == pytest.approx(_unit(times))
    assert 0 < _unit(times) <= 1


def test_a_clock_without_noise_is_cut_half_way():
    found = estimate_exits(np.repeat([1.0, 2.0, 4.0], 10), exact=True)
    assert found.centres.tolist() == [1, 2, 4] and found.boundaries.tolist() == [1.5, 3]
    assert found.exits.tolist() == [0] * 10 + [1] * 10 + [2] * 10 and found.count_probabilities == {3: 1.0}


@pytest.mark.parametrize("unit", [1.0, 1e-4])
def test_what_does_not_come_back_or_is_a_tick_apart_is_no_exit(unit):
    rng = RNG(0)
    slow = rng.random((300, 2)) < 0.5
    two_levels = 1 + slow + 0.02 * rng.standard_normal(slow.shape)
    assert estimate_exits(unit * two_levels[:, :1]).count == 2
    ticking = np.round(20 + 0.4 * rng.standard_normal(300))
    apart = ticking + 10 * (np.arange(300) % 2)
    for seconds, exits in ((two_levels, 1), (ticking, 1), (apart, 2)):
        found = estimate_exits(unit * seconds)
        assert found.count == exits and found.certainty > 0.5


def test_numbers_of_exits_are_shifted_and_never_below_one():
    assert _shifted({2: 0.5, 3: 0.3, 4: 0.2}, -1) == pytest.approx({1: 0.5, 2: 0.3, 3: 0.2})
    assert _shifted({1: 0.25, 2: 0.5, 3: 0.25}, -2) == pytest.approx({1: 1.0})
    assert _shifted({1: 0.25, 2: 0.75}, 0) == {1: 0.25, 2: 0.75}


def test_the_first_exit_is_one_median_step_deep():
    assert _relative(np.array([5.0])).tolist() == [1.0]
    assert _relative(np.array([10.0, 11.0, 12.0, 14.0])) == pytest.approx([1 / 5, 2 / 5, 3 / 5, 1])


def test_inputs_get_the_exit_of_the_nearest_centre_and_a_probability():
    rng = RNG(0)
    left_at = rng.integers(3, size=150)
    seconds = 1 + left_at + 0.05 * rng.standard_normal(150)
    for method in ("blocks", "kde", "mixture"):
        found = estimate_exits(seconds, method)
        assert (found.exits == left_at).all() and found.method == method
        assert (found.probabilities > 0.99).all() and (found.probabilities <= 1).all()
        assert found.centres == pytest.approx([1, 2, 3], abs=0.05)
        assert (np.abs(found.boundaries - [1.5, 2.5]) < 0.3).all()


def test_the_seed_of_the_bootstrap_decides_how_sure_it_is():
    seconds = np.sort(RNG(0).random(60))
    one, same, other = (estimate_exits(seconds, "kde", seed).count_probabilities for seed in (1, 1, 2))
    assert one == same != other and sum(one.values()) == pytest.approx(1)
