"""p0, the share of pairs that a claim must beat: what networks of other origin reach at most, with room.

The rule is the verifier's. Of the fingerprint's file it takes what can be counted. What the owner states of networks
known to be independent can raise p0, but only networks that the verifier asked himself take it below `CAUTIOUS[0]`.

- *Transfer.* Where the verifier asked no network of his own p0 is `CAUTIOUS[0]`. Evidence (docs/results/same-maker.md):
  well trained networks of one maker, none of them a copy. With one or several of his own it is lower, because crafting
  holds references back and an unseen network follows less too. An owner who invents references has not held back
  anything: strangers came to 0.78 of the pairs with his samples (docs/results/forgeries.md).
- *The change, without references of the verifier's own.* That evidence is of contrasts that change images by at most
  4.1 % of the distance between them. At 4.6 to 5.2 %, of a larger margin, one of that maker's networks came to 0.81 of
  the pairs, more than `CAUTIOUS[0]`; and an owner who invents references could claim it at 0.7. So beyond
  `SMALL_CHANGE` p0 is at least `BEYOND_SMALL[0]`, or `BEYOND_SMALL[1]` where the owner states references.
- *References.* p0 lies at least half-way between the largest share on a reference and 1. So it holds for a network that
  comes to as much behind any noise: noise turns clear pairs into coins at worst, so of the share d of pairs in which
  the early sample takes longer it can hide at most one half.
- *The change.* Whoever crafts on many networks until the samples transfer to all, or picks the best of many tries,
  needs a large change for it (docs/results/forgeries.md). So beyond `CHANGE_ON_OWNERS_WORD` the owner's word is not
  enough: the verifier brings references of his own.
- *A change that large.* One reference of the owner's recipe then holds back its like and not others: on Fashion-MNIST
  two MSDNets came to 0.78 of the pairs with samples for a BranchyNet, and to 0.65 with two such references
  (docs/results/strength.md). So beyond `CHANGE_ON_OWNERS_WORD` p0 is at least `LARGE_CHANGE`. At changes of 41 and 57 %
  strangers came to 0.73 and 0.75 with two references, one of each kind. So beyond `HUGE_CHANGE` it is `BEYOND_HUGE`.
- *The front door.* Samples that hold behind JPEG too need a larger change, which networks of other origin follow more.
  So such a fingerprint claims nothing without references, and those are asked behind each of its ways in as well.
- *The pool.* Halves that are a large part of the images they were chosen from are not extreme by nature, and strangers
  start nearer to one half: p0 is raised beyond each of `LARGE_PARTS`, and beyond one half of the pool nothing is
  claimed. Evidence, without references: up to 0.74 of the pairs at two fifths of the pool, up to 0.84 at one half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from exitprint.errors import ExitprintError
from exitprint.evidence.eprocess import least_observations
from exitprint.evidence.limits import ERROR_RATE
from exitprint.fingerprints.fingerprint import Fingerprint, Reference
from exitprint.suspects.through import Through

CAUTIOUS = (0.8, 0.7, 0.65)
"""The least p0 where the verifier asked no reference, one, and two or more."""
SMALL_CHANGE = 0.045
"""Mean change of a contrast, as a share of the distance between images, that `CAUTIOUS` was found for."""
BEYOND_SMALL = (0.9, 0.85)
"""The least p0 beyond it without a reference, and with such as only the owner states."""
LARGE_PART = 0.2
LARGE_PARTS = (LARGE_PART, 0.4)
"""Shares of the pool beyond each of which p0 is raised by `RAISED`."""
RAISED = 0.05
"""By so much, for strangers that start nearer to one half."""
LARGEST_PART = 0.5
"""Share of the pool beyond which nothing is claimed."""
CHANGE_ON_OWNERS_WORD = 0.1
"""Mean change, as a share of the distance between images, beyond which the verifier needs references of his own. Honest
contrasts on CIFAR-10 change 3 to 6 %; at 15 to 20 % samples begin to carry over to networks of the same maker."""
LARGE_CHANGE = (0.8, 0.8, 0.7)
"""The least p0 beyond it where no reference is asked, one, and two or more."""
HUGE_CHANGE = 0.25
"""Mean change, as a share of the distance between images, beyond which even two references hold little back."""
BEYOND_HUGE = (0.8, 0.8, 0.77)
"""The least p0 beyond it."""
HIGHEST = 0.95
"""A claim that would need more than this share of pairs is refused as impossible."""


@dataclass(frozen=True)
class Threshold:
    """What a claim must beat, and where that comes from.

    Attributes
    ----------
    p0
        The share of pairs that a network of other origin is taken to reach at most.
    assumptions
        What p0 rests on, in sentences.
    """

    p0: float
    assumptions: tuple[str, ...]


def threshold(fingerprint: Fingerprint, seen: Sequence[Reference] = ()) -> Threshold:
    """The threshold for a fingerprint, with references that the verifier brought and has `seen` himself.

    Raises `ExitprintError` if no threshold is left that a copy could beat.
    """
    references = (*fingerprint.references, *seen)
    check_front_door(fingerprint.through, references)
    change = fingerprint.change if fingerprint.kind == "contrast" else 0.0
    largest = max((share for reference in references for share in reference.share), default=0.0)
    p0 = max((1 + largest) / 2, _least(change, fingerprint.references, seen))
    part = len(fingerprint) / fingerprint.pool
    if part > LARGEST_PART:
        raise ExitprintError(
            f"this fingerprint's {len(fingerprint)} images were chosen from {fingerprint.pool} only, so they are not "
            f"extreme by nature and nothing can be claimed with it: craft it again from a pool of at least "
            f"{pool_needed(len(fingerprint)):,} images."
        )
    p0 = round(p0 + _raised(part), 4)
    if p0 > HIGHEST and references:
        raise ExitprintError(
            f"a network known to be independent comes to {largest:.2f} of the pairs with this "
            "fingerprint, which leaves a copy nothing to be told by: craft it again with that network as a reference, "
            "or with a smaller change."
        )
    p0 = min(p0, HIGHEST)
    return Threshold(p0, (_of_transfer(p0, fingerprint, seen, change), _of_pool(fingerprint, part)))


def _least(change: float, stated: Sequence[Reference], seen: Sequence[Reference]) -> float:
    """The least p0 for a change of this size, before the largest share on a reference and the pool are looked at."""
    if change > HUGE_CHANGE:
        return BEYOND_HUGE[_number(seen or stated)]
    if change > CHANGE_ON_OWNERS_WORD:
        return LARGE_CHANGE[_number(seen or stated)]  # verify demands `seen`, and may be given what is stated
    if change > SMALL_CHANGE and not seen:
        return BEYOND_SMALL[bool(stated)]
    return CAUTIOUS[_number(seen)]


def _number(references: Sequence[Reference]) -> int:
    """How many networks they are, more than two counting as two."""
    return min(len({reference.name for reference in references}), len(CAUTIOUS) - 1)


def _raised(part: float) -> float:
    return RAISED * sum(part > large for large in LARGE_PARTS)


def check_front_door(through: Sequence[Through], references: Collection[object]) -> None:
    """Refuse samples that hold behind a front door, and no network that is known to be independent beside them.

    Raises `ExitprintError` if there are ways through one and no references.
    """
    if through and not references:
        raise ExitprintError(
            f"samples that hold behind {' and '.join(way.text for way in through)} too change by so much that networks "
            "of other origin may follow: give one or two networks that you know to be independent (--reference)."
        )


def check_change(fingerprint: Fingerprint, seen: Sequence[Reference] = ()) -> None:
    """Refuse a change that the owner's word does not suffice for.

    Raises `ExitprintError` if it is not small and the verifier brought no reference of his own.
    """
    if fingerprint.change > CHANGE_ON_OWNERS_WORD and not seen:
        raise ExitprintError(
            f"this fingerprint changes its images by {fingerprint.change:.0%} of the distance between an image and its "
            f"nearest neighbour, and beyond {CHANGE_ON_OWNERS_WORD:.0%} its owner's word does not suffice that other "
            "networks do not follow: ask one or two networks that you know to be independent as well (--reference)."
        )


def pool_needed(samples: int) -> int:
    """The smallest pool of images to choose so many samples from, so that p0 is not raised."""
    return int(-(-samples // LARGE_PART))


def check_size(fingerprint: Fingerprint, p0: float, alpha: float, beta: float) -> None:
    """Refuse a fingerprint with which no outcome could decide.

    Raises `ExitprintError` with the number of samples that is needed, and the pool to choose them from.
    """
    late = int(fingerprint.late.sum())
    pairs = min(late, len(fingerprint) - late) if fingerprint.kind == "contrast" else len(fingerprint) // 2
    needed = max(least_observations(p0, alpha), least_observations(0.5, min(alpha, beta)))
    if pairs < needed:
        raise ExitprintError(
            f"no outcome could decide: at alpha = {alpha:g} and beta = {beta:g} the threshold p0 = {p0:g} needs at "
            f"least {2 * needed} samples from a pool of at least {pool_needed(2 * needed):,} images, and this "
            f"fingerprint gives {pairs} pairs."
        )


def foreseen(fingerprint: Fingerprint) -> list[str]:
    """What `verify` will say against a fingerprint where nothing else is asked for, as far as crafting can tell."""
    said = []
    try:
        check_size(fingerprint, threshold(fingerprint).p0, ERROR_RATE, ERROR_RATE)
    except ExitprintError as too_few:
        said.append(f"With so few samples {too_few}")
    try:
        check_change(fingerprint)
    except ExitprintError as too_large:
        said.append(f"Whoever verifies will be told: {too_large}")
    return said


def _of_transfer(p0: float, fingerprint: Fingerprint, seen: Sequence[Reference], change: float) -> str:
    stated, brought = _named(fingerprint.references), _named(seen)
    if not stated and not brought:
        beyond = SMALL_CHANGE < change <= CHANGE_ON_OWNERS_WORD
        large = f", for a change of more than {SMALL_CHANGE:.1%} of the distance between images" if beyond else ""
        return (
            f"No network known to be independent was seen. That one of other origin reaches at most p0 = {p0:g} of the "
            f"pairs is taken from trials with well trained networks of one maker{large}."
        )
    parts = []
    if stated:
        parts.append(f"The owner states that these networks are independent, and what they come to: {stated}.")
    if not brought:
        parts.append(
            f"His word takes p0 no lower than {CAUTIOUS[0]:g}; a reference that the verifier asks himself would."
        )
    if brought:
        parts.append(f"The verifier asked networks of his own: {brought}.")
    parts.append(f"Any other network of other origin is taken to reach at most p0 = {p0:g} of the pairs.")
    return " ".join(parts)


def _named(references: Sequence[Reference]) -> str:
    return ", ".join(f"{reference.name} ({max(reference.share):.2f})" for reference in references)


def _of_pool(fingerprint: Fingerprint, part: float) -> str:
    beyond = max((large for large in LARGE_PARTS if part > large), default=0)
    raised = f", more than {beyond:.0%}, so p0 was raised by {_raised(part):g}" if beyond else ""
    return (
        f"The owner states that the {len(fingerprint)} images were chosen from {fingerprint.pool:,} by what his "
        f"network does with them ({part:.0%}{raised}), and not for how other networks order them."
    )
