from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitprint.errors import ExitprintError
from exitprint.timing.pairs import draw_pairs, repeats_of


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_each_input_is_used_at_most_once(late: int, early: int, seed: int) -> None:
    pairs = draw_pairs(late, early, seed)
    assert len(pairs) == min(late, early)
    for indices, size in ((pairs.late, late), (pairs.early, early)):
        assert len(set(indices)) == len(indices) and set(indices) <= set(range(size))


def test_the_seed_and_the_round_decide() -> None:
    one, same, next_round, other = (draw_pairs(50, 50, *x) for x in ((7,), (7, 1), (7, 2), (8,)))
    assert np.array_equal(one.late, same.late) and np.array_equal(one.late_first, same.late_first)
    assert not np.array_equal(one.late, next_round.late) and not np.array_equal(one.late, other.late)


def test_the_later_a_pair_comes_the_more_often_it_is_asked() -> None:
    assert repeats_of(8).tolist() == [1, 1, 1, 1, 3, 3, 9, 9] and repeats_of(1).tolist() == [1]
    assert [repeats_of(3, round_).tolist() for round_ in (2, 3, 4, 5)] == [[9] * 3, [27] * 3, [81] * 3, [81] * 3]
    drawn = draw_pairs(20, 30, seed=0, round_=1)
    assert [repeats for *_, repeats in drawn] == repeats_of(20).tolist() and len(list(drawn)) == 20


def test_all_matches_and_orders_are_equally_likely() -> None:
    drawn = [draw_pairs(3, 3, seed) for seed in range(6000)]
    matched = np.zeros((3, 3))
    for pairs in drawn:
        matched[pairs.late, pairs.early] += 1
    assert matched == pytest.approx(2000, abs=5 * np.sqrt(2000))
    first = np.mean([pairs.late_first for pairs in drawn], axis=(0, 1))
    assert first == pytest.approx(0.5, abs=0.02)


def test_no_pair_without_both_kinds() -> None:
    with pytest.raises(ExitprintError, match="at least one late and one early input, not 5 and 0"):
        draw_pairs(5, 0, seed=0)
