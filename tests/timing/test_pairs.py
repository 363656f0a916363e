from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitprint.errors import ExitprintError
from exitprint.timing.pairs import Pair, compared, matched, repeats_of, split
from exitprint.timing.timings import quiet, quiet_of_one


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_each_input_is_used_at_most_once(slow: int, quick: int, seed: int) -> None:
    pairs = matched("a", "b", (slow, quick), (seed,))
    assert len(pairs) == min(slow, quick)
    for inputs, kind, size in (([p.slow for p in pairs], "a", slow), ([p.quick for p in pairs], "b", quick)):
        assert len(set(inputs)) == len(inputs) and set(inputs) <= {(kind, number) for number in range(size)}


@given(st.integers(2, 60), st.integers(0, 2**32 - 1))
def test_no_number_is_in_two_pairs_of_a_split(size: int, seed: int) -> None:
    pairs = split("sample", "original", size, (seed,))
    numbers = [number for pair in pairs for _, number in (pair.slow, pair.quick)]
    assert len(pairs) == size // 2 and len(set(numbers)) == len(numbers)


def test_the_seed_and_the_round_decide() -> None:
    one, same, later, other = (matched("a", "b", (50, 50), *x) for x in (((7,),), ((7,), 1), ((7,), 2), ((8,),)))
    assert one == same and one != other
    assert [pair.slow for pair in one] != [pair.slow for pair in later]


def test_a_seed_draws_what_it_drew_in_earlier_versions() -> None:
    """Journals of earlier runs fit only as long as this holds; see `METHOD` of verification."""
    drawn = [(pair.slow[1], pair.quick[1], pair.slow_first, pair.repeats) for pair in matched("a", "b", (5, 4), (7, 1))]
    assert drawn == [(4, 0, False, 1), (1, 2, False, 1), (0, 1, True, 3), (3, 3, True, 9)]
    drawn = [(pair.slow[1], pair.quick[1], pair.slow_first, pair.repeats) for pair in split("a", "b", 7, (7, 2))]
    assert drawn == [(2, 5, False, 1), (4, 6, True, 1), (1, 3, True, 3)]


def test_the_later_a_pair_comes_the_more_often_it_is_asked() -> None:
    assert repeats_of(8) == [1, 1, 1, 1, 3, 3, 9, 9] and repeats_of(1) == [1]
    assert [repeats_of(3, round_) for round_ in (2, 3, 4, 5)] == [[9] * 3, [27] * 3, [81] * 3, [81] * 3]
    assert repeats_of(8, least=3) == [3, 3, 3, 3, 3, 3, 9, 9] and repeats_of(2, 2, least=27) == [27, 27]
    assert [pair.repeats for pair in matched("a", "b", (20, 30), (0,))] == repeats_of(20)


def test_all_matches_and_orders_are_equally_likely() -> None:
    drawn = [matched("a", "b", (3, 3), (seed,)) for seed in range(6000)]
    table = np.zeros((3, 3))
    for pair in (pair for pairs in drawn for pair in pairs):
        table[pair.slow[1], pair.quick[1]] += 1
    assert table == pytest.approx(2000, abs=5 * np.sqrt(2000))
    assert np.mean([pair.slow_first for pairs in drawn for pair in pairs]) == pytest.approx(0.5, abs=0.02)


def test_no_pair_without_both_kinds() -> None:
    with pytest.raises(ExitprintError, match="at least one input of each kind, not 5 and 0"):
        matched("a", "b", (5, 0), (0,))
    with pytest.raises(ExitprintError, match="at least two images"):
        split("a", "b", 1, (0,))


@pytest.mark.parametrize(("slow", "quick", "x"), [(2.0, 1.0, 1.0), (1.0, 2.0, 0.0), (1.0, 1.0, 0.5)])
@pytest.mark.parametrize("repeats", [1, 3])
def test_a_comparison_says_who_took_longer(slow: float, quick: float, x: float, repeats: int) -> None:
    times = {("a", 0): slow, ("b", 4): quick}
    assert compared(Pair(("a", 0), ("b", 4), True, repeats), lambda kind, index: times[kind, index]) == x


@pytest.mark.parametrize(("first", "order"), [(True, "abbaab"), (False, "baabba")])
def test_the_two_are_asked_in_turns(first: bool, order: str) -> None:
    asked: list[str] = []

    def ask(kind: str, index: int) -> float:
        asked.append(kind)
        return 1.0

    compared(Pair(("a", 0), ("b", 0), first, 3), ask)
    assert "".join(asked) == order
    asked.clear()
    compared(Pair(("a", 0), ("b", 0), first, 3), ask, noisy=False)
    assert "".join(asked) == order[:2]


def test_a_pair_stays_as_it_was_drawn() -> None:
    (pair,) = matched("a", "b", (1, 1), (0,))
    with pytest.raises(FrozenInstanceError):
        pair.repeats = 3  # type: ignore[misc]


def test_one_disturbed_asking_of_three_does_not_count() -> None:
    times = iter([1.0, 0.9, 0.9, 1.0, 50.0, 0.9])  # a b b a a b
    assert compared(Pair(("a", 0), ("b", 0), True, 3), lambda kind, index: next(times)) == 1.0


@given(st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=12))
def test_the_quiet_time_of_one_input_is_that_of_many(seconds: list[float]) -> None:
    assert quiet_of_one(seconds) == pytest.approx(float(quiet(seconds)), rel=1e-12)
