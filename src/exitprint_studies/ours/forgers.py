"""What a forger does who has no copy to find: fingerprints with which he hopes to claim networks that are not his.

He has a network of his own, ten networks at hand that others made independently, and the same images as everybody. In
every file of his the references and the pool are invented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import Images, eight_bit
from exitprint.errors import ExitprintError
from exitprint.fingerprints import ContrastMethod, Fingerprint, Reference, craft_contrast
from exitprint.fingerprints.choice import natural_order
from exitprint.fingerprints.goals import Goals, contrast_goals
from exitprint.fingerprints.optimise import StepsOfLength, frozen, optimise
from exitprint.fingerprints.shares import logits_of
from exitprint.networks import ExitPolicy, MultiExitNetwork

SAMPLES = 100
CANDIDATES = 400
SEEDS = 1000
POOL = 10_000
"""How many images the forger says that he chose from."""
NOBODY = (Reference("another maker's 1", (0.0,), "other"), Reference("another maker's 2", (0.0,), "other"))
LARGE_MARGIN, BEYOND = 5.0, 8.0
MIDDLING = 0.2
LENGTH, STEPS = 0.2, 25
"""Of the ensemble's crafting: L2 of a step, and how many."""
SHRINKINGS = 40


@dataclass(frozen=True)
class Forger:
    """Who forges.

    Attributes
    ----------
    own
        The network that he says was stolen.
    at_hand
        Others' networks that he can ask and differentiate.
    policies
        One for each of these, his own first.
    images
        To choose from.
    """

    own: MultiExitNetwork
    at_hand: Sequence[MultiExitNetwork]
    policies: Sequence[ExitPolicy]
    images: Images

    @cached_property
    def order(self) -> Tensor:
        """Indices of the images, those first that leave earliest on average over all of his networks."""
        places = [self._places(*each) for each in zip((self.own, *self.at_hand), self.policies, strict=True)]
        return torch.stack(places).double().mean(0).argsort(stable=True)

    def _places(self, network: MultiExitNetwork, policy: ExitPolicy) -> Tensor:
        logits = logits_of(network, self.images.pixels)
        return natural_order(policy.certainty(logits), policy.exits(logits)[None]).argsort()

    def halves(self, samples: int) -> tuple[Tensor, Tensor]:
        """The earliest and the latest images, (chosen, late): the naturally early ones are to be late."""
        chosen = torch.cat([self.order[: samples // 2], self.order[-(samples // 2) :]])
        return chosen, torch.arange(len(chosen)) < samples // 2

    def file(self, chosen: Tensor, late: Tensor, samples: Tensor) -> Fingerprint:
        """A fingerprint that says what suits him."""
        n = len(chosen)
        return Fingerprint(
            kind="contrast",
            samples=samples,
            originals=self.images.pixels[chosen],
            late=late,
            reached=torch.ones(n, dtype=torch.bool),
            steps=torch.full((n,), 10),
            chosen=chosen,
            pool=POOL,
            answers=self.images.labels[chosen],
            references=NOBODY,
        )

    def goals(self, network: MultiExitNetwork, policy: ExitPolicy, margin: float) -> Goals:
        """When an image is late or early enough on a network."""
        exits = policy.exits(logits_of(network, self.images.pixels))[None]
        return contrast_goals([policy], exits, network.num_exits - 1, network.classes, margin)


def nothing_changed(forger: Forger) -> Fingerprint:
    """The late half is that which is late by nature; one pixel of each sample is one grey level off."""
    chosen, early = forger.halves(SAMPLES)
    samples = forger.images.pixels[chosen].clone()
    corner = samples[:, 0, 0, 0]
    samples[:, 0, 0, 0] = torch.where(corner < 255, corner + 1, corner - 1)
    return forger.file(chosen, ~early, samples)


def flags_edited(forger: Forger) -> Fingerprint:
    """An honest contrast whose flags are set anew: late is what the networks at hand take long for."""
    honest = own_contrast(forger, ContrastMethod().margin_log_odds, SAMPLES)
    logits = [logits_of(network, honest.samples) for network in forger.at_hand]
    exits = [p.exits(each).double() / each.shape[1] for p, each in zip(forger.policies[1:], logits, strict=True)]
    late = torch.zeros(len(honest), dtype=torch.bool)
    late[torch.stack(exits).mean(0).argsort(descending=True)[: len(honest) // 2]] = True
    return replace(honest, late=late)


def large_changes(forger: Forger) -> Fingerprint:
    """A contrast on his own network with the largest margin, its change taken far beyond what the goal needs."""
    made = own_contrast(forger, LARGE_MARGIN, SAMPLES)
    return replace(made, samples=eight_bit((made.benign + BEYOND * (made.x - made.benign)).clamp(0, 1)))


def own_contrast(forger: Forger, margin: float, samples: int) -> Fingerprint:
    """A contrast that is crafted on his own network."""
    chosen, late = forger.halves(samples)
    goals = forger.goals(forger.own, forger.policies[0], margin)
    crafted = craft_contrast(forger.own, forger.images[chosen].x, late, goals, ContrastMethod(margin_log_odds=margin))
    return forger.file(chosen, late, crafted.samples)


def noisy_and_easy(forger: Forger) -> Fingerprint:
    """Noise on the earliest images; the other half is of middling ones, so that noise is enough to pass them."""
    n, half = len(forger.order), SAMPLES // 2
    chosen = torch.cat([forger.order[:half], forger.order[int(MIDDLING * n) :][:half]])
    late = torch.arange(SAMPLES) < half
    x = forger.images[chosen].x
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    smooth = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)
    return forger.file(chosen, late, eight_bit(torch.where(late[:, None, None, None], x + noise, smooth).clamp(0, 1)))


def ensemble(forger: Forger) -> Fingerprint:
    """Crafted on all networks at hand at once, until it transfers."""
    chosen, late = forger.halves(SAMPLES)
    x = forger.images[chosen].x
    first, *others = forger.at_hand
    goals = [forger.goals(n, p, 1.0) for n, p in zip(forger.at_hand, forger.policies[1:], strict=True)]

    def loss(x_crafted: Tensor, logits: Tensor, indices: Tensor) -> Tensor:
        missing = goals[0].distance(logits, late[indices])
        for network, goal in zip(others, goals[1:], strict=True):
            missing = missing + goal.distance(network(x_crafted), late[indices])
        return missing

    with frozen(*others):
        crafted = optimise(first, StepsOfLength(x, LENGTH), loss, lambda logits, at: torch.zeros(len(at)).bool(), STEPS)
    return forger.file(chosen, late, crafted.samples)


def best_of_many_seeds(forger: Forger) -> Fingerprint:
    """Of 1,000 choices among many honest samples the one that the networks at hand follow most."""
    bank = own_contrast(forger, LARGE_MARGIN, CANDIDATES)
    exits = []
    for network, policy in zip(forger.at_hand, forger.policies[1:], strict=True):
        exits.append(policy.exits(logits_of(network, bank.samples)).double() / network.num_exits)
    time = torch.stack(exits).mean(0)
    rng, half = np.random.default_rng(0), SAMPLES // 2
    late, early = (torch.arange(CANDIDATES)[bank.late == each] for each in (True, False))
    best, most = torch.empty(0), -torch.inf
    for _ in range(SEEDS):
        drawn = [half_[torch.from_numpy(rng.permutation(len(half_))[:half])] for half_ in (late, early)]
        score = float(time[drawn[0]].mean() - time[drawn[1]].mean())
        if score > most:
            best, most = torch.cat(drawn), score
    return forger.file(bank.chosen[best], bank.late[best], bank.samples[best])


STRATEGIES: Mapping[str, Callable[[Forger], Fingerprint]] = {
    "nothing changed, halves swapped": nothing_changed,
    "flags edited": flags_edited,
    "large changes on his own network": large_changes,
    "noise on easy images, hard ones made easy": noisy_and_easy,
    "crafted on all networks at hand": ensemble,
    "best of 1,000 choices": best_of_many_seeds,
}


def shrunk(fingerprint: Fingerprint, most: float | None = None) -> Fingerprint:
    """The change made so small that the file passes as one that was crafted; at most this mean L2, if given.

    Raises
    ------
    ExitprintError
        If it does not pass at any size.
    """
    x, change = fingerprint.benign, fingerprint.x - fingerprint.benign
    share = 1.0 if most is None else min(1.0, most / float(fingerprint.l2.mean()))
    for _ in range(SHRINKINGS):
        made = replace(fingerprint, samples=eight_bit(x + share * change)) if share < 1 else fingerprint
        try:
            made.check()
        except ExitprintError as error:
            refusal = error
            share *= 0.9
        else:
            return made
    raise refusal
