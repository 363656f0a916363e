"""Images changed until each is late or early enough, by as little as that takes and as references allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from exitprint.data import batch_size, unit_range
from exitprint.fingerprints.exits_anew import all_exits
from exitprint.fingerprints.fingerprint import l2_changes
from exitprint.fingerprints.goals import Goals
from exitprint.fingerprints.optimise import AdamOnTanh, Crafted, Look, StepsOfLength, Variable, frozen, looks, optimise
from exitprint.networks import MultiExitNetwork
from exitprint.suspects.through import Through

EVERY = 2
"""In one of so many steps one reference is asked."""


@dataclass(frozen=True)
class ContrastMethod:
    """How a contrast is crafted; `docs/contrast.md` says what each part is worth.

    Attributes
    ----------
    margin_log_odds
        How far certainties have to be beyond the threshold, in log-odds.
    early_exits
        At how many exits in a row an early image has to be certain, beginning where a quarter of benign images has
        left.
    extreme_share
        Each half is chosen among this share of the images, the most extreme ones; among as many as there are
        candidates where that is more.
    candidates_per_sample
        So many images are crafted for each sample that is wanted; those with the smallest change are kept.
    step_l2
        L2 of one step, pixels in [0, 1].
    steps
        The most steps for an image.
    reference_weight
        Weight of the penalty on what the change does to networks known to be independent, where there are some.
    adam_learning_rate
        Learning rate of Adam on tanh, as the paper crafts, in place of steps of one length.
    """

    margin_log_odds: float = 0.5
    early_exits: int = 3
    extreme_share: float = 0.1
    candidates_per_sample: int = 2
    step_l2: float = 0.06
    steps: int = 200
    reference_weight: float = 2.0
    adam_learning_rate: float | None = None

    def variable(self, x: Tensor) -> Variable:
        """What stands for images that are changed, from those that they begin as."""
        adam = self.adam_learning_rate
        return StepsOfLength(x, self.step_l2) if adam is None else AdamOnTanh(x, adam)


def craft_contrast(
    network: MultiExitNetwork,
    x: Tensor,
    late: Tensor,
    goals: Goals,
    method: ContrastMethod | None = None,
    references: Sequence[MultiExitNetwork] = (),
    through: Sequence[Through] = (),
    copies: Sequence[MultiExitNetwork] = (),
    wanted: int | None = None,
) -> Crafted:
    """Make some images late and the others early, each with the smallest change that meets its goal.

    Parameters
    ----------
    network
        The owner's network.
    x
        Benign images in [0, 1], float32, shape (samples, channels, height, width).
    late
        Which of them are to be late, bool, shape (samples,); the others are made early.
    goals
        When an image is late or early enough; see `contrast_goals`.
    method
        Length and number of steps.
    references
        Networks known to be independent, for the same images: their certainty is to stay as it is.
    through
        What may be done to an image before a network sees it: goals are met as sent and behind each way.
    copies
        The network with other exits, whose `goals` come one after another, after its own.
    wanted
        How many of the images will be kept, both halves together, those that were changed least; the others are given
        up as soon as they are not among them. By default all.
    """
    method = method or ContrastMethod()
    device = network.mean.device
    x, late = x.to(device), late.to(device)
    goals = replace(goals, below=goals.below.to(device), above=goals.above.to(device))
    with frozen(*references, *copies):
        return optimise(
            network,
            method.variable(x),
            lambda _, logits, indices: goals.distance(logits, late[indices]),
            lambda logits, indices: goals.met(logits, late[indices]),
            method.steps,
            pull=Reluctance(references, x, late, goals, method.reference_weight, through) if references else None,
            seen=looks(all_exits(network, copies) if copies else network, through),
            spare=None if wanted is None else Surplus(x, late, wanted),
        )


class Surplus:
    """Which images are not needed any more: enough others of their half have met their goal by a smaller change.

    An image's change grows with nearly every step, so those that `least_changed` keeps are as if all had gone on.

    Parameters
    ----------
    x, late
        The images as they were, shape (samples, channels, height, width), and which are to be late, shape (samples,).
    wanted
        How many will be kept, both halves together.
    """

    def __init__(self, x: Tensor, late: Tensor, wanted: int) -> None:
        self.x, self.late = x, late
        self.wanted = {True: wanted - wanted // 2, False: wanted // 2}

    def __call__(self, samples: Tensor, reached: Tensor, x: Tensor, indices: Tensor) -> Tensor:
        """Whether each of the images x′ with these indices is not needed, bool, from 8-bit samples that are done."""
        L2 = l2_changes(x, self.x[indices])
        spare = torch.zeros_like(self.late[indices])
        for half, wanted in self.wanted.items():
            done = reached & (self.late == half)
            taken = l2_changes(unit_range(samples[done]), self.x[done])
            taken = taken[taken > 0]
            if len(taken) >= wanted > 0:
                limit = taken.kthvalue(wanted).values
                spare |= (self.late[indices] == half) & (limit <= L2)
        return spare


class Reluctance:
    """The pull against what the change does to references: in every other step one of them is asked, in turn.

    What it said last holds until it is its turn again.

    Parameters
    ----------
    references
        Networks known to be independent.
    x, late
        The images as they were, shape (samples, channels, height, width), and which are to be late, shape (samples,).
    goals
        Whose criterion and temperature certainty has.
    weight
        Of the penalty.
    through
        What may be done to an image before a network sees it: a reference is asked as sent and behind each way.
    """

    def __init__(
        self,
        references: Sequence[MultiExitNetwork],
        x: Tensor,
        late: Tensor,
        goals: Goals,
        weight: float,
        through: Sequence[Through] = (),
    ) -> None:
        self.references, self.late, self.goals, self.weight = references, late, goals, weight
        self.seen = [looks(reference.eval(), through) for reference in references]
        self.natural = [[_log_odds_of(look, x, goals) for look in each] for each in self.seen]
        self.pulls = [torch.zeros_like(x) for _ in references]

    def __call__(self, x: Tensor, indices: Tensor, step: int) -> Tensor:
        """The gradient of the penalty at the images x′ with these indices; before the first step there is none."""
        turn, rest = divmod(step - 1, EVERY)
        if step and not rest:
            self._ask(turn % len(self.references), x, indices)
        return torch.stack([pull[indices] for pull in self.pulls]).sum(0)

    def _ask(self, number: int, x: Tensor, indices: Tensor) -> None:
        batch = batch_size(x.shape)
        for part, those in zip(x.split(batch), indices.split(batch), strict=True):
            part = part.clone().requires_grad_()
            pulls = torch.zeros_like(part)
            for look, natural in zip(self.seen[number], self.natural[number], strict=True):
                change = self.goals.log_odds(look(part)) - natural[those]
                followed = torch.where(self.late[those, None], -change, change).relu().mean(1)
                pulls += torch.autograd.grad(self.weight * followed.sum(), part)[0]
            self.pulls[number][those] = pulls


@torch.no_grad()
def _log_odds_of(look: Look, x: Tensor, goals: Goals) -> Tensor:
    return torch.cat([goals.log_odds(look(part)) for part in x.split(batch_size(x.shape))])
