"""Verdicts through suspects that can only be asked, on the cost-model clock and on clocks made for the purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exitprint.errors import ExitprintError
from exitprint.fingerprints import paper_fingerprint, verify
from exitprint.suspects import Answer, CostModel


@pytest.fixture(scope="module")
def made(target, digits):
    return paper_fingerprint(target, digits.test, samples=60, seed=1, steps=300)


class Clocked:
    """A cost-model suspect whose runtimes are shown by another, measured clock."""

    def __init__(self, network, show):
        self._inner, self._show = CostModel(network), show

    def ask(self, x):
        answer = self._inner.ask(x)
        return replace(answer, seconds=self._show(answer.seconds), clock="measured")


def test_the_target_is_derived_and_another_network_is_not(made, target, independent):
    own, other = verify(made, CostModel(target)), verify(made, CostModel(independent))
    assert (own.decision, other.decision) == ("derived", "independent")
    assert own.t_n < own.threshold < other.t_n
    assert own.interval[0] <= own.t_n <= own.interval[1]
    assert own.p_value < 0.001 and other.p_value > 0.9
    assert own.clock == "cost model" and own.requests == 2 * len(made)
    assert "T_N" in own.reason and own.as_dict()["decision"] == "derived"


def test_a_noisy_slow_clock_with_an_overhead_gives_the_same_verdicts(made, target, independent):
    rng = np.random.default_rng(0)

    def show(seconds):
        return 3 * seconds + 2e-4 + rng.exponential(2e-5, len(seconds))

    for network, decision in ((target, "derived"), (independent, "independent")):
        verdict = verify(made, Clocked(network, show), repeats=4)
        assert (verdict.decision, verdict.clock) == (decision, "measured")
        assert verdict.requests == 4 * 2 * len(made)


def test_constant_time_is_inconclusive_and_says_so(made, target):
    rng = np.random.default_rng(0)
    padded = verify(made, Clocked(target, lambda s: np.full(len(s), 0.1) + rng.exponential(1e-5, len(s))), repeats=4)
    assert padded.decision == "inconclusive" and "constant time" in padded.reason
    frozen = verify(made, Clocked(target, lambda s: np.full(len(s), 0.1)), repeats=2)
    assert frozen.decision == "inconclusive" and "same time for every input" in frozen.reason


def test_a_suspect_of_another_input_shape_is_refused(made):
    from exitprint.networks import MultiExitNetwork, architecture

    other = MultiExitNetwork.build(architecture("resnet8", (1, 16, 16), 10, width=4), seed=0)
    with pytest.raises(ExitprintError, match="takes images of shape"):
        verify(made, CostModel(other))


def test_a_suspect_with_one_exit_is_refused():
    from exitprint.networks import MultiExitNetwork, architecture

    arch = architecture("resnet8", (1, 8, 8), 10, width=4).model_copy(update={"exits": ()})
    with pytest.raises(ExitprintError, match="one exit only"):
        CostModel(MultiExitNetwork.build(arch, seed=0))


def test_an_answer_knows_its_clock(target, digits):
    answer = CostModel(target).ask(digits.test[:5].x)
    assert isinstance(answer, Answer) and answer.seconds.shape == (5,)
    assert answer.labels is not None and answer.labels.shape == (5,)
