"""What the sign test does over thousands of runs: its error rates and what a verdict costs.

`decide_many` is `SignTest` for many runs at once. `simulate` draws the signs themselves, `draw_signs` and
`simulate_times` draw them from runtimes, matched and ordered as a verification does it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from exitprint.errors import ExitprintError
from exitprint.timing.betting import needed_for
from exitprint.timing.pairs import draw_pairs, repeats_of
from exitprint.timing.sequential import SignTest, most_faster_twice, round_slice

Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
MOST_REQUESTS = 4_000_000
"""So many requests are held in memory at once."""


@dataclass(frozen=True)
class Outcomes:
    """How many runs of the sign test ended.

    Attributes
    ----------
    decision : ndarray of int8, shape (runs,)
        1 for `derived`, -1 for `independent`, 0 for `inconclusive`.
    pairs : ndarray of int, shape (runs,)
        Pairs taken in until the decision; the whole budget where there was none.
    requests : ndarray of int, shape (runs,)
        Requests that they cost: two a pair, and two more where it had to be asked again, each as often as its place
        asks for.
    """

    decision: np.ndarray
    pairs: np.ndarray
    requests: np.ndarray

    @property
    def derived(self) -> float:
        """Share of the runs that ended with `derived`."""
        return float((self.decision == 1).mean())

    @property
    def independent(self) -> float:
        """Share of the runs that ended with `independent`."""
        return float((self.decision == -1).mean())

    @property
    def inconclusive(self) -> float:
        """Share of the runs that spent the budget without a decision."""
        return float((self.decision == 0).mean())


def decide_many(
    signs: np.ndarray,
    again: np.ndarray,
    test: SignTest,
    repeats: np.ndarray | None = None,
    budget: int | None = None,
) -> Outcomes:
    """Run a sign test over many sequences of pairs, each stopped at its first decision.

    Parameters
    ----------
    signs, again : ndarray of int, shape (runs, rounds, pairs)
        The first and the second sign of every pair, as in `SignTest.update`; second ones are looked at only where the
        first is -1.
    test : SignTest
        A test whose parameters are used; it is not changed.
    repeats : ndarray of int, shape (rounds, pairs), optional
        How often the inputs of each pair are asked; once where it is not given.
    budget : int, optional
        Most requests; a decision that costs more is not reached.

    Returns
    -------
    Outcomes

    Raises
    ------
    ExitprintError
        If the two arrays are not of one such shape, or empty.
    """
    if signs.ndim != 3 or signs.shape != again.shape or not signs.size:
        raise ExitprintError(
            f"signs must come as two arrays of one shape (runs, rounds, pairs), not {signs.shape} and {again.shape}."
        )
    runs, rounds, length = signs.shape
    faster = signs == -1
    plus, minus, twice = (np.cumsum(x, axis=2, dtype=np.int32) for x in (signs == 1, faster, faster & (again == -1)))
    other = np.arange(1, length + 1) - twice
    derived, independent = np.empty(signs.shape, dtype=bool), np.empty(signs.shape, dtype=bool)
    for k in range(rounds):
        share = round_slice(k + 1)
        derived[:, k] = plus[:, k] >= needed_for(test.alpha * share, test.p0, length)[minus[:, k]]
        independent[:, k] = (
            twice[:, k] >= needed_for(test.beta * share, most_faster_twice(test.p1), length)[other[:, k]]
        )
    stop = (derived | independent).reshape(runs, -1)
    last = np.where(stop.any(axis=1), stop.argmax(axis=1), stop.shape[1] - 1)
    at = np.arange(runs), last
    decision = derived.reshape(runs, -1)[at].astype(np.int8) - independent.reshape(runs, -1)[at]
    each = np.ones((rounds, length), dtype=np.int64) if repeats is None else repeats
    requests = np.cumsum((2 * each * (1 + faster)).reshape(runs, -1), axis=1)[at]
    if budget is not None:
        decision = np.where(requests <= budget, decision, 0).astype(np.int8)
        requests = np.minimum(requests, budget)
    return Outcomes(decision, pairs=last + 1, requests=requests)


def simulate(
    slower: float,
    faster_twice: float | None = None,
    *,
    test: SignTest | None = None,
    runs: int = 10_000,
    budget: int = 500,
    seed: int = 0,
) -> Outcomes:
    """Sign tests whose pairs are alike and independent of each other.

    Parameters
    ----------
    slower : float in [0, 1]
        Probability that a pair's late input is the slower one.
    faster_twice : float in [0, 1 - slower], optional
        Probability that it is the faster one, twice in a row. Without noise, the default, 1 - `slower`.
    test : SignTest, optional
        Its parameters are used; the default ones otherwise.
    runs, budget : int
        Number of tests, and of pairs that each may ask at most, all in one round.
    seed : int
        Of the draws.

    Returns
    -------
    Outcomes

    Raises
    ------
    ExitprintError
        If the probabilities are not such.
    """
    twice = 1 - slower if faster_twice is None else faster_twice
    if not (0 <= slower <= 1 and 0 <= twice <= 1 - slower):
        raise ExitprintError(
            f"the probabilities of a slower and of a twice faster late input must add up to at most 1, "
            f"not {slower} and {twice}."
        )
    draw = np.random.default_rng(seed).random((runs, budget))
    signs = np.where(draw < slower, 1, -1)
    again = np.where(draw < slower + twice, -1, 1)
    return decide_many(signs[:, None], again[:, None], SignTest() if test is None else test)


def draw_signs(
    late: np.ndarray,
    early: np.ndarray,
    noise: Noise,
    *,
    rounds: int = 1,
    repeated: bool = False,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Signs from runtimes: every run matches its inputs at random, each used once a round, and asks them with noise.

    Parameters
    ----------
    late, early : ndarray, shape (runs, inputs) or (runs, inputs, recorded)
        Seconds that each input takes without noise; the numbers of inputs may differ. Of several recorded times each
        asking draws one.
    noise : callable
        Given a generator and a shape (runs, requests in the order of asking), the seconds that are added. It sees when
        a request is made and not for what, so drift and bursts can be put in; it is called once for each stretch of
        a round's pairs that are asked equally often. A pair's second asking has places in that order whether it takes
        place or not.
    rounds : int
        How often the inputs are matched anew at most.
    repeated : bool
        Whether inputs are asked as often as `pairs.repeats_of` says, in turns, the mean of the quicker half counting,
        as a verification does it; once otherwise.
    seed : int
        Of matching, order, noise and what is drawn of recorded times.

    Returns
    -------
    signs : ndarray of int8, shape (runs, rounds, pairs, 2)
        Both signs of every pair.
    repeats : ndarray of int, shape (rounds, pairs)
        How often the inputs of each pair are asked.

    Raises
    ------
    ExitprintError
        If the two arrays are not of such shapes, or do not hold the same number of runs.
    """
    if late.ndim not in (2, 3) or early.ndim not in (2, 3) or len(late) != len(early):
        raise ExitprintError(
            f"runtimes must come as two arrays (runs, inputs) or (runs, inputs, recorded) with as many runs, not "
            f"{late.shape} and {early.shape}."
        )
    late, early = (times if times.ndim == 3 else times[..., None] for times in (late, early))
    generator = np.random.default_rng(seed)
    runs, length = len(late), min(late.shape[1], early.shape[1])
    repeats = np.stack([repeats_of(length, k + 1) for k in range(rounds)])
    repeats = repeats if repeated else np.ones_like(repeats)
    signs = np.empty((runs, rounds, length, 2), dtype=np.int8)
    at_once = max(1, MOST_REQUESTS // (4 * int(repeats.sum(axis=1).max())))
    for start in range(0, runs, at_once):
        some = slice(start, start + at_once)
        for k, often in enumerate(repeats):
            signs[some, k] = _signs(late[some], early[some], noise, generator, k + 1, often)
    return signs, repeats


def simulate_times(
    late: np.ndarray,
    early: np.ndarray,
    noise: Noise,
    *,
    test: SignTest | None = None,
    rounds: int = 1,
    repeated: bool = False,
    budget: int | None = None,
    seed: int = 0,
) -> Outcomes:
    """Sign tests on runtimes: every run draws its signs as `draw_signs` says, and is decided by `decide_many`.

    Parameters
    ----------
    late, early, noise, rounds, repeated, seed
        As in `draw_signs`.
    test : SignTest, optional
        Its parameters are used; the default ones otherwise.
    budget : int, optional
        Most requests of a run; it ends without a decision where that would cost more.

    Returns
    -------
    Outcomes

    Raises
    ------
    ExitprintError
        As `draw_signs` does.
    """
    signs, repeats = draw_signs(late, early, noise, rounds=rounds, repeated=repeated, seed=seed)
    return decide_many(signs[..., 0], signs[..., 1], SignTest() if test is None else test, repeats, budget)


def _signs(
    late: np.ndarray, early: np.ndarray, noise: Noise, generator: np.random.Generator, round_: int, repeats: np.ndarray
) -> np.ndarray:
    """Both signs of every pair of one round, shape (runs, pairs, 2)."""
    seeds = generator.integers(2**32, size=len(late))
    matched = [draw_pairs(late.shape[1], early.shape[1], int(one), round_) for one in seeds]
    which_late, which_early, late_first = (
        np.stack([getattr(pairs, name) for pairs in matched]) for name in ("late", "early", "late_first")
    )
    signs = np.empty(late_first.shape)
    for often in np.unique(repeats):
        here = repeats == often
        slots = _in_turns(noise, generator, late_first[:, here], int(often))
        quiet_late, quiet_early = (
            _quiet(_drawn(times, which[:, here], generator, added.shape) + added)
            for times, which, added in zip((late, early), (which_late, which_early), slots, strict=True)
        )
        signs[:, here] = np.sign(quiet_late - quiet_early)
    return signs


def _in_turns(
    noise: Noise, generator: np.random.Generator, late_first: np.ndarray, repeats: int
) -> tuple[np.ndarray, np.ndarray]:
    """Noise of the late and the early input's askings, (runs, pairs, 2, repeats), in turns: a, b, b, a, a, b, …"""
    slots = noise(generator, (len(late_first), 2 * late_first[0].size * repeats)).reshape(*late_first.shape, repeats, 2)
    first = late_first[..., None] ^ (np.arange(repeats) % 2 == 1)
    return np.where(first, slots[..., 0], slots[..., 1]), np.where(first, slots[..., 1], slots[..., 0])


def _drawn(times: np.ndarray, which: np.ndarray, generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """One of each input's recorded times for each of its askings, shape (runs, pairs, 2, repeats)."""
    runs = np.arange(len(times))[:, None]
    if times.shape[2] == 1:
        return np.asarray(times[runs, which, 0])[..., None, None]
    recorded = generator.integers(times.shape[2], size=shape)
    return np.asarray(times[runs[..., None, None], which[..., None, None], recorded])


def _quiet(seconds: np.ndarray) -> np.ndarray:
    """The mean of the quicker half of each input's askings, the last axis."""
    half = (seconds.shape[-1] + 1) // 2
    return np.asarray(np.partition(seconds, half - 1)[..., :half].mean(-1))
