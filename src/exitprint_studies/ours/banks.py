"""Crafted images of which fingerprints of several sizes are composed, and where each image leaves a suspect.

Samples do not interact while they are crafted. So one crafting of many images gives every smaller fingerprint of the
same target, margin, references and pool, and one pass through a suspect gives what it does with all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from exitprint.data import ImageData, eight_bit
from exitprint.files import load_tensors, save_tensors
from exitprint.fingerprints import ContrastMethod, Fingerprint, contrast_fingerprint, load_fingerprint, save_fingerprint
from exitprint.fingerprints.choice import natural_order
from exitprint.fingerprints.fingerprint import Kind
from exitprint.fingerprints.shares import Rule, logits_of, share_of_pairs
from exitprint.networks import ExitPolicy, MultiExitNetwork, exit_flops
from exitprint.suspects import Answer
from exitprint.suspects.in_process import FLOPS_PER_SECOND
from exitprint.training import calibrated_policy
from exitprint_studies.ours.makers import RADS, Workshop
from exitprint_studies.ours.third_party import Adopted

KIND: Kind = "contrast"
VERSION = 1
"""Raised whenever the same declaration would be crafted otherwise than before."""


@dataclass(frozen=True)
class Bank:
    """Many images crafted for one target.

    Attributes
    ----------
    target
        Whose fingerprint it is.
    margin
        In log-odds.
    references
        Networks known to be independent that it is crafted against.
    pool
        How many test images they are chosen from, the first ones.
    images
        How many are crafted, both halves together.
    """

    target: Adopted
    margin: float
    references: tuple[Adopted, ...]
    pool: int
    images: int

    @property
    def key(self) -> dict[str, object]:
        """Everything that it depends on."""
        return {
            "bank": VERSION,
            "target": self.target.key,
            "margin": self.margin,
            "references": [reference.key for reference in self.references],
            "pool": self.pool,
            "images": self.images,
        }

    def crafted(self, workshop: Workshop) -> Fingerprint:
        """All of its images as one fingerprint, from the store or crafted now."""

        def make(to: Path) -> None:
            network, data = workshop.network(self.target), workshop.images(self.target)
            known = {f"ResNet-{each.depth}": workshop.network(each) for each in self.references}
            method = ContrastMethod(margin_log_odds=self.margin, candidates_per_sample=1)
            save_fingerprint(
                contrast_fingerprint(
                    network, data.test[: self.pool], rules(data), self.images, 0, method, known, check=False
                ),
                to,
            )

        return load_fingerprint(workshop.store.get(self.key, make))


def rules(data: ImageData) -> list[ExitPolicy | Rule]:
    """How a network gets its policy for each of `RADS`."""

    def rule(rad: float) -> Rule:
        return lambda network: calibrated_policy(network, data.calibration, rad)

    return [rule(rad) for rad in RADS]


def natural_places(workshop: Workshop, bank: Bank) -> Tensor:
    """The place of each of a bank's images in its pool when the earliest by nature comes first, shape (images,)."""

    def make(to: Path) -> None:
        network, pool = workshop.network(bank.target), workshop.images(bank.target).test[: bank.pool]
        policies, _ = workshop.policies(bank.target)
        logits = logits_of(network, pool.pixels)
        order = natural_order(policies[0].certainty(logits), torch.stack([policy.exits(logits) for policy in policies]))
        save_tensors(to, "places", {}, {"places": order.argsort()})

    key = {"places": bank.target.key, "pool": bank.pool}
    places = load_tensors(workshop.store.get(key, make), "places")[1]["places"]
    return places[bank.crafted(workshop).chosen]


def composed(late: Tensor, places: Tensor, l2: Tensor, reached: Tensor, pool: int, samples: int, seed: int) -> Tensor:
    """Which crafted images make a fingerprint of so many samples, as `contrast_fingerprint` would choose them.

    Each half is drawn among the most extreme tenth of the pool, or as many as there are candidates, two for each
    sample; of these the half with the smallest change is kept.

    Parameters
    ----------
    late, places, l2, reached
        Of each crafted image: whether it is made late, its place in the natural order of the pool, its change, and
        whether it met its goal; shape (images,).
    pool, samples, seed
        Number of images chosen from, number of samples wanted, and the seed of the choice.
    """
    generator = torch.Generator().manual_seed(seed)
    method = ContrastMethod()
    candidates = min(samples * method.candidates_per_sample, pool) // 2
    among = max(candidates, min(int(method.extreme_share * pool), pool // 2))
    kept = []
    for half, wanted in ((True, samples - samples // 2), (False, samples // 2)):
        mine = (late == half).nonzero()[:, 0]
        extreme = mine[places[mine] < among] if half else mine[places[mine] >= pool - among]
        drawn = extreme[torch.randperm(len(extreme), generator=generator)[:candidates]]
        changed = drawn[l2[drawn] > 0]
        cost = l2[changed] + torch.where(reached[changed], 0.0, torch.inf)
        kept.append(changed[cost.argsort(stable=True)[:wanted]].sort().values)
    return torch.cat(kept)


@dataclass(frozen=True)
class Left:
    """Where every image of a bank leaves one suspect, under each of `RADS`.

    Attributes
    ----------
    samples, originals
        Exits, int64, shape (RADs, images).
    seconds
        What each exit costs on the cost model's clock, float64, shape (exits,).
    """

    samples: Tensor
    originals: Tensor
    seconds: Tensor

    def shares(self, late: Tensor, chosen: Tensor) -> list[tuple[float, float]]:
        """For each RAD the share of pairs in which the late one takes longer: of the samples, and of the originals."""
        return [
            (share_of_pairs(KIND, x, x, late), share_of_pairs(KIND, benign, benign, late))
            for x, benign in zip(self.samples[:, chosen], self.originals[:, chosen], strict=True)
        ]


def left(workshop: Workshop, bank: Bank, suspect: Adopted, theft: str | None = None) -> Left:
    """Where a bank's images leave a suspect, from the store or asked now."""

    def make(to: Path) -> None:
        network, crafted = workshop.network(suspect, theft), bank.crafted(workshop)
        policies, _ = workshop.policies(suspect, theft)
        exits = {
            name: torch.stack([policy.exits(logits) for policy in policies])
            for name, logits in (
                ("samples", logits_of(network, crafted.samples)),
                ("originals", logits_of(network, crafted.originals)),
            )
        }
        save_tensors(to, "left", {}, {**exits, "seconds": seconds_of(network)})

    key = {"left": bank.key, "suspect": suspect.key, "theft": theft}
    return Left(**load_tensors(workshop.store.get(key, make), "left")[1])


def seconds_of(network: MultiExitNetwork) -> Tensor:
    """What each exit costs on the cost model's clock, float64, shape (exits,)."""
    return torch.tensor(exit_flops(network), dtype=torch.float64) / FLOPS_PER_SECOND


class Replayed:
    """A suspect on the cost model's clock that says of each image where it was seen to leave.

    Parameters
    ----------
    seconds
        How long each image takes, by its 8-bit pixels.
    """

    def __init__(self, seconds: Mapping[bytes, float]) -> None:
        self._seconds = seconds

    @classmethod
    def of(cls, fingerprint: Fingerprint, samples: Tensor, originals: Tensor, seconds: Tensor) -> Replayed:
        """From the exit of each sample and of each original, (samples,), and what each exit costs, (exits,)."""
        images = torch.cat([fingerprint.samples, fingerprint.originals])
        times = seconds[torch.cat([samples, originals])].tolist()
        return cls({image.numpy().tobytes(): time for image, time in zip(images, times, strict=True)})

    def ask(self, x: Tensor) -> Answer:
        """How long each image takes."""
        times = [self._seconds[image.numpy().tobytes()] for image in eight_bit(x)]
        return Answer(np.array(times), "cost-model")
