from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exitprint.errors import ExitprintError
from exitprint.evidence.eprocess import FIRST_SLICE, Counts, EProcess, least_observations, log_e, slice_of
from exitprint.evidence.limits import BUDGET, ERROR_RATE

counts = st.builds(Counts, *[st.integers(0, 40)] * 3)
nulls = st.floats(0.05, 0.95)
outcomes = st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=40)


def fed(null: float, *rounds: list[float]) -> EProcess:
    process = EProcess(null)
    for number, observations in enumerate(rounds):
        if number:
            process.next_round()
        for x in observations:
            process.update(x)
    return process


@given(counts, nulls)
def test_the_wealth_is_a_martingale_where_the_null_is_tight(now: Counts, null: float) -> None:
    won, tied, lost = now
    tie = min(null, 1 - null)  # any chance of a tie that leaves the mean at the null
    chances = {
        Counts(won + 1, tied, lost): null - tie / 2,
        Counts(won, tied + 1, lost): tie,
        Counts(won, tied, lost + 1): 1 - null - tie / 2,
    }
    growth = sum(chance * math.exp(log_e(then, null) - log_e(now, null)) for then, chance in chances.items())
    assert growth == pytest.approx(1, abs=1e-9)


@given(counts, nulls, st.floats(0, 1))
def test_it_shrinks_on_average_everywhere_else_in_the_null(now: Counts, null: float, part: float) -> None:
    p = part * null
    up = math.exp(log_e(now._replace(won=now.won + 1), null) - log_e(now, null))
    down = math.exp(log_e(now._replace(lost=now.lost + 1), null) - log_e(now, null))
    assert p * up + (1 - p) * down <= 1 + 1e-9


@settings(max_examples=50)
@given(outcomes, nulls)
def test_the_estimate_lies_in_the_interval_and_the_interval_is_the_test_inverted(x: list[float], null: float) -> None:
    process = fed(null, x)
    lower, upper = process.interval()
    assert 0 <= lower <= upper <= 1
    if x:
        assert process.mean == pytest.approx(np.mean(x)) and lower <= process.mean <= upper
    else:
        assert process.mean is None and process.interval() == (0, 1)
    error = 0.025 * FIRST_SLICE
    refuted = log_e(process.rounds[0], null) >= -math.log(error)
    assert (null < lower) == refuted or null == pytest.approx(lower, abs=1e-9)


@given(outcomes, outcomes, nulls)
def test_the_evidence_is_the_largest_of_the_rounds(first: list[float], second: list[float], null: float) -> None:
    process = fed(null, first, second)
    logs = [math.log(slice_of(k + 1)) + log_e(c, null) for k, c in enumerate(process.rounds)]
    assert process.log_e == pytest.approx(max(logs))
    assert process.largest_log_e >= max(0.0, process.log_e)
    assert process.p_value == pytest.approx(1 / process.e_value) and 0 < process.p_value <= 1
    assert process.observations == len(first) + len(second)


@given(outcomes)
def test_a_null_once_refuted_stays_refuted(x: list[float]) -> None:
    process = fed(0.5, [1.0] * 20)
    assert process.reaches(1e-3)
    for one in x:
        process.update(one)
    assert process.reaches(1e-3)


def test_estimate_and_interval_are_of_one_round() -> None:
    process = fed(0.5, [1.0, 0.0] * 20, [1.0] * 20)
    assert (process.deciding, process.mean) == (1, 1.0) and process.interval()[1] == pytest.approx(1)
    assert fed(0.5, [1.0] * 20, [0.0] * 20).mean == 1.0
    assert fed(0.5, [1.0] * 20, []).mean == 1.0


@given(counts)
def test_counts_turned_are_those_of_one_minus_each(now: Counts) -> None:
    assert now.turned.turned == now and now.turned.total == now.total == sum(now)
    if now.total:
        assert now.mean + now.turned.mean == pytest.approx(1)
        assert now.mean == (now.won + 0.5 * now.tied) / now.total
    else:
        assert now.mean is None


@given(outcomes, outcomes, nulls)
def test_the_largest_evidence_is_that_of_every_moment(first: list[float], second: list[float], null: float) -> None:
    process, largest = EProcess(null), 0.0
    assert (process.largest_log_e, process.e_value, process.p_value, process.deciding) == (0.0, 1.0, 1.0, 0)
    for observations in (first, second):
        for x in observations:
            process.update(x)
            largest = max(largest, process.log_e)
        process.next_round()
    assert process.largest_log_e == largest and process.e_value == pytest.approx(math.exp(largest))
    assert process.reaches(math.exp(-largest) + 1e-12) and not process.reaches(math.exp(-largest) * 0.999)


@settings(max_examples=40)
@given(outcomes, outcomes, st.floats(0.05, 0.99))
def test_the_interval_is_of_the_deciding_round(first: list[float], second: list[float], confidence: float) -> None:
    process = fed(0.5, first, second)
    logs = [math.log(slice_of(k + 1)) + log_e(c, 0.5) for k, c in enumerate(process.rounds) if c.total]
    assert process.deciding == (0 if not logs else len(first) == 0 or int(np.argmax(logs)))
    deciding = process.rounds[process.deciding]
    error = (1 - confidence) / 2 * slice_of(process.deciding + 1)
    lower, upper = process.interval(confidence)
    for end, turned in ((lower, deciding), (1 - upper, deciding.turned)):
        if end > 0:
            assert log_e(turned, end) >= -math.log(error) > log_e(turned, min(end + 1e-9, 1 - 1e-12))
    assert process.interval() == process.interval(0.95)


def test_evidence_has_a_largest_value() -> None:
    process = EProcess(0.01)
    process.rounds[-1] = Counts(won=9999)
    process.update(1.0)
    assert process.largest_log_e > 700 and process.e_value == pytest.approx(1e300) and process.reaches(1e-300)
    assert process.p_value == pytest.approx(1e-300)


def test_the_slices_add_up_to_one() -> None:
    assert sum(slice_of(number) for number in range(1, 60)) == pytest.approx(1)
    assert slice_of(1) == 0.75 and slice_of(2) == 0.125 and slice_of(3) == 0.0625


@pytest.mark.parametrize(("null", "error"), [(0.5, 1e-3), (0.65, 1e-3), (0.8, 1e-3), (0.8, 0.05), (0.95, 1e-3)])
def test_the_least_number_of_observations_is_the_least(null: float, error: float) -> None:
    n = least_observations(null, error)
    assert fed(null, [1.0] * n).reaches(error) and not fed(null, [1.0] * (n - 1)).reaches(error)


@given(st.floats(0.02, 0.99), st.floats(1e-9, 0.9))
def test_one_observation_fewer_never_refutes(null: float, error: float) -> None:
    n = least_observations(null, error)
    needed = -math.log(error * FIRST_SLICE)
    assert log_e(Counts(n), null) >= needed and (n == 1 or log_e(Counts(n - 1), null) < needed)


def test_what_no_number_could_refute_is_said() -> None:
    with pytest.raises(
        ExitprintError, match=r"no useful number of observations can refute a mean of 0.9999 at .* 0.001"
    ):
        least_observations(0.9999, 1e-3)
    for null in np.linspace(0.998, 0.9996, 40):  # about where ten thousand just suffice
        enough = log_e(Counts(10_000), null) >= -math.log(1e-3 * FIRST_SLICE)
        if enough:
            assert least_observations(null, 1e-3) <= 10_000
        else:
            with pytest.raises(ExitprintError, match="no useful"):
                least_observations(null, 1e-3)


def test_parameters_out_of_range_are_named() -> None:
    with pytest.raises(ExitprintError, match="the largest mean of the null hypothesis must lie"):
        EProcess(1.0)
    with pytest.raises(ExitprintError, match="the largest mean of the null hypothesis must lie"):
        least_observations(0.0, 0.5)
    with pytest.raises(ExitprintError, match="the error rate must lie"):
        least_observations(0.5, 1.0)
    with pytest.raises(ExitprintError, match="confidence must lie"):
        EProcess(0.5).interval(1.0)


def test_the_defaults_are_those_that_are_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verification.md").read_text()
    assert BUDGET == 2000 and ERROR_RATE == 0.001 and "2,000" in page and "0.001" in page


@pytest.mark.parametrize("x", [0.3, -1, 2, float("nan")])
def test_only_wins_ties_and_losses_are_observations(x: float) -> None:
    with pytest.raises(ExitprintError, match="must be 1, 1/2 or 0"):
        EProcess(0.5).update(x)


RECORDED = json.loads(Path(__file__).with_name("confseq.json").read_text())
"""What `betting_mart` of confseq 0.0.11 (Waudby-Smith, Ramdas and Howard) comes to with our stakes as constant bets,
mixed as ours are. It cannot be installed where Boost's headers are not, so its answers are kept here."""


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: str(recorded["null"]))
def test_the_bets_agree_with_confseq(recorded: dict) -> None:
    process, ours = EProcess(recorded["null"]), []
    for x in recorded["observations"]:
        process.update(x)
        ours.append(math.exp(process.log_e) / FIRST_SLICE)
    assert ours == pytest.approx(recorded["wealth"], rel=1e-9)


@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_false_alarms_keep_to_the_level_whenever_one_stops(alpha: float) -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(600):
        process = EProcess(0.6)
        for x in (rng.random(60) < 0.6).astype(float):
            process.update(float(x))
        alarms += process.reaches(alpha)
    assert alarms <= 600 * alpha + 3 * math.sqrt(600 * alpha)
