"""Does the test keep its word: error rates over 10,000 runs and by exact enumeration, power, resuming."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import binom

from exitprint.errors import ExitprintError
from exitprint.timing.betting import log_e_counts, log_growth, needed_for, stakes
from exitprint.timing.sequential import MeanTest, SignTest, most_faster_twice, round_slice
from exitprint_studies.ours.simulation import decide_many, simulate, simulate_times

RUNS = 10_000
signs = st.sampled_from([1, -1, 0])
pair_lists = st.lists(st.tuples(signs, signs), min_size=1, max_size=60)


def gaussian(sd: float) -> Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]:
    return lambda generator, shape: generator.normal(0, sd, shape)


def at_most(level: float, runs: int = RUNS) -> float:
    """The share of runs that a true level exceeds by chance in one simulation of a million."""
    return float(binom.isf(1e-6, runs, level)) / runs


def ever_derived(p: float, alpha: float, budget: int) -> float:
    """Exact probability that a one-round test with independent signs ever says `derived`, by enumeration of counts."""
    needed = needed_for(alpha * round_slice(1), 0.5, budget)
    alive, claimed = np.array([1.0]), 0.0
    for n in range(1, budget + 1):
        alive = np.append(alive * (1 - p), 0) + np.insert(alive * p, 0, 0)
        plus = np.arange(n + 1)
        stops = plus >= needed[n - plus]
        claimed += alive[stops].sum()
        alive[stops] = 0
    return claimed


@pytest.mark.parametrize("alpha", [0.05, 0.01, 1e-3])
@pytest.mark.parametrize("budget", [50, 500])
def test_exact_probability_of_a_false_claim_is_below_alpha(alpha: float, budget: int) -> None:
    assert 0 < ever_derived(0.5, alpha, budget) <= alpha
    assert ever_derived(0.4, alpha, budget) < ever_derived(0.5, alpha, budget)


@pytest.mark.parametrize("alpha", [0.05, 0.01, 1e-3])
def test_false_claims_among_10000_runs_stopped_at_their_best_moment(alpha: float) -> None:
    never_independent = simulate(0.5, 0.0, test=SignTest(alpha=alpha), runs=RUNS, seed=1)
    assert never_independent.derived <= at_most(alpha)
    exact = ever_derived(0.5, alpha, 500)
    assert never_independent.derived == pytest.approx(exact, abs=5 * np.sqrt(exact / RUNS))
    assert simulate(0.6, 0.0, test=SignTest(alpha=alpha, p0=0.6), runs=RUNS, seed=2).derived <= at_most(alpha)


@pytest.mark.parametrize("beta", [0.05, 0.01, 1e-3])
@pytest.mark.parametrize("faster_twice", [0.25, 0.0])
def test_missed_copies_among_10000_runs(beta: float, faster_twice: float) -> None:
    weakest = SignTest(alpha=1e-12, beta=beta, p1=0.75)
    missed = simulate(0.75, faster_twice, test=weakest, runs=RUNS, seed=3).independent
    assert missed <= at_most(beta)
    assert (missed > 0) == (faster_twice > 0)


@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0, 100.0])
def test_no_noise_makes_a_copy_independent(noise: float) -> None:
    """Three pairs of four are right, as clear as each other, under noise from none to nothing but."""
    generator = np.random.default_rng(4)
    late = np.where(generator.random((2000, 200)) < 0.75, 1.0, -1.0)
    outcomes = simulate_times(late, np.zeros_like(late), gaussian(noise), test=SignTest(alpha=1e-12, beta=0.02))
    assert outcomes.independent <= at_most(0.02, 2000)


@pytest.mark.parametrize("noise", [0.0, 0.2, 5.0])
@pytest.mark.parametrize("rounds", [1, 4])
def test_benign_inputs_against_themselves(noise: float, rounds: int) -> None:
    """Ten exits one unit apart; a given set of 50 + 50 is unbalanced by accident, the promise is over sets."""
    generator = np.random.default_rng(5)
    late, early = generator.integers(10, size=(2, 2000, 50)).astype(float)
    outcomes = simulate_times(late, early, gaussian(noise), test=SignTest(alpha=0.05, beta=1e-12), rounds=rounds)
    assert 0 < outcomes.derived <= at_most(0.05, 2000)


@pytest.mark.parametrize("noise", [0.3, 5.0])
def test_asking_ever_more_often_makes_no_claim_and_no_miss(noise: float) -> None:
    """As a verification asks: benign inputs against themselves, and copies of which three pairs of four are right."""
    generator = np.random.default_rng(13)
    late, early = generator.integers(10, size=(2, RUNS, 50)).astype(float)
    claims = simulate_times(
        late, early, gaussian(noise), test=SignTest(alpha=0.05, beta=1e-12), repeated=True, budget=1000
    )
    assert 0 < claims.derived <= at_most(0.05)
    late = np.where(generator.random((2000, 50)) < 0.75, 1.0, -1.0)
    copies = simulate_times(
        late, np.zeros_like(late), gaussian(noise), test=SignTest(alpha=1e-12, beta=0.05), rounds=2, repeated=True
    )
    assert copies.independent <= at_most(0.05, 2000)


def test_of_recorded_times_each_asking_draws_one() -> None:
    """Late inputs take 1 or 3, early ones 2: a coin for one asking; the quicker half of nine is mostly below 2."""
    late, early = np.tile([1.0, 3.0], (400, 40, 1)), np.full((400, 40), 2.0)
    once, often = (
        simulate_times(late, early, gaussian(0), test=SignTest(beta=1e-3), repeated=repeated, rounds=rounds)
        for repeated, rounds in ((False, 1), (True, 2))
    )
    assert once.inconclusive > 0.95 and often.independent > 0.95


def test_a_given_set_without_an_effect_is_not_claimed_either() -> None:
    """Half of the late inputs beat every early one, half none: sampling without replacement swings, but not too far."""
    late = np.tile(np.repeat([1.0, -1.0], 25), (RUNS, 1))
    outcomes = simulate_times(late, np.zeros((RUNS, 80)), gaussian(0), test=SignTest(alpha=0.05, beta=1e-12))
    assert 0 < outcomes.derived <= at_most(0.05)


def test_drift_and_bursts_make_no_claim() -> None:
    """Autoscaling (slow first requests), a trend and a heavy-tailed random walk, far larger than an exit."""

    def noise(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        order = np.arange(shape[-1])
        return 100 * np.exp(-order / 10) + 0.5 * order + np.cumsum(generator.standard_t(2, shape), axis=-1)

    same = np.zeros((2000, 50))
    outcomes = simulate_times(same, same, noise, test=SignTest(alpha=0.05, beta=0.05), rounds=2)
    assert 0 < outcomes.derived <= at_most(0.05, 2000)
    assert outcomes.independent <= at_most(0.05, 2000)


def test_constant_time_is_inconclusive() -> None:
    same = np.zeros((20, 50))
    outcomes = simulate_times(same, same, gaussian(0))
    assert outcomes.inconclusive == 1 and np.all(outcomes.pairs == 50)


@pytest.mark.parametrize(("slower", "pairs"), [(1.0, 12), (0.95, 17), (0.9, 23), (0.85, 31)])
def test_copies_are_found_within_few_pairs(slower: float, pairs: int) -> None:
    outcomes = simulate(slower, runs=RUNS, seed=6)
    assert outcomes.derived >= 0.999
    assert outcomes.pairs.mean() <= pairs


@pytest.mark.parametrize(("slower", "pairs"), [(0.0, 6), (0.15, 10), (0.3, 18), (0.4, 31)])
def test_independents_are_found_within_few_pairs(slower: float, pairs: int) -> None:
    outcomes = simulate(slower, runs=RUNS, seed=7)
    assert outcomes.independent >= 0.999
    assert outcomes.pairs.mean() <= pairs


def test_noise_costs_requests_and_never_a_wrong_verdict() -> None:
    generator = np.random.default_rng(8)
    late, early = np.where(generator.random((2, 1000, 100)) < 0.95, [[[9.0]], [[1.0]]], [[[1.0]], [[9.0]]])
    requests = []
    for sd in (0.1, 5.0, 20.0):
        copy = simulate_times(late, early, gaussian(sd), rounds=2, seed=9)
        independent = simulate_times(early, late, gaussian(sd), rounds=2, seed=9)
        assert copy.independent == 0 and independent.derived == 0
        requests.append(np.median(copy.requests))
    assert requests == sorted(requests) and requests[0] <= 60


@settings(max_examples=30, deadline=None)
@given(st.lists(pair_lists, min_size=1, max_size=2), st.sampled_from([0.3, 0.05, 1e-3]))
def test_many_runs_at_once_decide_like_one(rounds: list[list[tuple[int, int]]], error: float) -> None:
    length = min(len(pairs) for pairs in rounds)
    table = np.array([pairs[:length] for pairs in rounds])
    test = SignTest(alpha=error, beta=error)
    asked = 0
    for number, pairs in enumerate(table):
        if number:
            test.next_round()
        for pair in pairs:
            if test.decision == "inconclusive":
                test.update(*pair)
                asked += 2 + 2 * int(pair[0] == -1)
    outcomes = decide_many(table[None, ..., 0], table[None, ..., 1], SignTest(alpha=error, beta=error))
    assert {1: "derived", -1: "independent", 0: "inconclusive"}[int(outcomes.decision[0])] == test.decision
    assert (outcomes.pairs[0], outcomes.requests[0]) == (test.updates, asked)


def test_evidence_interval_and_path_of_a_copy() -> None:
    test = SignTest()
    for sign in [1] * 8 + [0] + [-1] + [1] * 15:
        decision = test.update(sign, -1)
    assert decision == test.decision == "derived"
    assert test.estimate == 23 / 24 and test.updates == 25
    assert test.e_value == pytest.approx(0.95 * np.exp(log_e_counts(23, 1, 0.5)))
    assert test.p_value == pytest.approx(1 / test.e_value) and test.e_value_copy < 1
    lower, upper = test.interval(0.999)
    assert 0.5 < lower < 23 / 24 < upper < 1
    path = test.path
    assert path.log_e_null.shape == path.log_e_copy.shape == path.estimate.shape == (25,)
    assert np.exp(path.log_e_null.max()) == pytest.approx(test.e_value)
    assert path.needed_null == pytest.approx(np.log(1000))


def test_a_decision_stays_and_the_p_value_remembers() -> None:
    test = SignTest()
    for _ in range(12):
        test.update(1)
    p_value = test.p_value
    for _ in range(40):
        test.update(-1, -1)
    assert test.decision == "derived" and test.p_value == p_value <= 1e-3
    assert test.e_value < 1 < 1000 < test.e_value_copy


def test_before_the_first_pair_nothing_is_known() -> None:
    test = SignTest()
    assert test.decision == "inconclusive" and test.p_value == test.e_value == 1
    assert test.interval() == (0, 1) and np.isnan(test.estimate) and test.path.estimate.shape == (0,)


def test_faster_once_is_no_evidence_of_independence() -> None:
    once, twice = SignTest(), SignTest()
    for _ in range(20):
        once.update(-1, 1)
        twice.update(-1, -1)
    assert once.e_value_copy < 1 and once.decision == "inconclusive" and twice.decision == "independent"
    assert most_faster_twice(0.9) == most_faster_twice(0.75) == 0.25 < most_faster_twice(0.6)


@pytest.mark.parametrize("p", [0.5, 0.8, 0.97])
def test_interval_covers_at_all_times_together(p: float) -> None:
    generator = np.random.default_rng(10)
    plus = np.cumsum(generator.random((2000, 200)) < p, axis=1)
    minus = np.arange(1, 201) - plus
    nodes, where = np.unique(np.stack([plus.ravel(), minus.ravel()]), axis=1, return_inverse=True)
    missed = np.maximum(log_e_counts(*nodes, p), log_e_counts(*nodes[::-1], 1 - p)) >= np.log(2 / 0.1)
    assert 0 < missed[where].reshape(plus.shape).any(axis=1).mean() <= at_most(0.1, 2000)


@settings(deadline=None, max_examples=25)
@given(pair_lists, st.floats(0.5, 0.99))
def test_interval_is_the_test_inverted(pairs: list[tuple[int, int]], p0: float) -> None:
    test = SignTest()
    for pair in pairs:
        test.update(*pair)
    lower, _ = test.interval(0.9)
    round_ = test.rounds[0]
    evidence = log_e_counts(round_.plus, round_.minus, p0) + np.log(round_slice(1))
    assert (p0 < lower) == (evidence >= np.log(2 / 0.1)) or p0 == pytest.approx(lower, abs=1e-9)


def test_interval_of_several_rounds_is_the_narrowest() -> None:
    test = SignTest(alpha=1e-9)
    for _ in range(20):
        test.update(1)
    first = test.interval()
    test.next_round()
    test.update(-1, -1)
    assert test.interval() == first and test.estimate == 20 / 21


def test_slices_of_the_error_rates_add_up_to_one() -> None:
    assert sum(round_slice(number) for number in range(1, 60)) == pytest.approx(1, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(pair_lists, pair_lists, st.integers(0, 120))
def test_a_sign_test_goes_on_exactly_where_it_was_cut_off(
    first: list[tuple[int, int]], second: list[tuple[int, int]], cut: int
) -> None:
    whole, resumed = SignTest(0.05, 0.02, 0.55, 0.8), SignTest(0.05, 0.02, 0.55, 0.8)
    for at, pair in enumerate([*first, None, *second]):
        if at == cut:
            resumed = SignTest.from_dict(json.loads(json.dumps(resumed.to_dict())))
        for test in (whole, resumed):
            if pair is None:
                test.next_round()
            else:
                test.update(*pair)
    assert whole.to_dict() == resumed.to_dict()
    assert (whole.decision, whole.p_value, whole.interval()) == (resumed.decision, resumed.p_value, resumed.interval())
    assert np.array_equal(whole.path.log_e_null, resumed.path.log_e_null)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 30))
def test_a_mean_test_goes_on_exactly_where_it_was_cut_off(observations: list[float], cut: int) -> None:
    whole, resumed = MeanTest(0.1, 0.05, 0.02), MeanTest(0.1, 0.05, 0.02)
    for at, observation in enumerate(observations):
        if at == cut:
            resumed = MeanTest.from_dict(json.loads(json.dumps(resumed.to_dict())))
        whole.update(observation)
        resumed.update(observation)
    assert whole.to_dict() == resumed.to_dict()
    assert (whole.decision, whole.e_value, whole.p_value) == (resumed.decision, resumed.e_value, resumed.p_value)


MEAN_A_TENTH: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "constant": lambda generator, shape: np.full(shape, 0.1),
    "narrow": lambda generator, shape: generator.uniform(0.05, 0.15, shape),
    "wide": lambda generator, shape: generator.beta(0.1, 0.9, shape),
    "rare": lambda generator, shape: (generator.random(shape) < 0.1).astype(float),
}


@pytest.mark.parametrize("kind", MEAN_A_TENTH)
def test_a_mean_at_the_threshold_is_on_neither_side(kind: str) -> None:
    x = MEAN_A_TENTH[kind](np.random.default_rng(11), (1000, 200))
    _, log_w = stakes()
    below, above = np.zeros(len(x), dtype=bool), np.zeros(len(x), dtype=bool)
    wealth_below, wealth_above = np.tile(log_w, (len(x), 1)), np.tile(log_w, (len(x), 1))
    for now in x.T:
        wealth_below += log_growth(1 - now, 0.9)
        wealth_above += log_growth(now, 0.1)
        below |= logsumexp(wealth_below, axis=1) >= np.log(1 / 0.05)
        above |= logsumexp(wealth_above, axis=1) >= np.log(1 / 0.05)
    assert below.mean() <= at_most(0.05, len(x)) and above.mean() <= at_most(0.05, len(x))


@pytest.mark.parametrize(
    ("mean", "decision", "requests"), [(0.01, "derived", 100), (0.04, "derived", 160), (0.4, "independent", 15)]
)
def test_mean_test_finds_the_side(mean: float, decision: str, requests: int) -> None:
    generator = np.random.default_rng(12)
    test = MeanTest(0.1)
    while test.decision == "inconclusive":
        test.update(generator.uniform(0, 2 * mean))
    assert test.decision == decision and test.updates <= requests
    lower, upper = test.interval(0.99)
    assert lower < mean < upper
    assert lower > 0.1 if decision == "independent" else upper < 0.1
    assert test.p_value == (pytest.approx(1 / test.e_value) if decision == "derived" else 1)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": 0}, "alpha must lie strictly between 0 and 1, not 0"),
        ({"beta": 1.5}, "beta must lie strictly between 0 and 1"),
        ({"p0": 0.4}, "0.5 <= p0 < p1 < 1"),
        ({"p0": 0.8}, "0.5 <= p0 < p1 < 1"),
        ({"p1": float("nan")}, "0.5 <= p0 < p1 < 1"),
    ],
)
def test_parameters_out_of_range(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(ExitprintError, match=message):
        SignTest(**parameters)


def test_bad_observations_are_refused() -> None:
    test = SignTest()
    for sign in (2, float("nan")):
        with pytest.raises(ExitprintError, match=r"a sign is \+1, -1 or 0"):
            test.update(sign)  # type: ignore[arg-type]
    with pytest.raises(ExitprintError, match="asked a second time"):
        test.update(-1)
    assert test.updates == 0
    for x in (-0.1, 1.1, float("nan")):
        with pytest.raises(ExitprintError, match=r"must lie in \[0, 1\]"):
            MeanTest(0.1).update(x)
    with pytest.raises(ExitprintError, match="T_f must lie"):
        MeanTest(0)


@pytest.mark.parametrize("state", [{}, {"alpha": 0.1}, [], {**SignTest().to_dict(), "rounds": [[1, 2]]}])
def test_a_broken_state_is_refused(state: object) -> None:
    for kind in (SignTest, MeanTest):
        with pytest.raises(ExitprintError, match="cannot be read"):
            kind.from_dict(state)  # type: ignore[arg-type]


def test_simulations_refuse_what_they_cannot_run() -> None:
    with pytest.raises(ExitprintError, match="add up to at most 1"):
        simulate(0.8, 0.3)
    with pytest.raises(ExitprintError, match=r"one shape \(runs, rounds, pairs\)"):
        decide_many(np.ones((3, 4)), np.ones((3, 4)), SignTest())
    with pytest.raises(ExitprintError, match="with as many runs"):
        simulate_times(np.ones((3, 4)), np.ones((2, 4)), gaussian(1))
