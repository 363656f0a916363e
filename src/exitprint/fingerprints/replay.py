"""The chance that so many samples decide: the product's own test, replayed on samples drawn from those there are."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch
from torch import Tensor

from exitprint.errors import ExitprintError
from exitprint.evidence.limits import ERROR_RATE, Decision
from exitprint.fingerprints.fingerprint import TENSORS, Fingerprint
from exitprint.fingerprints.statistic import Test, run, streams
from exitprint.fingerprints.threshold import check_size, threshold

RUNS, FIRST = 100, 25
"""So many runs in all; where all of the first ones claim, or none of them does, it is left at these."""

Exits = tuple[Tensor, Tensor]
"""The exit of each sample and of each original, shape (samples,)."""


def chances(fingerprint: Fingerprint, copies: Sequence[Exits], samples: int) -> tuple[float, float] | None:
    """The chance that `verify` says ``derived``, and that it says ``independent``, on a clock without noise.

    Every run draws samples with replacement, each with its original, and takes the next of the copies. So the chance
    covers which samples there are and which of the copies the thief has made.

    Parameters
    ----------
    fingerprint
        Whose samples they are; p0 is that of `samples` from the same pool, for a verifier who asks the references
        that it states himself.
    copies
        Where samples and originals leave each of the copies.
    samples
        How many are drawn, both halves together.

    Returns
    -------
    tuple or None
        None where so many samples from this pool can claim nothing.
    """
    late = fingerprint.late.nonzero()[:, 0]
    early = (~fingerprint.late).nonzero()[:, 0]
    wanted = (samples, 0) if fingerprint.kind == "paper" else (samples - samples // 2, samples // 2)
    resized = _resized(fingerprint, torch.cat([_repeated(late, wanted[0]), _repeated(early, wanted[1])]))
    try:
        p0 = threshold(resized, resized.references).p0
    except ExitprintError:
        return None
    try:
        check_size(resized, p0, ERROR_RATE, ERROR_RATE)
    except ExitprintError:
        return 0.0, 0.0
    said: list[Decision] = []
    for number in range(RUNS):
        if number == FIRST and said.count("derived") in (0, FIRST):
            break
        generator = torch.Generator().manual_seed(number)
        drawn = [
            half[torch.randint(len(half), (n,), generator=generator)]
            for half, n in zip((late, early), wanted, strict=True)
            if n
        ]
        said.append(_decision(resized, p0, copies[number % len(copies)], drawn, number))
    return said.count("derived") / len(said), said.count("independent") / len(said)


def needed(fingerprint: Fingerprint, samples: int, probability: float) -> tuple[float | None, float | None]:
    """The share of pairs from which on so many samples claim with this probability, and up to which they hardly do.

    The pairs are those of a copy on which some late samples take longer than every early one, and the others less. Both
    shares are found by halving.

    Parameters
    ----------
    fingerprint, samples
        As for `chances`.
    probability
        More than one half; *hardly* is with 1 - `probability` or less.

    Returns
    -------
    enough, too_little
        None and None where so many samples cannot be had; None and 1 where no outcome can claim.
    """
    wanted = int(fingerprint.late.sum())

    @cache
    def chance(won: int) -> float:
        found = chances(fingerprint, [_won(fingerprint, won)], samples)
        return -1.0 if found is None else found[0]

    most = chance(wanted)
    if most < 0:
        return None, None
    steps = range(wanted + 1)
    enough = bisect_left(steps, probability, key=chance)
    too_little = bisect_right(steps, 1 - probability, key=chance) - 1
    return enough / wanted if most >= probability else None, max(too_little, 0) / wanted


def _won(fingerprint: Fingerprint, won: int) -> Exits:
    """Exits on which the first `won` late samples take longer than all they are compared with; originals by nature."""
    late = fingerprint.late.nonzero()[:, 0]
    samples = torch.ones(len(fingerprint), dtype=torch.long)
    samples[late] = 2 * (torch.arange(len(late)) < won).long()
    originals = torch.ones_like(samples) if fingerprint.kind == "paper" else (~fingerprint.late).long()
    return samples, originals


def _decision(resized: Fingerprint, p0: float, exits: Exits, drawn: Sequence[Tensor], seed: int) -> Decision:
    sample, original = exits
    if resized.kind == "paper":
        left = {"sample": sample[drawn[0]], "original": original[drawn[0]]}
    else:
        late, early = drawn
        left = {
            "late": sample[late],
            "early": sample[early],
            "late original": original[late],
            "early original": original[early],
        }
    seconds = {kind: times.tolist() for kind, times in left.items()}
    parts = streams(resized)
    test = Test(p0, ERROR_RATE, ERROR_RATE, nature=len(parts) > 1)
    for _ in run(parts, test, lambda kind, number: float(seconds[kind][number]), seed, lambda: False):
        pass
    return test.decision


def _repeated(numbers: Tensor, wanted: int) -> Tensor:
    return numbers.repeat(-(-wanted // len(numbers)))[:wanted] if wanted else numbers[:0]


def _resized(fingerprint: Fingerprint, numbers: Tensor) -> Fingerprint:
    return replace(fingerprint, **{name: getattr(fingerprint, name)[numbers] for name in TENSORS})
