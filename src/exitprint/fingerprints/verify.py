"""Verification: ask the suspect, score its runtimes, and say what follows."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

import numpy as np
from scipy.stats import PermutationMethod, mannwhitneyu, spearmanr

from exitprint.errors import ExitprintError
from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.fingerprints.score import NATURAL, FloatArray, auc, longest_time, normalised, t_n
from exitprint.fingerprints.verdict import Decision, Verdict
from exitprint.suspects.suspect import Suspect
from exitprint.timing import Timings, measure

CONFIDENCE = 0.95
BOOTSTRAPS = 4000
T_F_SHARE = 0.1
"""T_f as a share of the suspect's own benign T_N."""
LEAST_RELIABILITY = 0.5
ALPHA = 1e-3
LEAST_EFFECT = 0.7
PERMUTATIONS = 9999
REASONS: dict[Decision, str] = {
    "derived": (
        "The fingerprint inputs take the suspect nearly as long as its slowest ordinary inputs: T_N = {T_N:.3f} is "
        "below T_f = {T_f:.3f}, as is expected of a copy of the owner's network and not of an independent one."
    ),
    "independent": (
        "The fingerprint inputs leave the suspect early, as on a network of other origin: T_N = {T_N:.3f} is above "
        "T_f = {T_f:.3f}, so this gives no reason to call the suspect a copy."
    ),
    "inconclusive": (
        "T_N = {T_N:.3f} (between {low:.3f} and {high:.3f} with 95 % confidence) is too close to T_f = {T_f:.3f} to "
        "say whether the suspect is a copy: use a fingerprint of more samples."
    ),
}


def verify(fingerprint: Fingerprint, suspect: Suspect, repeats: int = 10, seed: int = 0) -> Verdict:
    """Is the suspect a copy of the network that the fingerprint was made for?

    Parameters
    ----------
    fingerprint
        The owner's fingerprint.
    suspect
        What can be asked.
    repeats
        How often each input is timed on a measured clock; the paper takes 10.
    seed
        Of the order of requests and of the bootstrap.

    Returns
    -------
    Verdict
        With its runtimes.
    """
    start = perf_counter()
    timings = measure(suspect, {"fingerprint": fingerprint.x, "benign": fingerprint.benign}, repeats, seed)
    seconds = perf_counter() - start
    if fingerprint.kind == "contrast":
        return decide_contrast(fingerprint, timings, seconds, seed)
    return decide(fingerprint, timings, seconds, seed)


def decide(fingerprint: Fingerprint, timings: Mapping[str, Timings], seconds: float, seed: int = 0) -> Verdict:
    """The verdict of a paper fingerprint from runtimes of its samples and of the benign images they came from.

    T_N of the samples is compared with T_f (section 3.3). The null hypothesis of `p_value` is that T_N is not below
    T_f; inputs are resampled (bootstrap), fingerprint and benign alike.
    """
    samples, benign = timings["fingerprint"].per_input, timings["benign"].per_input
    longest = longest_time(benign)
    T_N, benign_T_N = t_n(samples, longest), t_n(benign, longest)
    T_f = T_F_SHARE * benign_T_N
    drawn = _bootstrap(1 - normalised(samples, longest), 1 - normalised(benign, longest), seed)
    limits = [T_F_SHARE * value for value in drawn[1]]
    excess = drawn[0] - np.array(limits)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn[0], [tail, 1 - tail])
    decision: Decision = "inconclusive"
    reason = why_unreliable(timings)
    if reason is None:
        if np.quantile(excess, 1 - tail) < 0:
            decision = "derived"
        elif np.quantile(excess, tail) > 0:
            decision = "independent"
        reason = REASONS[decision].format(T_N=T_N, T_f=T_f, low=low, high=high)
    return Verdict(
        decision=decision,
        statistic="t_n",
        value=T_N,
        interval=(float(low), float(high)),
        threshold=T_f,
        p_value=float((1 + (excess >= 0).sum()) / (1 + BOOTSTRAPS)),
        t_n=T_N,
        benign_t_n=benign_T_N,
        requests=sum(group.requests for group in timings.values()),
        seconds=seconds,
        clock=timings["fingerprint"].clock,
        reason=reason,
        timings=timings,
    )


def decide_contrast(fingerprint: Fingerprint, timings: Mapping[str, Timings], seconds: float, seed: int = 0) -> Verdict:
    """The verdict of a contrast fingerprint from runtimes of its samples and of the benign images they came from.

    The statistic is the Mann–Whitney AUC of the late half's times against the early half's. By nature the images of
    the late half are the faster ones, so a network that does not know the perturbations stays below 0.5; the threshold
    is 0.5 for every network and every clock. ``derived`` needs a one-sided permutation test at `ALPHA` and, where the
    fingerprint asks for more than one half, an AUC above that with 95 % confidence; ``independent`` an AUC that is not
    above 0.5 and, at the level `ALPHA` (bootstrap), below `LEAST_EFFECT`.
    """
    halves, late = timings["fingerprint"].per_input, fingerprint.late.numpy()
    slow, fast = halves[late], halves[~late]
    if not len(slow) or not len(fast):
        raise ExitprintError("this contrast fingerprint has one half only: craft it again with both.")
    AUC, limit = auc(slow, fast), NATURAL
    longest = longest_time(timings["benign"].per_input)
    method = PermutationMethod(PERMUTATIONS, rng=np.random.default_rng(seed))
    p_value = float(mannwhitneyu(slow, fast, alternative="greater", method=method).pvalue)
    drawn = _bootstrap_auc(slow, fast, seed)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    unreliable = why_unreliable(timings)
    decision: Decision
    if unreliable:
        decision, reason = "inconclusive", unreliable
    elif p_value <= ALPHA:
        decision, reason = (
            "derived",
            (
                f"In {AUC:.0%} of all pairs the image made late takes the suspect longer than the one made early, "
                "though by nature it is the easier one: the suspect goes by what was put into the images, as a copy of "
                f"the owner's network does; chance does this with a probability of {p_value:.1g}."
            ),
        )
    elif AUC <= NATURAL and np.quantile(drawn, 1 - ALPHA) < LEAST_EFFECT:
        decision, reason = (
            "independent",
            (
                f"In only {AUC:.0%} of all pairs the image made late takes the suspect longer than the one made early: "
                "the suspect goes by what the images show by nature and not by what was put into them, so this "
                "gives no reason to call it a copy."
            ),
        )
    else:
        decision, reason = (
            "inconclusive",
            (
                f"In {AUC:.0%} of all pairs (between {low:.0%} and {high:.0%} with 95 % confidence) the image made "
                f"late takes the suspect longer than the one made early, which is too close to {limit:.0%} to say "
                "whether the suspect is a copy: use a fingerprint of more samples."
            ),
        )
    return Verdict(
        decision=decision,
        statistic="auc",
        value=AUC,
        interval=(float(low), float(high)),
        threshold=limit,
        p_value=p_value,
        t_n=t_n(slow, longest),
        benign_t_n=t_n(timings["benign"].per_input[late], longest),
        requests=sum(group.requests for group in timings.values()),
        seconds=seconds,
        clock=timings["fingerprint"].clock,
        reason=reason,
        timings=timings,
    )


def why_unreliable(timings: Mapping[str, Timings]) -> str | None:
    """A sentence if the suspect's time does not depend on its input, as far as these repeats can tell."""
    seconds = np.concatenate([group.seconds for group in timings.values()])
    if np.ptp(seconds.min(1)) == 0:
        return "The suspect takes the same time for every input, so its time says nothing about its origin."
    if seconds.shape[1] < 2 or next(iter(timings.values())).clock != "measured":
        return None
    reliability = float(spearmanr(seconds[:, 0::2].min(1), seconds[:, 1::2].min(1)).statistic)
    if reliability >= LEAST_RELIABILITY:
        return None
    return (
        "The suspect's time hardly depends on its input (two halves of the repeats rank the inputs with a correlation "
        f"of {reliability:.2f} only): it may answer in constant time, or the path to it is too noisy; measure with "
        "more repeats or on a quieter path."
    )


def _bootstrap(samples: FloatArray, benign: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=(BOOTSTRAPS, len(values)))].mean(1) for values in (samples, benign)]
    return means[0], means[1]


def _bootstrap_auc(late: FloatArray, early: FloatArray, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    longer = np.greater.outer(late, early) + 0.5 * np.equal.outer(late, early)
    n, m = longer.shape
    weight_late = rng.multinomial(n, np.full(n, 1 / n), size=BOOTSTRAPS) / n
    weight_early = rng.multinomial(m, np.full(m, 1 / m), size=BOOTSTRAPS) / m
    return ((weight_late @ longer) * weight_early).sum(1).clip(0, 1)
