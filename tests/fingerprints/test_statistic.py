"""The null hypotheses as code: which inputs are compared, what is decided from it, and when asking ends."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from behaviour import crafted
from exitprint.evidence.eprocess import EProcess
from exitprint.fingerprints.statistic import ROUNDS_WITHOUT_NOISE, Stream, Test, run, streams
from exitprint.timing.pairs import matched, split

CONTRAST = replace(crafted("contrast", 20), late=torch.arange(20) < 8)
NATURE = Stream("nature", "early original", "late original", (12, 8))
CRAFTED = Stream("crafted", "late", "early", (8, 12))
outcomes = st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=30)
errors = st.sampled_from([0.2, 0.05, 0.01])


def fed(null: float, observations: list[float]) -> EProcess:
    process = EProcess(null)
    for x in observations:
        process.update(x)
    return process


def test_a_contrast_has_two_streams_and_the_papers_kind_one():
    assert streams(CONTRAST) == (NATURE, CRAFTED)
    assert streams(crafted("paper", 20)) == (Stream("crafted", "sample", "original", (20, 20), same=True),)


def test_the_streams_are_matched_apart_and_anew_in_each_round():
    assert NATURE.pairs(7, 2, 3) == matched("early original", "late original", (12, 8), (7, 1), 2, 3)
    assert CRAFTED.pairs(7, 2, 3) == matched("late", "early", (8, 12), (7, 2), 2, 3)
    assert streams(crafted("paper", 20))[0].pairs(7, 2, 3) == split("sample", "original", 20, (7, 2), 2, 3)


@given(outcomes, outcomes, errors, errors, st.sampled_from([0.55, 0.7]))
def test_a_decision_refutes_two_null_hypotheses_and_stays(nature, samples, alpha, beta, p0):
    test = Test(p0, alpha, beta)
    for x in nature:
        test.update("nature", x)
    wanted, seen = "inconclusive", []
    for x in samples:
        test.update("crafted", x)
        seen.append(x)
        natural = fed(0.5, nature)
        if wanted == "inconclusive":
            if fed(p0, seen).reaches(alpha) and natural.reaches(alpha):
                wanted = "derived"
            elif fed(0.5, [1 - x for x in seen]).reaches(beta) and natural.reaches(beta):
                wanted = "independent"
        assert test.decision == wanted
    natural, unnatural = fed(0.5, nature), fed(0.5, [1 - x for x in nature])
    assert test.natural == (natural.reaches(alpha) and natural.reaches(beta))
    assert test.unnatural == unnatural.reaches(alpha)
    assert test.settled("nature") == (test.natural or test.unnatural)
    assert test.settled("crafted") == (wanted != "inconclusive")
    assert test.log_e == min(natural.largest_log_e, fed(p0, samples).largest_log_e)
    assert test.log_e_clear == min(natural.largest_log_e, fed(0.5, [1 - x for x in samples]).largest_log_e)


@given(outcomes, errors, errors)
def test_without_originals_the_samples_decide_alone(samples, alpha, beta):
    test = Test(0.6, alpha, beta, nature=False)
    for x in samples:
        test.update("crafted", x)
    assert test.nature is None and test.natural and not test.unnatural and test.settled("nature")
    claim, clear = fed(0.6, samples), fed(0.5, [1 - x for x in samples])
    assert (test.log_e, test.log_e_clear) == (claim.largest_log_e, clear.largest_log_e)
    assert (test.decision == "inconclusive") == (not claim.reaches(alpha) and not clear.reaches(beta))


def test_the_natural_order_of_originals_is_no_evidence_after_a_decision_was_due():
    """Samples asked before the originals decide as soon as both suffice, and not before."""
    test = Test(0.6, 0.05, 0.05)
    for _ in range(20):
        test.update("crafted", 1.0)
    assert test.decision == "inconclusive"
    for _ in range(20):
        test.update("nature", 1.0)
    test.update("crafted", 1.0)
    assert test.decision == "derived"


def test_each_stream_has_its_own_rounds():
    test = Test(0.6, 0.05, 0.05)
    test.next_round("nature")
    assert [len(each.rounds) for each in (test.nature, test._unnatural, test.claim, test.clear)] == [2, 2, 1, 1]
    test.next_round("crafted")
    test.next_round("crafted")
    assert [len(each.rounds) for each in (test.nature, test._unnatural, test.claim, test.clear)] == [2, 2, 3, 3]
    alone = Test(0.6, 0.05, 0.05, nature=False)
    alone.next_round("crafted")
    assert len(alone.claim.rounds) == 2


class Clock:
    """Seconds by kind of input, and how often each input was asked."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds
        self.asked: list[tuple[str, int]] = []

    def __call__(self, kind: str, index: int) -> float:
        self.asked.append((kind, index))
        return self.seconds[kind.replace(" ", "_")]


SLOW_BY_NATURE = {"early_original": 2.0, "late_original": 1.0}
LIKE_A_COPY = {**SLOW_BY_NATURE, "late": 2.0, "early": 1.0}


@pytest.mark.parametrize("seconds", [LIKE_A_COPY, {**SLOW_BY_NATURE, "late": 1.0, "early": 2.0}])
def test_asking_ends_with_the_decision(seconds):
    clock, test = Clock(**seconds), Test(0.6, 0.1, 0.1)
    came = list(run((NATURE, CRAFTED), test, clock, seed=1))
    assert test.decision == ("derived" if seconds is LIKE_A_COPY else "independent")
    assert came == ["nature"] * came.count("nature") + ["crafted"] * came.count("crafted")
    assert test.nature.observations == came.count("nature") < 8
    again = fed(0.5, [1.0] * (came.count("nature") - 1))
    assert not again.reaches(0.1), "one original pair fewer would not have done"
    assert test.claim.observations == test.clear.observations == came.count("crafted")
    pairs = [*NATURE.pairs(1, 1, 1)[: came.count("nature")], *CRAFTED.pairs(1, 1, 1)[: came.count("crafted")]]
    assert list(dict.fromkeys(clock.asked)) == [
        one for pair in pairs for one in ((pair.slow, pair.quick) if pair.slow_first else (pair.quick, pair.slow))
    ]


def test_originals_in_the_other_order_end_it_before_a_sample_is_asked():
    clock, test = Clock(early_original=1.0, late_original=2.0, late=2.0, early=1.0), Test(0.6, 0.1, 0.1)
    assert set(run((NATURE, CRAFTED), test, clock, seed=0)) == {"nature"}
    assert (
        test.unnatural
        and test.decision == "inconclusive"
        and {kind for kind, _ in clock.asked}
        == {
            "early original",
            "late original",
        }
    )


def test_without_noise_three_rounds_are_matched_and_no_more():
    clock, test = Clock(early_original=2.0, late_original=1.0, late=2.0, early=1.0), Test(0.9, 1e-9, 1e-9)
    came = list(run((NATURE, CRAFTED), test, clock, seed=0, noisy=lambda: False))
    assert came == ["nature"] * 8 * ROUNDS_WITHOUT_NOISE and len(test.nature.rounds) == ROUNDS_WITHOUT_NOISE
    assert len(clock.asked) == 2 * len(came), "asking again would bring nothing"


@pytest.mark.parametrize(("tied", "rounds"), [(9, 3), (10, 1)])
def test_without_noise_ties_end_it_after_a_round(tied, rounds):
    stream = Stream("crafted", "late", "early", (10, 10))
    test = Test(0.9, 1e-9, 1e-9, nature=False)

    def ask(kind: str, index: int) -> float:
        return float(kind == "late" and index >= tied)

    assert len(list(run((stream,), test, ask, seed=0, noisy=lambda: False))) == 10 * rounds


def test_losses_are_no_ties():
    test = Test(0.9, 1e-9, 1e-9, nature=False)
    stream = Stream("crafted", "late", "early", (10, 10))
    came = list(run((stream,), test, lambda kind, index: float(kind == "early"), seed=0, noisy=lambda: False))
    assert len(came) == 30 and test.claim.rounds[0].lost == 10


def test_with_noise_asking_goes_on_in_new_rounds():
    test = Test(0.9, 1e-9, 1e-9, nature=False)
    asking = run((Stream("crafted", "late", "early", (4, 4)),), test, lambda kind, index: 1.0, seed=0)
    for _ in range(4 * 5 + 1):
        next(asking)
    assert len(test.claim.rounds) == len(test.clear.rounds) == 6 and test.claim.observations == 21


def test_samples_are_asked_as_often_as_the_originals_had_to_be():
    """Originals that are told apart only where each is asked nine times: so are the samples from their first pair."""
    nature, samples = Stream("nature", "early original", "late original", (40, 40)), Stream("crafted", "a", "b", (8, 8))
    told = {pair.slow for pair in nature.pairs(0, 1, 1) if pair.repeats == 9}
    asked: list[str] = []

    def ask(kind: str, index: int) -> float:
        asked.append(kind)
        return float((kind, index) in told) if "original" in kind else float(kind == "a")

    test = Test(0.6, 0.1, 0.1)
    came = list(run((nature, samples), test, ask, seed=0))
    first = [kind for kind in asked if "original" not in kind][:18]
    assert test.decision == "derived" and came.count("nature") > 30
    assert first.count("a") == first.count("b") == 9 and first[0] != first[1] == first[2]


def test_the_weaker_evidence_counts():
    test = Test(0.6, 0.05, 0.05)
    for _ in range(20):
        test.update("nature", 1.0)
    assert test.log_e == test.log_e_clear == 0.0 and test.natural
    test.update("crafted", 1.0)
    assert 0 < test.log_e == test.claim.largest_log_e < math.log(20) and test.log_e_clear == 0.0
