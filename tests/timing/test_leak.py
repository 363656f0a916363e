from __future__ import annotations

import numpy as np
import pytest

from exitprint.errors import ExitprintError
from exitprint.timing.exits import estimate_exits
from exitprint.timing.exits.simulated import Clock
from exitprint.timing.leak import countermeasures, leak


@pytest.fixture(scope="module")
def rows():
    seconds, truth = Clock(6, 20).draw(600, 3, np.random.default_rng(0))
    return countermeasures(seconds / 1000, truth)


def test_clear_runtimes_give_everything_away(rows):
    found = rows[0].leak
    assert rows[0].name == "as it is" and rows[0].added == 0
    assert found.ARI > 0.99 and found.share > 0.98
    assert found.entropy == pytest.approx(np.log2(6), abs=0.02)


def test_constant_time_hides_everything_and_costs_the_longest_run(rows):
    constant = rows[1]
    assert constant.name == "constant time"
    assert constant.leak.exits == 1 and constant.leak.bits == 0 and constant.leak.share == 0
    assert constant.latency == pytest.approx(6e-3, rel=0.05) and constant.added > 0.5


def test_a_coarser_grid_gives_less_away_and_costs_more(rows):
    two, four = rows[2:4]
    assert two.leak.bits < four.leak.bits < rows[0].leak.bits
    assert two.added > four.added > 0
    assert two.leak.bits == pytest.approx(1, abs=0.1)


def test_asking_again_sees_through_a_random_delay(rows):
    for once, often in (rows[4:6], rows[6:8]):
        assert (once.asked, often.asked) == (1, 16)
        assert once.leak.bits < often.leak.bits <= rows[0].leak.bits + 1e-9
        assert once.latency == pytest.approx(often.latency, rel=0.1)
    assert rows[6].added > rows[4].added > 0


def test_a_strategy_with_one_exit_has_nothing_to_give_away():
    found = leak(estimate_exits(np.random.default_rng(0).random(100)), np.zeros(100, dtype=int))
    assert found.entropy == 0 and found.share == 0


def test_every_input_needs_its_true_exit():
    with pytest.raises(ExitprintError, match="as many true exits"):
        leak(estimate_exits(np.arange(30) % 3), [0, 1])
