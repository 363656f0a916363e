"""Which inputs are compared with each other, which of the two is asked first, and how often both are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exitprint.errors import ExitprintError
from exitprint.timing.timings import quiet_of_one

FIRST_ROUND = (1, 1, 3, 9)
"""How often the quarters of the first round ask their inputs."""
FURTHER_ROUNDS = (9, 27, 81)
"""How often further rounds do, the last number for all that come."""

Input = tuple[str, int]
"""A kind of input and its number in it."""


@dataclass(frozen=True)
class Pair:
    """Two inputs that are asked in turns.

    Attributes
    ----------
    slow, quick
        The one that is expected to take longer on a copy, and the other.
    slow_first
        Whether the first of them begins, by a fair coin.
    repeats
        How often each is asked.
    """

    slow: Input
    quick: Input
    slow_first: bool
    repeats: int


def repeats_of(pairs: int, round_: int = 1, least: int = 1) -> list[int]:
    """How often the inputs of each of a round's pairs are asked: the later a pair comes, the more often.

    Half of the first round is asked once, then three and nine times. On a quiet path the first half decides, at the
    least cost. On a noisy path a comparison of single askings is little better than a coin. A pair can be used once,
    while requests are cheap, so later pairs are asked more often. The numbers are odd, because one more than half of
    the askings count. Rounds are counted from 1; `least` is how often earlier comparisons had to be asked before they
    said anything.
    """
    if round_ > 1:
        often = [FURTHER_ROUNDS[min(round_ - 2, len(FURTHER_ROUNDS) - 1)]] * pairs
    else:
        often = [FIRST_ROUND[position * len(FIRST_ROUND) // pairs] for position in range(pairs)]
    return [max(least, number) for number in often]


def matched(
    slow: str, quick: str, sizes: tuple[int, int], seed: Sequence[int], round_: int = 1, least: int = 1
) -> list[Pair]:
    """Disjoint pairs of one kind of input with another, at random.

    Each input is used once in a round, because the error rates are promised for pairs that are new. Where both kinds
    are alike, one half of any *given* set is still slower than the other by accident. Asking the same inputs again and
    again proves that accident as firmly as one likes: 500 pairs drawn with replacement from 50 + 50 inputs claim at
    alpha = 0.001 in 7 % of such runs. More requests are better spent on each pair, and then on another round.

    Raises `ExitprintError` if there is no input of one kind.

    Parameters
    ----------
    slow, quick
        Kinds of input: that which is expected to take longer on a copy, and the other.
    sizes
        How many inputs there are of each.
    seed, round_
        The same give the same pairs in the same order.
    least
        As in `repeats_of`.

    Returns
    -------
    list of Pair
        As many as the smaller of the two numbers.
    """
    if min(sizes) < 1:
        raise ExitprintError(f"pairs need at least one input of each kind, not {sizes[0]} and {sizes[1]}.")
    generator = np.random.default_rng([*seed, round_])
    ones, others = (generator.permutation(size) for size in sizes)
    return _pairs(slow, quick, list(zip(ones.tolist(), others.tolist(), strict=False)), generator, round_, least)


def split(slow: str, quick: str, size: int, seed: Sequence[int], round_: int = 1, least: int = 1) -> list[Pair]:
    """Disjoint pairs of two kinds of input that have the same numbers, such as samples and their originals.

    One half of the numbers, at random, gives the inputs of the first kind, the other half those of the second: so no
    number is in two pairs, and no sample meets its own original. Arguments as in `matched`.
    """
    if size < 2:
        raise ExitprintError(f"pairs need at least two images, not {size}.")
    generator = np.random.default_rng([*seed, round_])
    order = generator.permutation(size).tolist()
    half = size // 2
    return _pairs(slow, quick, list(zip(order[:half], order[half:], strict=False)), generator, round_, least)


def _pairs(
    slow: str, quick: str, numbers: list[tuple[int, int]], generator: np.random.Generator, round_: int, least: int
) -> list[Pair]:
    coins = generator.random(len(numbers)) < 0.5
    often = repeats_of(len(numbers), round_, least)
    return [
        Pair((slow, one), (quick, other), bool(coin), repeats)
        for (one, other), coin, repeats in zip(numbers, coins, often, strict=True)
    ]


def compared(pair: Pair, ask: Callable[[str, int], float], noisy: bool = True) -> float:
    """1 if the slow input took longer, 0 if the quick one did, 1/2 if they took the same time.

    The two are asked in turns (a, b, b, a, a, b, …), and their quiet times are compared; `ask` gives the seconds of an
    input's answer. Once is enough where asking again cannot give another time, and nothing is `noisy`.
    """
    slow: list[float] = []
    quick: list[float] = []
    for repeat in range(pair.repeats if noisy else 1):
        turns = [(slow, pair.slow), (quick, pair.quick)]
        for times, one in turns if pair.slow_first == (repeat % 2 == 0) else reversed(turns):
            times.append(ask(*one))
    late, early = quiet_of_one(slow), quiet_of_one(quick)
    return 0.5 if late == early else float(late > early)
