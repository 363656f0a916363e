"""The contrast fingerprint: naturally early images made late, and naturally late images made early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from exitprint.data import Images, unit_range
from exitprint.errors import ExitprintError, Interrupted
from exitprint.fingerprints.fingerprint import Fingerprint
from exitprint.fingerprints.optimise import Crafted, optimise
from exitprint.networks import ExitPolicy, MultiExitNetwork
from exitprint.networks.policy import Criterion

BATCH = 256
CHOICE = 0.25


def craft_contrast(
    network: MultiExitNetwork,
    x: Tensor,
    late: Tensor,
    policies: Sequence[ExitPolicy],
    margin: float = 0.15,
    early_exits: int = 4,
    learning_rate: float = 0.005,
    steps: int = 300,
) -> Crafted:
    """Make some images late and the others early under every policy, with the smallest change that suffices.

    A late image is done when every internal classifier is less certain than the lowest threshold of any policy, by
    `margin`; an early one when each of the first `early_exits` is more certain than the highest threshold, by `margin`.

    Parameters
    ----------
    network
        The owner's network.
    x
        Benign images in [0, 1], float32, shape (samples, channels, height, width).
    late
        Which of them are to be late, bool, shape (samples,); the others are made early.
    policies
        The policies under which the contrast has to hold; the strictest and the loosest suffice.
    margin
        Distance from the threshold, in the certainty's own units; half the way to the certainty's bound where that
        is nearer.
    early_exits
        At how many of the first exits an early image has to be certain.
    learning_rate, steps
        Of Adam; the most steps for an image.

    Raises
    ------
    ExitprintError
        If some policy lets every image leave at an exit, or none.
    """
    bounds = limits(network, policies)
    below, above = bounds.below(margin), bounds.above(margin)
    aimed = (above < 1).nonzero()[:early_exits, 0]
    certainty = policies[0].certainty

    def loss(x_crafted: Tensor, logits: Tensor, indices: Tensor) -> Tensor:
        c = certainty(logits[:, :-1])
        too_certain = (c - below).relu().sum(1)
        too_uncertain = (above - c)[:, aimed].relu().sum(1)
        return torch.where(late[indices], too_certain, too_uncertain)

    def goal(logits: Tensor, indices: Tensor) -> Tensor:
        c = certainty(logits[:, :-1])
        return torch.where(late[indices], (c < below).all(1), (c > above)[:, aimed].all(1))

    return optimise(network, x, loss, goal, learning_rate, steps)


@dataclass(frozen=True)
class Limits:
    """The thresholds that a contrast has to hold against.

    Attributes
    ----------
    lowest, highest
        Lowest and highest threshold of any policy at each internal classifier, each of shape (exits - 1,).
    criterion
        The criterion of certainty.
    floor
        The least certainty that there is.
    warnings
        A sentence for each thing that weakens the fingerprint.
    """

    lowest: Tensor
    highest: Tensor
    criterion: Criterion
    floor: float
    warnings: tuple[str, ...] = ()

    def below(self, margin: float) -> Tensor:
        """What a late image's certainty has to stay under, shape (exits - 1,)."""
        return torch.maximum(self.lowest - margin, (self.lowest + self.floor) / 2)

    def above(self, margin: float) -> Tensor:
        """What an early image's certainty has to be over, shape (exits - 1,); out of reach at closed exits."""
        return torch.maximum(torch.minimum(self.highest + margin, (self.highest + 1) / 2), self.highest)


def limits(network: MultiExitNetwork, policies: Sequence[ExitPolicy]) -> Limits:
    """The thresholds of some policies, less those policies under which every image leaves at the same exit.

    Raises
    ------
    ExitprintError
        If there is no policy, they differ in criterion, or none is left.
    """
    if not policies or len({policy.criterion for policy in policies}) > 1:
        raise ExitprintError("a contrast fingerprint needs policies of one criterion: the strictest and the loosest.")
    criterion = policies[0].criterion
    floor = 1 / network.classes if criterion == "confidence" else 0.0
    kept, warnings = [], []
    for policy in policies:
        T_c = policy.for_exits(network.exits - 1)
        if min(T_c) <= floor:
            warnings.append(
                f"With a threshold of {min(T_c):.3f} every image leaves at one exit at the latest, so no fingerprint "
                "can hold there: that policy was left out."
            )
        elif min(T_c) >= 1:
            warnings.append(
                f"With a threshold of {min(T_c):.3f} no image leaves early, so no fingerprint can hold there: that "
                "policy was left out."
            )
        else:
            kept.append(T_c)
    if not kept:
        raise ExitprintError(
            "under these policies every image leaves at the same exit, so none can be made later or earlier: choose "
            "policies with thresholds between chance and 1."
        )
    kept_T_c = torch.tensor(kept)
    return Limits(kept_T_c.amin(0), kept_T_c.amax(0), criterion, floor, tuple(warnings))


def contrast_fingerprint(
    network: MultiExitNetwork,
    images: Images,
    policies: Sequence[ExitPolicy],
    samples: int = 100,
    seed: int = 0,
    margin: float = 0.15,
    early_exits: int = 4,
    learning_rate: float = 0.005,
    steps: int = 300,
) -> Fingerprint:
    """Craft a contrast fingerprint: half of the samples late, half early.

    Parameters
    ----------
    network
        The owner's network.
    images
        Benign images to choose from; those that leave earliest are made late, and those that leave latest early.
    policies
        The policies under which the contrast has to hold, such as those of RAD=0 and RAD=15.
    samples
        Number of samples, both halves together.
    seed
        Of the choice.
    margin, early_exits, learning_rate, steps
        As in `craft_contrast`.

    Raises
    ------
    ExitprintError
        If there are too few images, or a policy makes every image leave at the same exit.
    Interrupted
        On Ctrl-C; nothing was written.
    """
    network.check_images(images.pixels[:1])
    if not 2 <= samples <= len(images):
        raise ExitprintError(f"{samples} samples cannot be crafted from {len(images)} images: ask for fewer.")
    warnings = limits(network, policies).warnings
    try:
        chosen, late = choose(natural_depth(network, images, policies), samples, seed)
        crafted = craft_contrast(network, images[chosen].x, late, policies, margin, early_exits, learning_rate, steps)
    except KeyboardInterrupt as stop:
        raise Interrupted("stopped while crafting, no fingerprint was written: a rerun starts clean.") from stop
    return Fingerprint(
        kind="contrast",
        samples=crafted.samples,
        originals=images.pixels[chosen],
        late=late,
        reached=crafted.reached,
        steps=crafted.steps,
        chosen=chosen,
        record={
            "method": {
                "margin": margin,
                "early_exits": early_exits,
                "learning_rate": learning_rate,
                "steps": steps,
            },
            "passes": crafted.passes,
            "policies": [{"criterion": p.criterion, "thresholds": list(p.thresholds)} for p in policies],
            "seed": seed,
            "warnings": list(warnings),
        },
    )


@torch.inference_mode()
def natural_depth(network: MultiExitNetwork, images: Images, policies: Sequence[ExitPolicy]) -> Tensor:
    """How late each image leaves by nature: its exit, averaged over the policies, shape (images,)."""
    network.eval()
    parts = []
    for pixels in images.pixels.split(BATCH):
        certainty = policies[0].certainty(network(unit_range(pixels)))
        parts.append(torch.stack([p.exits_of_certainty(certainty).double() for p in policies]).mean(0))
    return torch.cat(parts)


def choose(depth: Tensor, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """A seeded choice among the earliest and the latest images.

    Parameters
    ----------
    depth
        How late each image leaves by nature, shape (images,).
    samples
        How many to choose, both halves together.
    seed
        Of the choice.

    Returns
    -------
    chosen, late
        Indices of the images, and whether each is to be made late (it is early by nature), shape (samples,).
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(depth), generator=generator)
    ordered = shuffled[depth[shuffled].argsort(stable=True)]
    counts = samples - samples // 2, samples // 2
    pool = max(*counts, int(CHOICE * len(depth)))
    made_late = ordered[:pool][torch.randperm(pool, generator=generator)[: counts[0]]]
    made_early = ordered[-pool:][torch.randperm(pool, generator=generator)[: counts[1]]]
    return torch.cat([made_late, made_early]), torch.arange(samples) < counts[0]
