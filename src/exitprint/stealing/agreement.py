"""How much alike a victim and its substitute are: in what they say, where they stop, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exitprint.data import Pixels
from exitprint.networks import MultiExitNetwork, exit_costs
from exitprint.training.evaluate import logits_of

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Behaviour:
    """What a network does with some images.

    Attributes
    ----------
    labels, exits
        What it says and where it stops, shape (images,).
    costs
        Cost of leaving there as a share of the whole network's FLOPs, shape (images,).
    """

    labels: Indices
    exits: Indices
    costs: NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """A substitute against its victim on the same images.

    Attributes
    ----------
    accuracy
        Share of right labels.
    fidelity
        Share of the victim's labels.
    same_exit, within_one
        Share of images that leave at the victim's exit, and at it or one next to it.
    cost
        Mean cost as a share of the substitute's whole network.
    cost_difference
        That over the victim's own, minus 1.
    exit_distance
        Total variation distance between the distributions over exits: 0 for equal ones, 1 for disjoint ones.
    """

    accuracy: float
    fidelity: float
    same_exit: float
    within_one: float
    cost: float
    cost_difference: float
    exit_distance: float


def behaviour(network: MultiExitNetwork, pixels: Pixels, exit_names: Indices | None = None) -> Behaviour:
    """Labels, exits and costs of a network, in evaluation mode, on 8-bit images (images, channels, height, width).

    `exit_names` says which exit of the victim each of this network's exits stands for, shape (exits,); by default the
    same.
    """
    logits = logits_of(network, pixels)
    exits = network.policy.exits(logits).numpy()
    costs = np.array(exit_costs(network))[exits]
    named = exits if exit_names is None else exit_names[exits]
    return Behaviour(network.policy.answered(logits).numpy(), named, costs)


def agreement(substitute: Behaviour, victim: Behaviour, truth: Indices) -> Agreement:
    """Compare a substitute with its victim on the same images, whose true labels are known, shape (images,)."""
    apart = np.abs(substitute.exits - victim.exits)
    exits = int(max(substitute.exits.max(), victim.exits.max())) + 1
    shares = [np.bincount(each.exits, minlength=exits) / len(truth) for each in (substitute, victim)]
    cost = float(substitute.costs.mean())
    return Agreement(
        float((substitute.labels == truth).mean()),
        float((substitute.labels == victim.labels).mean()),
        float((apart == 0).mean()),
        float((apart <= 1).mean()),
        cost,
        cost / float(victim.costs.mean()) - 1,
        float(np.abs(shares[0] - shares[1]).sum() / 2),
    )
