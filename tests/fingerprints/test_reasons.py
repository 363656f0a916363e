"""Each reason is given where it is true, with the figures that show it, and before those that matter less."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from behaviour import Scripted, heard
from exitprint.fingerprints.reasons import reason
from exitprint.fingerprints.statistic import Test
from exitprint.suspects.journal import Work
from exitprint.timing.session import Asked, session

FOLLOWS = heard([(index, 1.0 + index) for seed in range(2) for index in np.random.default_rng(seed).permutation(20)])
SAME = heard([(index, 0.05) for _ in range(2) for index in range(20)])


def fed(nature: tuple[int, int, int] | None, samples: tuple[int, int, int]) -> Test:
    """A test that observed so many wins, ties and losses."""
    test = Test(0.65, 0.01, 0.02, nature=nature is not None)
    for stream, counts in (("nature", nature or (0, 0, 0)), ("crafted", samples)):
        for x, number in zip((1.0, 0.5, 0.0), counts, strict=True):
            for _ in range(number):
                test.update(stream, x)
    return test


def computed(seconds: list[float]):
    """A session on a cost model's clock."""
    images = {"a": torch.zeros(len(seconds), 1, 1, 1)}
    suspect = Scripted([seconds[0], *seconds], "cost-model")
    with session(suspect, images, Work("test", "", Asked, ""), expected=1) as asking:
        for index in range(len(seconds)):
            asking.ask("a", index)
    return asking


def test_a_claim_says_what_was_found_and_at_which_level():
    test = fed((20, 0, 0), (24, 0, 1))
    said = reason(test, FOLLOWS, None, spent=True)
    assert test.decision == "derived" and said.startswith("By nature the images made late are the quick ones")
    assert "orders the originals so in 100% of the pairs" in said and "they take it longer in 96% of the pairs" in said
    assert "more than the 65% that a network of other origin" in said and "at most alpha = 0.01" in said
    evidence = min(test.claim.e_value, test.nature.e_value)
    assert (
        said.endswith(f"the evidence is an e-value of {evidence:,.6g}.") and test.claim.e_value != test.nature.e_value
    )


def test_a_claim_by_the_papers_kind_does_not_speak_of_halves():
    test = fed(None, (30, 0, 0))
    said = reason(test, FOLLOWS, None, spent=False)
    assert said.startswith("The fingerprint's images take the suspect longer than originals of others in 100%")
    assert said.endswith(f"an e-value of {test.claim.e_value:,.6g}.") and "By nature" not in said


def test_independence_is_promised_for_copies():
    said = reason(fed((20, 0, 0), (1, 0, 20)), SAME, 0.1, spent=True)
    assert "take the suspect longer in 5% of the pairs only" in said and "at most beta = 0.02" in said


@pytest.mark.parametrize(("like", "unlike"), [(0.49, True), (0.5, False), (None, False)])
def test_a_suspect_that_answers_otherwise_does_not_understand_the_images(like, unlike):
    said = reason(fed((2, 0, 2), (0, 0, 0)), SAME, like, spent=True)
    assert ("answers only 49% of the original images" in said) == unlike
    assert ("same time for every input" in said) == (not unlike)


def test_the_other_order_of_the_originals_goes_before_silence():
    said = reason(fed((0, 0, 20), (0, 0, 0)), SAME, None, spent=True)
    assert "the other way round than the fingerprint says (0% of the pairs are in the natural order)" in said
    assert "does not understand" in reason(fed((0, 0, 20), (0, 0, 0)), SAME, 0.2, spent=True)


def test_silence_is_said_with_its_figures_in_milliseconds():
    rng, other = np.random.default_rng(1), np.random.default_rng(1)
    constant = heard([(index, 0.05 + 1e-4 * rng.random()) for _ in range(2) for index in range(30)])
    noisy = heard([(index, 0.05 + 0.5 * rng.random()) for _ in range(2) for index in range(30)])
    first = [(index, 0.05 + 0.01 * rng.random()) for index in range(30)]
    cache = heard([*first, *((index, 0.001) for index in range(30))])
    test = fed((2, 0, 2), (2, 0, 2))
    assert "in nearly constant time, 50.1 ms, nine of ten answers within 0.087 ms" in reason(test, constant, None, True)
    assert "correlation of 0.27 only" in reason(test, noisy, None, True)
    assert "nine of ten answers spread over 418 ms" in reason(test, noisy, None, True), "no powers of ten"
    assert reason(test, cache, None, True).startswith("100% of the inputs took longest when they were asked first")
    far = heard([(index, 1.2345 + 1e-4 * other.random()) for _ in range(2) for index in range(30)])
    assert "in nearly constant time, 1,235 ms, " in reason(test, far, None, True)


def mostly(tied: int, of: int = 20):
    return computed([1.0] * tied + [2.0 + index for index in range(of - tied)])


@pytest.mark.parametrize(("nature", "samples", "tied"), [((0, 6, 5), (0, 0, 0), True), ((0, 5, 5), (0, 0, 0), False)])
def test_more_ties_than_not_are_one_exit(nature, samples, tied):
    said = reason(fed(nature, samples), mostly(12), None, spent=False)
    assert ("sends nearly all to one exit" in said) == tied


def test_ties_of_all_streams_and_rounds_count():
    test = fed((5, 2, 4), (1, 7, 0))
    assert "sends nearly all" not in reason(test, mostly(12), None, spent=False)
    test.next_round("crafted")
    for _ in range(2):
        test.update("crafted", 0.5)
    assert "sends nearly all to one exit" in reason(test, mostly(12), None, spent=False)
    assert "sends nearly all" not in reason(test, FOLLOWS, None, spent=False), "a measured clock is not one exit"
    assert "sends nearly all to one exit" in reason(fed(None, (0, 9, 0)), mostly(12), None, spent=False)


@pytest.mark.parametrize(
    ("nature", "spent", "advice"),
    [
        ((3, 0, 2), True, "Allow more requests, amplify them"),
        ((3, 0, 2), False, "Asking again would bring nothing new"),
        (None, True, "use a contrast fingerprint, or `measure_t_n`"),
        (None, False, "use a contrast fingerprint, or `measure_t_n`"),
    ],
)
def test_between_the_two_it_says_what_each_needs_and_what_would_help(nature, spent, advice):
    test = fed(nature, (7, 0, 3))
    low, high = test.claim.interval()
    said = reason(test, FOLLOWS, 0.9, spent)
    assert said.startswith("After 40 requests the images made late took the suspect longer in 70% of the pairs")
    assert f"(between {low:.0%} and {high:.0%} with 95 % confidence)" in said and low < 0.6 < 0.8 < high
    assert "more than 65% (alpha = 0.01)" in said and "(beta = 0.02)" in said and advice in said


def test_before_samples_were_asked_it_speaks_of_the_originals():
    test = fed((6, 0, 3), (0, 0, 0))
    low, high = test.nature.interval()
    said = reason(test, FOLLOWS, None, spent=True)
    assert said.startswith("After 40 requests it is not clear that the suspect orders the original images")
    assert f"(67% of the pairs, between {low:.0%} and {high:.0%} with 95 % confidence)" in said


@pytest.mark.parametrize("nature", [(0, 0, 0), None])
def test_nothing_compared_is_said(nature):
    assert reason(fed(nature, (0, 0, 0)), FOLLOWS, None, spent=True) == (
        "All 40 requests were spent before anything could be compared: allow more requests."
    )
