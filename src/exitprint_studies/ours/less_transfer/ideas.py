"""Ideas against transfer, each tried beside the others: what is crafted, and how.

All ideas are put together from the parts that `contrast_fingerprint` is made of. The one that has a part of its own is
smooth changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from exitprint.data import Images
from exitprint.fingerprints.choice import choose, natural_order
from exitprint.fingerprints.crafting import ContrastMethod, craft_contrast
from exitprint.fingerprints.goals import contrast_goals, joined
from exitprint.fingerprints.optimise import Crafted, StepsOfLength
from exitprint.fingerprints.policies import usable_policies
from exitprint.fingerprints.shares import Rule, logits_of, policy_of
from exitprint.networks import MultiExitNetwork

CUTOFF = 0.25
"""Cycles per pixel that smooth changes have at most in either direction: half of what pixels can show."""


@dataclass(frozen=True)
class Idea:
    """One way to craft.

    Attributes
    ----------
    name
        In tables.
    references
        Which of the known independents hold the change back.
    chosen_by_references
        Whether images are also chosen by how early they leave those.
    smooth
        Whether the change has low frequencies alone.
    past_first
        Whether images are taken that stay past the first exit by nature, so that later exits carry all.
    early_exits
        At how many exits an early image has to be certain.
    new_exits
        On how many sets of new exits goals hold as well.
    """

    name: str
    references: tuple[str, ...] = ()
    chosen_by_references: bool = False
    smooth: bool = False
    past_first: bool = False
    early_exits: int = 3
    new_exits: int = 0


class SmoothSteps(StepsOfLength):
    """Steps of one length without the high frequencies of the gradient."""

    def step(self, gradient: Tensor) -> None:
        """One step of the given length."""
        super().step(low_frequencies(gradient))


class Smooth(ContrastMethod):
    """A contrast by such steps."""

    def variable(self, x: Tensor) -> SmoothSteps:
        """What stands for images that are changed."""
        return SmoothSteps(x, self.step_l2)


def low_frequencies(x: Tensor) -> Tensor:
    """The part of images (..., height, width) with at most `CUTOFF` cycles per pixel in either direction."""
    rows, columns = torch.fft.fftfreq(x.shape[-2]).abs(), torch.fft.rfftfreq(x.shape[-1])
    kept = (rows[:, None] <= CUTOFF) & (columns <= CUTOFF)
    return torch.fft.irfft2(torch.fft.rfft2(x) * kept, s=x.shape[-2:])


@dataclass(frozen=True)
class Samples:
    """What an idea gives: 8-bit images, those that they were made from, and which are to be late."""

    crafted: Crafted
    originals: Tensor
    late: Tensor


def craft(
    idea: Idea,
    margin: float,
    network: MultiExitNetwork,
    images: Images,
    rules: Sequence[Rule],
    known: Mapping[str, MultiExitNetwork],
    copies: Sequence[MultiExitNetwork],
    samples: int,
) -> Samples:
    """Samples by one idea with one margin.

    Parameters
    ----------
    idea, margin
        What is tried.
    network
        The owner's.
    images
        The pool.
    rules
        By which each network gets its policies.
    known
        Independents by the names that ideas have for them.
    copies
        Sets of new exits, as many as the idea asks for.
    samples
        How many, both halves together.
    """
    references = [known[name] for name in idea.references]
    certainties, by_network, goals = [], [], []
    for each in (network, *copies, *(references if idea.chosen_by_references else ())):
        policies, _ = usable_policies(each, [policy_of(each, rule) for rule in rules])
        certainty = policies[0].certainty(logits_of(each, images.pixels))
        certainties.append(certainty[:, :-1].mean(1, keepdim=True).expand(-1, 2))
        by_network.append(torch.stack([policy.exits_of_certainty(certainty) for policy in policies]))
        if each is network or each in copies:
            internal = each.num_exits - 1
            goals.append(contrast_goals(policies, by_network[-1], internal, each.classes, margin, idea.early_exits))
    order = natural_order(torch.stack(certainties).mean(0), torch.cat(by_network))
    if idea.past_first:
        order = order[(by_network[0] > 0).all(0)[order]]
    method = (Smooth if idea.smooth else ContrastMethod)(margin_log_odds=margin, candidates_per_sample=1)
    chosen, late = choose(order, min(samples, len(order)), method.extreme_share, seed=0)
    x = images[chosen].x
    crafted = craft_contrast(network, x, late, joined(goals), method, references, copies=copies)
    return Samples(crafted, images.pixels[chosen], late)
