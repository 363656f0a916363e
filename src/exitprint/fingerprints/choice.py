"""Which images a contrast is made from, and which of those that were crafted are kept."""

from __future__ import annotations

import torch
from torch import Tensor

from exitprint.data import Images, unit_range
from exitprint.fingerprints.fingerprint import between_neighbours, l2_changes
from exitprint.fingerprints.optimise import Crafted

MOST_SAME = 0.25
"""A policy is warned of if, in more than this share of pairs, the image that is late by nature leaves no later than the
other."""
COMPARED = 1000
"""An image's nearest neighbour is looked for among so many."""


def natural_order(certainty: Tensor, exits: Tensor) -> Tensor:
    """Indices of benign images, the earliest first, shape (images,).

    Images are ordered by their exit, averaged over policies, and where that is the same by their certainty, averaged
    over exits.

    Parameters
    ----------
    certainty
        Of each image at every exit, shape (images, exits).
    exits
        The exit of each image under each policy, shape (policies, images).
    """
    by_certainty = certainty[:, :-1].mean(1).argsort(descending=True, stable=True)
    return by_certainty[exits.double().mean(0)[by_certainty].argsort(stable=True)]


def choose(order: Tensor, samples: int, choice: float, seed: int) -> tuple[Tensor, Tensor]:
    """A seeded choice among the earliest and the latest images.

    Parameters
    ----------
    order
        Indices of the images, the earliest first, shape (images,).
    samples
        How many to choose, both halves together.
    choice
        Share of the images to choose each half among.
    seed
        Of the choice.

    Returns
    -------
    chosen, late
        Indices of the images, and whether each is to be made late (it is early by nature), shape (samples,).
    """
    generator = torch.Generator().manual_seed(seed)
    later, earlier = samples - samples // 2, samples // 2
    pool = min(max(later, int(choice * len(order))), len(order) // 2)
    pool = max(pool, later)
    made_late = order[:pool][torch.randperm(pool, generator=generator)[:later]]
    made_early = order[-pool:][torch.randperm(pool, generator=generator)[:earlier]]
    return torch.cat([made_late, made_early]), torch.arange(samples) < later


def least_changed(crafted: Crafted, originals: Tensor, late: Tensor, samples: int) -> Tensor:
    """Indices of `samples` of the crafted images, late ones first: those that reached their goal by the smallest L2.

    Those that did not reach it come last, and those that were not changed tell nobody anything: they are left out.
    """
    L2 = l2_changes(unit_range(crafted.samples), unit_range(originals))
    order = (L2 + torch.where(crafted.reached, 0.0, torch.inf)).argsort(stable=True)
    order = order[L2[order] > 0]
    halves = [order[late[order] == half] for half in (True, False)]
    wanted = (samples - samples // 2, samples // 2)
    return torch.cat([half[:n].sort().values for half, n in zip(halves, wanted, strict=True)])


def share_of_distance(samples: Tensor, originals: Tensor, images: Images) -> float:
    """Mean L2 of the change over the median distance of an image to its nearest neighbour among these images.

    It says how large the change is for any network that tells them apart. `Fingerprint.change` is the same among the
    originals alone, which is all that a verifier has.
    """
    L2 = l2_changes(unit_range(samples), unit_range(originals)).mean()
    return float(L2 / between_neighbours(images[:COMPARED].x))


def weak_contrast(exits: Tensor, chosen: Tensor, late: Tensor) -> list[str]:
    """A warning for each policy under which the chosen images differ little by nature.

    `exits` is the exit of each benign image under each policy, shape (policies, images); `chosen` and `late` are as
    `choose` gives them.
    """
    warnings = []
    for number, taken in enumerate(exits[:, chosen], 1):
        same = float((taken[late][:, None] >= taken[~late]).double().mean())
        if same > MOST_SAME:
            warnings.append(
                f"Under policy {number} the image of a pair that is late by nature leaves no later than the early one "
                f"in {same:.0%} of all pairs, so an independent network comes nearer to 0.5 there: give more images to "
                "choose from, or leave that policy out."
            )
    return warnings
