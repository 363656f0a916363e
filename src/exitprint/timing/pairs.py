"""Which late input is compared with which early one, which of the two is asked first, and how often both are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from exitprint.errors import ExitprintError

FIRST_ROUND = (1, 1, 3, 9)
"""How often the quarters of the first round ask their inputs."""
FURTHER_ROUNDS = (9, 27, 81)
"""How often further rounds do, the last number for all that come."""


@dataclass(frozen=True)
class Pairs:
    """Disjoint pairs of a late and an early input, with a fair coin for the order of each asking.

    Attributes
    ----------
    late, early : ndarray of int, shape (pairs,)
        Indices into the late and the early inputs; no index comes twice.
    late_first : ndarray of bool, shape (pairs, 2)
        Whether the late input goes first: in the first asking, and in the second one should it be needed.
    repeats : ndarray of int, shape (pairs,)
        How often each of the two is asked in one asking of the pair, see `repeats_of`.
    """

    late: np.ndarray
    early: np.ndarray
    late_first: np.ndarray
    repeats: np.ndarray

    def __len__(self) -> int:
        return len(self.late)

    def __iter__(self) -> Iterator[tuple[int, int, tuple[bool, bool], int]]:
        """Each pair's late and early input, who goes first in its two askings, and how often both are asked."""
        for late, early, (first, again), repeats in zip(
            self.late, self.early, self.late_first, self.repeats, strict=True
        ):
            yield int(late), int(early), (bool(first), bool(again)), int(repeats)


def repeats_of(pairs: int, round_: int = 1) -> np.ndarray:
    """How often the inputs of each of a round's pairs are asked: the later a pair comes, the more often.

    Half of the first round is asked once, then three and nine times. Where the path is quiet the first half decides, at
    the least cost, and where answers are kept it is all that says anything. Where the path is noisy, signs of single
    askings are little better than coins, and pairs must not be wasted on them: a pair can be used once, requests are
    cheap. Odd numbers, because of those one more than half counts.

    Parameters
    ----------
    pairs : int
        How many pairs the round has.
    round_ : int
        Counted from 1.

    Returns
    -------
    ndarray of int, shape (pairs,)
    """
    if round_ > 1:
        return np.full(pairs, FURTHER_ROUNDS[min(round_ - 2, len(FURTHER_ROUNDS) - 1)])
    return np.array(FIRST_ROUND)[np.arange(pairs) * len(FIRST_ROUND) // pairs]


def draw_pairs(late: int, early: int, seed: int, round_: int = 1) -> Pairs:
    """Match late with early inputs at random, each used once.

    Used once, because the error rates of `SignTest` are promised for pairs that are new. Where late and early inputs
    are alike in kind ("benign inputs against themselves"), one half of any *given* set is still slower than the other
    by accident, and asking the same inputs again and again proves that accident as firmly as one likes: 500 signs
    drawn with replacement from 50 + 50 inputs claim at alpha = 0.001 in 7 % of such runs. More requests are better
    spent on each pair (`repeats_of`: their number does not depend on what the pair itself showed), and then on another
    round of the test.

    Parameters
    ----------
    late, early : int
        How many inputs of each kind there are.
    seed : int
        The same seed and round give the same pairs in the same order.
    round_ : int
        Which round of the test the pairs are for, counted from 1.

    Returns
    -------
    Pairs
        As many as the smaller of the two numbers.

    Raises
    ------
    ExitprintError
        If there is no input of one kind.
    """
    if late < 1 or early < 1:
        raise ExitprintError(
            f"pairs need at least one late and one early input, not {late} and {early}: "
            "use a contrast fingerprint with both halves."
        )
    generator = np.random.default_rng([seed, round_])
    pairs = min(late, early)
    return Pairs(
        late=generator.permutation(late)[:pairs],
        early=generator.permutation(early)[:pairs],
        late_first=generator.random((pairs, 2)) < 0.5,
        repeats=repeats_of(pairs, round_),
    )
