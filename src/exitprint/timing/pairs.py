"""Which late input is compared with which early one, and which of the two is asked first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exitprint.errors import ExitprintError


@dataclass(frozen=True)
class Pairs:
    """Disjoint pairs of a late and an early input, with a fair coin for the order of each asking.

    Attributes
    ----------
    late, early : ndarray of int, shape (pairs,)
        Indices into the late and the early inputs; no index comes twice.
    late_first : ndarray of bool, shape (pairs, 2)
        Whether the late input goes first: in the first asking, and in the second one should it be needed.
    """

    late: np.ndarray
    early: np.ndarray
    late_first: np.ndarray

    def __len__(self) -> int:
        return len(self.late)


def draw_pairs(late: int, early: int, seed: int, round_: int = 1) -> Pairs:
    """Match late with early inputs at random, each used once.

    Used once, because the error rates of `SignTest` are promised for pairs that are new. Where late and early inputs
    are alike in kind ("benign inputs against themselves"), one half of any *given* set is still slower than the other
    by accident, and asking the same inputs again and again proves that accident as firmly as one likes: 500 signs
    drawn with replacement from 50 + 50 inputs claim at alpha = 0.001 in 7 % of such runs. More requests are better
    spent on each pair (the median or minimum of repeats, their number not depending on what the pair itself showed),
    and then on another round of the test.

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
    )
