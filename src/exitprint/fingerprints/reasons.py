"""What a sequential verdict says in words, and why a suspect's time may say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from exitprint.fingerprints.asking import Heard, quiet
from exitprint.fingerprints.bracket import BracketTest
from exitprint.fingerprints.score import FloatArray
from exitprint.timing.sequential import SequentialTest, SignTest

LEAST_RELIABILITY = 0.5
LEAST_INPUTS = 8
CHANCE = 3.0
"""Standard deviations (Fisher's z) that a correlation of a few inputs only has to be away from none."""
CACHED = 0.75
SPREAD_OF_CACHED = 1 / 3
SPREAD_OF_CONSTANT_TIME = 0.2

CONTRAST_DERIVED = (
    "In {plus} of {told} comparisons the image made late took the suspect longer than one made early that was asked "
    "right before or after it, though by nature it is the easier one: the suspect goes by what was put into the "
    "images, as a copy of the owner's network does. {level}"
)
CONTRAST_INDEPENDENT = (
    "In only {plus} of {told} comparisons the image made late took the suspect longer than one made early: the suspect "
    "goes by what the images show by nature and not by what was put into them, so this gives no reason to call it a "
    "copy. A copy that keeps what was put into three of four pairs would be missed by this test, whenever it stops, "
    "with a probability of at most beta = {beta:g}."
)
CONTRAST_INCONCLUSIVE = (
    "After {requests:,} requests the evidence suffices neither to call the suspect a copy (alpha = {alpha:g}) nor to "
    "clear it (beta = {beta:g}): the image made late took longer in {plus} of {told} comparisons, a share between "
    "{low:.0%} and {high:.0%} with 95 % confidence; allow more requests, amplify them, or use a fingerprint of more "
    "samples."
)
PAPER_DERIVED = (
    "The fingerprint inputs take the suspect nearly as long as its slowest ordinary inputs: T_N = {T_N:.3f} is below "
    "T_f = {T_f:.3f}, as is expected of a copy of the owner's network and not of an independent one. {level}"
)
PAPER_INDEPENDENT = (
    "The fingerprint inputs leave the suspect early, as on a network of other origin: T_N = {T_N:.3f} is above "
    "T_f = {T_f:.3f}, so this gives no reason to call the suspect a copy. A suspect whose T_N is not above T_f would "
    "be missed by this test, whenever it stops, with a probability of at most beta = {beta:g}."
)
PAPER_INCONCLUSIVE = (
    "After {requests:,} requests T_N lies between {low:.3f} and {high:.3f} with 95 % confidence, which is not clearly "
    "on one side of T_f = {T_f:.3f} (alpha = {alpha:g}, beta = {beta:g}): allow more requests, amplify them, or use a "
    "contrast fingerprint, which a noisy path disturbs less."
)
LEVEL = (
    "A suspect that does not do so would be called derived by this test, whenever it stops, with a probability of at "
    "most alpha = {alpha:g}; the evidence is an e-value of {e_value:.3g} (p = {p_value:.2g})."
)
NOTHING = "All {requests:,} requests were spent before anything could be compared: allow more requests."

SAME = "The suspect takes the same time for every input, so its time says nothing about its origin."
CACHE = (
    "The suspect answers an input faster once it was asked before ({cached:.0%} of the inputs), as a cache in front of "
    "it does, so asking again brings no further evidence: use a fingerprint of more samples."
)
CONSTANT = (
    "The suspect answers in constant time: {middle:.3g} ms, for nine of ten answers within {spread:.2g} ms, and two "
    "askings of one input agree no better than those of two inputs (correlation {reliability:.2f}); so its time says "
    "nothing about its origin."
)
NOISY = (
    "The suspect's time hardly depends on its input: two askings of one input agree little better than those of two "
    "inputs (correlation {reliability:.2f}), and nine of ten answers spread over {spread:.2g} ms. It may answer in "
    "constant time, or the path to it is too noisy: allow more requests, amplify them, or ask from nearby."
)


def contrast_reason(test: SignTest, requests: int) -> str:
    """The reason of a contrast fingerprint's verdict after so many requests."""
    if not test.updates:
        return NOTHING.format(requests=requests)
    plus, minus = (sum(getattr(x, name) for x in test.rounds) for name in ("plus", "minus"))
    text = {"derived": CONTRAST_DERIVED, "independent": CONTRAST_INDEPENDENT, "inconclusive": CONTRAST_INCONCLUSIVE}
    return text[test.decision].format(plus=plus, told=plus + minus, **_words(test, requests, test.interval()))


def paper_reason(test: BracketTest | None, requests: int) -> str:
    """The reason of a paper fingerprint's verdict after so many requests; without a test if it was not begun."""
    if test is None or not test.updates:
        return NOTHING.format(requests=requests)
    text = {"derived": PAPER_DERIVED, "independent": PAPER_INDEPENDENT, "inconclusive": PAPER_INCONCLUSIVE}
    return text[test.decision].format(T_N=test.T_N, T_f=test.T_f, **_words(test, requests, test.interval()))


def why_silent(heard: Heard) -> str | None:
    """A sentence if the suspect's time does not depend on its input, as far as repeated askings can tell.

    Two askings of one input that follow each other agree already because they met the same load, so what counts is by
    how much more they agree than either does with the input asked next to the other.
    """
    times = heard.evidence
    if not times:
        return None
    everything = np.concatenate(list(times.values()))
    if len(times) > 1 and np.ptp(everything) == 0:
        return SAME
    repeated = [seconds for seconds in times.values() if len(seconds) > 1]
    if len(repeated) < LEAST_INPUTS:
        return None
    cached = float(np.mean([seconds[0] > max(seconds[1:]) for seconds in repeated]))
    first, later = (_spread(values) for values in zip(*((x[0], quiet(x[1:])) for x in repeated), strict=True))
    if cached >= CACHED and later < SPREAD_OF_CACHED * first:
        return CACHE.format(cached=cached)
    steady, beside = heard.steady, heard.beside
    early, late, other = (
        [quiet(left[start::2]) for left in these.values() if len(left) > 1]
        for these, start in ((steady, 0), (steady, 1), (beside, 1))
    )
    own, load = _correlation(early, late), max(0.0, _correlation(early, other))
    reliability = (own - load) / (1 - load) if load < 1 else 0.0
    by_chance = float(np.tanh(CHANCE / np.sqrt(len(repeated) - 3)))
    if reliability >= max(LEAST_RELIABILITY, by_chance):
        return None
    middle, spread = 1e3 * float(np.median(everything)), 1e3 * _spread(everything)
    text = CONSTANT if spread < SPREAD_OF_CONSTANT_TIME * middle else NOISY
    return text.format(middle=middle, spread=spread, reliability=reliability)


def _correlation(one: list[float], other: list[float]) -> float:
    """By ranks; 0 where one of the two is the same throughout."""
    return float(np.nan_to_num(spearmanr(one, other).statistic))


def _spread(seconds: Sequence[float] | FloatArray) -> float:
    """How far apart nine of ten are."""
    low, high = np.quantile(seconds, (0.05, 0.95))
    return float(high - low)


def _words(test: SequentialTest, requests: int, interval: tuple[float, float]) -> dict[str, Any]:
    numbers = {"alpha": test.alpha, "beta": test.beta, "e_value": test.e_value, "p_value": test.p_value}
    low, high = interval
    return {**numbers, "level": LEVEL.format(**numbers), "requests": requests, "low": low, "high": high}
