"""What the certainty of internal classifiers has to become, so that an image is late, or early, under all policies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from exitprint.networks import ExitPolicy
from exitprint.networks.policy import CERTAINTY, LEAST, Criterion, in_log_odds

EARLY_QUANTILE = 0.25
"""An image counts as early under a policy if no more than this share of benign images leaves before it."""
NEAREST = 1e-7
"""A threshold counts as this far from 1 at least: nearer, 32-bit probabilities are rounded to 1."""
SURE = 15.0
"""Beyond these log-odds the likeliest class adds 1 − p to the entropy, as far as 32 bits can tell."""


@dataclass(frozen=True)
class Goals:
    """What the certainty of every internal classifier has to become, in log-odds.

    Attributes
    ----------
    below
        A late image's certainty has to stay under it, shape (exits - 1,).
    above
        An early image's certainty has to be over it, shape (exits - 1,); minus infinity where it does not matter.
    criterion, temperature
        The criterion of certainty, and what logits are divided by for it.
    """

    below: Tensor
    above: Tensor
    criterion: Criterion
    temperature: float = 1.0

    def log_odds(self, logits: Tensor) -> Tensor:
        """Log-odds of the certainty at every internal classifier, (images, exits - 1), from logits of every exit."""
        return log_odds(logits / self.temperature, self.criterion)

    def met(self, logits: Tensor, late: Tensor) -> Tensor:
        """Which images meet their goal, bool, shape (images,), from every exit's logits (images, exits, classes)."""
        c = self.log_odds(logits)
        return torch.where(late, (c < self.below).all(1), (c > self.above).all(1))

    def distance(self, logits: Tensor, late: Tensor) -> Tensor:
        """How much certainty is too much or missing, summed over exits, shape (images,); 0 where the goal is met."""
        c = self.log_odds(logits)
        return torch.where(late, (c - self.below).relu().sum(1), (self.above - c).relu().sum(1))


def joined(goals: Sequence[Goals]) -> Goals:
    """The goals of several sets of exits as those of one set, one after another."""
    below, above = (torch.cat([getattr(each, side) for each in goals]) for side in ("below", "above"))
    return replace(goals[0], below=below, above=above)


def contrast_goals(
    policies: Sequence[ExitPolicy],
    exits: Tensor,
    internal: int,
    classes: int,
    margin: float = 0.5,
    early_exits: int = 3,
) -> Goals:
    """The certainties that make an image late, and early, under all of these policies.

    A late image is never certain enough to leave before the last exit. An early one is, under each policy, certain
    enough where benign images begin to leave under that policy: asking more of it would take a larger change.

    Parameters
    ----------
    policies
        The policies, of one criterion.
    exits
        The exit of each benign image under each policy, shape (policies, images).
    internal, classes
        Number of internal classifiers and of classes.
    margin, early_exits
        As in `ContrastMethod`. Where a threshold is close to chance, a late image has to come half-way to chance only;
        where it is close to the largest certainty that an exit can have, an early one half-way to that.
    """
    T_c = torch.tensor([policy.for_exits(internal) for policy in policies])
    limits = T_c.double().clamp(LEAST, 1 - NEAREST).logit().float()
    chance = torch.tensor(least_certainty(policies[0].criterion, classes)).clamp(min=LEAST).logit()
    most = most_certainty(policies[0].criterion, internal).clamp(LEAST, 1 - LEAST**2).logit().float()
    strictest = limits.amin(0)
    above = torch.full_like(T_c, -torch.inf)
    for row, thresholds, limit, left in zip(above, T_c, limits, exits, strict=True):
        open_exits = (thresholds < 1).nonzero()[:, 0]
        begin = int((open_exits < left.double().quantile(EARLY_QUANTILE).long()).sum())
        aimed = open_exits[min(begin, len(open_exits) - 1) :][:early_exits]
        row[aimed] = torch.minimum(limit + margin, torch.maximum((limit + most) / 2, limit))[aimed]
    below = torch.maximum(strictest - margin, (strictest + chance) / 2)
    return Goals(below, above.amax(0), policies[0].criterion, policies[0].temperature)


def log_odds(logits: Tensor, criterion: Criterion) -> Tensor:
    """Log-odds of the certainty at every internal classifier, (images, exits - 1), from logits of every exit.

    They are taken from logits: a probability near one is rounded to one, and has no gradient left where a network is
    sure of itself.
    """
    internal = logits[:, :-1]
    if criterion == "patience":
        return in_log_odds(CERTAINTY[criterion](internal))
    top = internal.topk(2, -1)
    others = internal.scatter(-1, top.indices[..., :1], -torch.inf).logsumexp(-1)
    first, second = top.values.unbind(-1)
    if criterion == "confidence":
        return first - others
    certain = CERTAINTY[criterion](internal).clamp(min=LEAST).log()
    if criterion == "margin":
        return certain - (torch.logaddexp(others, second) - internal.logsumexp(-1))
    return certain - _log_entropy(internal, top.indices[..., :1], first - others) + math.log(math.log(logits.shape[-1]))


def _log_entropy(logits: Tensor, largest: Tensor, gap: Tensor) -> Tensor:
    """log H(p), (...,), from logits (..., classes), the index of the largest (..., 1), and its log-odds (...,)."""
    log_p = logits.log_softmax(-1)
    terms = log_p + (-log_p).clamp(min=1e-30).log()
    sure = -gap.clamp(min=SURE)
    unsure = torch.nn.functional.softplus(-gap.clamp(max=SURE)).log() - torch.nn.functional.softplus(-gap)
    return terms.scatter(-1, largest, torch.where(gap > SURE, sure, unsure)[..., None]).logsumexp(-1)


def least_certainty(criterion: Criterion, classes: int) -> float:
    """The certainty of a uniform answer."""
    return 1 / classes if criterion == "confidence" else 0.0


def most_certainty(criterion: Criterion, internal: int) -> Tensor:
    """The largest certainty that each internal classifier can have, shape (exits - 1,)."""
    runs = torch.arange(1, internal + 1, dtype=torch.float64)
    return 1 - 1 / runs if criterion == "patience" else torch.ones_like(runs)
