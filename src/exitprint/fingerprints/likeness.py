"""Whether a suspect understands the images at all: its answers to the originals beside those of the owner's network.

A client that sends pixels in [0, 1] to a network that wants them normalised gets an answer in a time that says
nothing. By the cost model the roles can even be swapped. So the labels that the suspect gives ordinary images are
looked at. They may be renamed or merged, or be missing; then this says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

FEWEST = 20
"""Answers before which nothing is said."""
FAR_WORSE = 0.5
"""Agreement with the owner's answers under which the suspect is taken not to understand the images."""
TELLING = 0.8
"""Renamed labels are judged only where renamed answers of the owner's own network would agree this much."""


def agreement(owner: Sequence[int], suspect: Sequence[int]) -> float | None:
    """Share of images that both answer alike, under the best renaming or merging of labels.

    A renaming is learnt from the other images and tried on each in turn, and what the commonest label alone would give
    is taken off, so that chance does not pass for likeness.

    Parameters
    ----------
    owner, suspect
        Labels of the same images.

    Returns
    -------
    float or None
        At most 1. None where there are too few images, or too many kinds among them, to tell.
    """
    if len(owner) < FEWEST:
        return None
    as_they_are = sum(one == other for one, other in zip(owner, suspect, strict=True)) / len(owner)
    if _renamed(owner, owner) >= TELLING:
        return max(as_they_are, _renamed(owner, suspect), _renamed(suspect, owner))
    return as_they_are if as_they_are >= FAR_WORSE else None


def _renamed(of: Sequence[int], by: Sequence[int]) -> float:
    """How well the labels `by` tell the labels `of`, from 0, as the commonest label alone does, to 1."""
    together = Counter(zip(by, of, strict=True))
    found = 0
    for label, truth in zip(by, of, strict=True):
        others = {other: number - (other == truth) for (given, other), number in together.items() if given == label}
        best = max(others.values())
        found += best > 0 and others[truth] == best
    commonest = max(Counter(of).values())
    return (found - commonest) / (len(of) - commonest) if commonest < len(of) else 0.0


def closest(owner: Sequence[Sequence[int]], suspect: Sequence[int]) -> float | None:
    """The best `agreement` with what the owner's network answers as sent, or behind one of its ways in.

    None where none comes to `FAR_WORSE` and one of them cannot be told.
    """
    found = [agreement(each, suspect) for each in owner]
    best = max((each for each in found if each is not None), default=None)
    return None if best is None or (best < FAR_WORSE and None in found) else best
