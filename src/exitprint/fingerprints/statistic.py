"""From a suspect's answers to observations in [0, 1], and what is decided by them: the null hypotheses as code.

An observation is a comparison of two inputs that are asked in turns: 1 if the one that a copy is slower on took
longer, 0 if the other did, 1/2 if the clock cannot tell. There are up to two streams of them.

- *Nature* (contrast only): the originals of the late half against those of the early half. By nature the late half's
  are the quick ones. An observation is 1 where they are.
- *Crafted*: the samples. Of a contrast a late against an early one. Of the paper's kind a sample against another
  sample's original.

Three null hypotheses, each about the suspect as it answers, noise and delay included, and about images drawn as the
owner drew his:

1. *nature*: the suspect's time orders the originals the quick way round in at most one half of the pairs. Refuting it
   shows that its time follows its inputs, and that the samples were not slow before they were crafted. Where nothing
   was crafted, or the halves are swapped, it is true.
2. *claim*: the late sample takes longer in a share of at most p0 of the pairs (`threshold`).
3. *clear*: the late sample takes longer in a share of at least one half. This is true of a copy on which late samples
   leave later than early ones *in distribution*, whatever noise or delay is added to the times, if it does not depend
   on the half: what is later in distribution stays so when something independent is added (stochastic dominance).

``derived`` refutes 1 and 2, each at alpha: a false claim needs one of them to be true, and that one to be refuted.
``independent`` refutes 1 and 3, each at beta. In everything else the verdict is ``inconclusive``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np

from exitprint.evidence.eprocess import EProcess
from exitprint.evidence.limits import Decision
from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.timing.pairs import Pair, compared, matched, split

Name = Literal["nature", "crafted"]
HALF = 0.5
"""The share of pairs that coins would give."""
ROUNDS_WITHOUT_NOISE = 3
"""Where asking again gives the same time, so many rounds of new matches are made and no more."""
TIED = 0.9
"""Share of ties from which on a clock without noise is said not to tell inputs apart."""


@dataclass(frozen=True)
class Stream:
    """Pairs of two kinds of input.

    Attributes
    ----------
    name
        Which stream it is.
    slow, quick
        The kind of input whose answer is expected to take longer if the null hypothesis is false, and the other.
    sizes
        How many inputs there are of each.
    same
        Whether both kinds have the same numbers, so that no number may be in two pairs.
    """

    name: Name
    slow: str
    quick: str
    sizes: tuple[int, int]
    same: bool = False

    def pairs(self, seed: int, round_: int, least: int) -> list[Pair]:
        """The pairs of one round; see `matched` and `split`."""
        key = (seed, 1 if self.name == "nature" else 2)
        if self.same:
            return split(self.slow, self.quick, self.sizes[0], key, round_, least)
        return matched(self.slow, self.quick, self.sizes, key, round_, least)


def streams(fingerprint: Fingerprint) -> tuple[Stream, ...]:
    """The streams of a fingerprint's kind, in the order of asking."""
    if fingerprint.kind == "paper":
        return (Stream("crafted", "sample", "original", (len(fingerprint), len(fingerprint)), same=True),)
    late = int(fingerprint.late.sum())
    early = len(fingerprint) - late
    return (
        Stream("nature", "early original", "late original", (early, late)),
        Stream("crafted", "late", "early", (late, early)),
    )


class Test:
    """Bets against the null hypotheses, and the decision that they make.

    Parameters
    ----------
    p0
        The largest share that the claim's null hypothesis allows.
    alpha, beta
        Bounds on the probabilities of a false claim and of a miss.
    nature
        Whether there is a stream of originals.

    Attributes
    ----------
    nature
        Against "the originals are ordered the natural way in at most one half of the pairs"; None without that stream.
    claim, clear
        Against "the share is at most p0", and "the share is at least one half".
    decision
        As it stands; once made it stays.
    """

    __test__ = False

    def __init__(self, p0: float, alpha: float, beta: float, nature: bool = True) -> None:
        self.alpha, self.beta = alpha, beta
        self.nature = EProcess(HALF) if nature else None
        self.claim = EProcess(p0)
        self.clear = EProcess(HALF)
        self.decision: Decision = "inconclusive"
        self._unnatural = EProcess(HALF)

    def update(self, stream: Name, x: float) -> None:
        """Take in one observation."""
        if stream == "nature":
            assert self.nature is not None
            self.nature.update(x)
            self._unnatural.update(1 - x)
            return
        self.claim.update(x)
        self.clear.update(1 - x)
        if self.decision == "inconclusive":
            if self.claim.reaches(self.alpha) and self._natural(self.alpha):
                self.decision = "derived"
            elif self.clear.reaches(self.beta) and self._natural(self.beta):
                self.decision = "independent"

    def next_round(self, stream: Name) -> None:
        """The stream's inputs are matched anew."""
        for process in (self.nature, self._unnatural) if stream == "nature" else (self.claim, self.clear):
            if process is not None:
                process.next_round()

    def _natural(self, error: float) -> bool:
        return self.nature is None or self.nature.reaches(error)

    @property
    def natural(self) -> bool:
        """Whether nature's null hypothesis is refuted for both decisions."""
        return self._natural(min(self.alpha, self.beta))

    @property
    def unnatural(self) -> bool:
        """Whether the suspect orders the originals the other way round, as the file says that copies order samples."""
        return self.nature is not None and self._unnatural.reaches(self.alpha)

    def settled(self, stream: Name) -> bool:
        """Whether the stream needs no further observation."""
        return self.natural or self.unnatural if stream == "nature" else self.decision != "inconclusive"

    @property
    def log_e(self) -> float:
        """Natural logarithm of the evidence for a copy: the weaker of nature's and the claim's largest."""
        claim = self.claim.largest_log_e
        return claim if self.nature is None else min(claim, self.nature.largest_log_e)

    @property
    def log_e_clear(self) -> float:
        """The same for independence."""
        clear = self.clear.largest_log_e
        return clear if self.nature is None else min(clear, self.nature.largest_log_e)


def run(
    parts: tuple[Stream, ...],
    test: Test,
    ask: Callable[[str, int], float],
    seed: int,
    noisy: Callable[[], bool] = lambda: True,
) -> Iterator[Name]:
    """Ask and bet until the test is decided, or no outcome can decide it any more; yields after each observation.

    The product and the simulations of its error rates call this same function.

    Parameters
    ----------
    parts
        Streams in the order of asking.
    test
        Takes the observations.
    ask
        Seconds of an input's answer: its kind, its number.
    seed
        Of which inputs are compared, and who is asked first.
    noisy
        Whether asking again can give another time.
    """
    least = 1
    for part in parts:
        for round_ in count(1):
            if round_ > 1:
                test.next_round(part.name)
            ties: list[bool] = []
            for pair in part.pairs(seed, round_, least):
                x = compared(pair, ask, noisy())
                ties.append(x == HALF)
                test.update(part.name, x)
                yield part.name
                if test.settled(part.name):
                    break
            if test.settled(part.name):
                break
            if not noisy() and (round_ == ROUNDS_WITHOUT_NOISE or np.mean(ties) > TIED):
                return
        if test.unnatural:
            return
        least = max(least, pair.repeats)
