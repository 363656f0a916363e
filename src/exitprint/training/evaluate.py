"""What a network does on labelled images: logits of every exit, accuracy, and thresholds for a wanted RAD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from exitprint.data import Images, Pixels, batch_size, unit_range
from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, calibrate, exit_costs
from exitprint.networks.policy import CLOSED, ExitRule
from exitprint.training.compute import on_best_device

HALF = 0.5
"""Where a network's first half ends, as a share of its cost."""
AS_DEEP = 0.99
"""Cost, as a share of the last exit's, from which an exit saves nothing and is closed."""
MOST_AT_ONE = 0.9
"""There is room for later and for earlier images as long as no exit takes a larger share of them."""
SURE = 1 - 1e-6
"""The highest threshold that is looked for: certainties of a network that is sure of itself are rounded to 1."""


@torch.inference_mode()
def logits_of(network: MultiExitNetwork, pixels: Pixels, way: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    """Every exit's logits, (images, exits, classes), float32 on the CPU, computed where the network is.

    Parameters
    ----------
    network
        It is put into evaluation mode.
    pixels
        8-bit images on any device, shape (images, channels, height, width).
    way
        What is done to images in [0, 1] before the network sees them, such as `exitprint.suspects.Through`.
    """
    network.eval()
    parts = (unit_range(part.to(network.mean.device)) for part in pixels.split(batch_size(network.input_shape)))
    return torch.cat([network(way(part) if way else part).float().cpu() for part in parts])


def all_logits(network: MultiExitNetwork, images: Images) -> Tensor:
    """As `logits_of`, computed on a GPU if there is one."""
    return logits_of(on_best_device(network), images.pixels)


@dataclass(frozen=True)
class Evaluation:
    """How a network does on labelled images.

    Attributes
    ----------
    accuracy
        Of the answers given under its policy.
    exit_accuracies
        Of each exit alone, on all images.
    left
        The share of the images that leave at each exit.
    """

    accuracy: float
    exit_accuracies: tuple[float, ...]
    left: tuple[float, ...]


def evaluate(network: MultiExitNetwork, images: Images) -> Evaluation:
    """Send labelled images through the network once, and count."""
    labels, logits = images.labels, all_logits(network, images)
    right = (logits.argmax(2) == labels[:, None]).double().mean(0)
    left = network.policy.exits(logits).bincount(minlength=network.num_exits).double() / len(images)
    accuracy = float((network.policy.answered(logits) == labels).double().mean())
    return Evaluation(accuracy, tuple(right.tolist()), tuple(left.tolist()))


def exit_accuracies(network: MultiExitNetwork, images: Images) -> list[float]:
    """Accuracy of each exit alone, on all images."""
    return list(evaluate(network, images).exit_accuracies)


def policy_accuracy(network: MultiExitNetwork, images: Images) -> float:
    """Accuracy of the answers given under the network's policy."""
    return evaluate(network, images).accuracy


def calibrated_policy(
    network: MultiExitNetwork,
    images: Images,
    rad: float,
    rule: ExitRule = ExitRule(),
) -> ExitPolicy:
    """The policy with the lowest common threshold that keeps the relative accuracy drop at or below `rad` per cent.

    Parameters
    ----------
    network
        The network to calibrate; it is not changed.
    images
        Held-out images, that neither backbone nor heads were trained on.
    rad
        Relative accuracy drop in per cent, 5 or 15 in the paper.
    rule
        The criterion of the policy, whose answer inputs get, and what logits are divided by.
    """
    return _calibrated(all_logits(network, images), images.labels, rad, rule)


def _calibrated(logits: Tensor, labels: Tensor, rad: float, rule: ExitRule) -> ExitPolicy:
    policy = ExitPolicy(CLOSED, *rule)
    correct = policy.answers(logits).argmax(2) == labels[:, None]
    return calibrate(policy.certainty(logits), correct, rad, rule)


def leaving_policy(
    network: MultiExitNetwork,
    images: Images,
    share: float,
    rule: ExitRule = ExitRule(),
) -> ExitPolicy:
    """The policy with a common threshold under which this share of the images leaves in the first half of the network.

    The first half are the exits up to half of the network's cost, and the first exit where none lies there. It is a
    policy with early and with late images also where an early exit is as good as the last, and RAD says nothing.

    Parameters
    ----------
    network
        The network; it is not changed.
    images
        Held-out images.
    share
        More than 0 and less than 1.
    rule
        The criterion of the policy, whose answer inputs get, and what logits are divided by.

    Raises
    ------
    ExitprintError
        If the share is out of range.
    """
    return _leaving(network, all_logits(network, images), share, rule)


def _leaving(network: MultiExitNetwork, logits: Tensor, share: float, rule: ExitRule) -> ExitPolicy:
    if not 0 < share < 1:
        raise ExitprintError(f"the share of images that leave lies between 0 and 1, and not at {share}.")
    first_half = max(1, sum(cost <= HALF for cost in exit_costs(network)[:-1]))
    certainty = ExitPolicy(CLOSED, *rule).certainty(logits)
    T_c = certainty[:, :first_half].amax(1).double().quantile(1 - share)
    return ExitPolicy(min(float(T_c), SURE), *rule)


def policy_with_room(
    network: MultiExitNetwork,
    images: Images,
    rad: float,
    share: float,
    rule: ExitRule = ExitRule(),
) -> ExitPolicy:
    """The policy for this RAD, or, where it leaves no room (`has_room`), that of `leaving_policy` for this share.

    Where an early exit is as good as the last, every image leaves at the first exit for any RAD; where it is much
    worse, none does for a small one; and without labels there is no RAD. Arguments as in those two.
    """
    logits = all_logits(network, images)
    policy = _calibrated(logits, images.labels, rad, rule) if images.labelled else None
    return policy if policy and has_room(policy, logits) else _leaving(network, logits, share, rule)


def has_room(policy: ExitPolicy, logits: Tensor) -> bool:
    """Whether some images leave earlier than others: no exit takes more than nine in ten of them.

    Parameters
    ----------
    policy
        When images leave.
    logits
        Of every exit, shape (images, exits, classes).
    """
    return float(policy.exits(logits).bincount().max()) <= MOST_AT_ONE * len(logits)


def spread_policy(network: MultiExitNetwork, images: Images, keep: float) -> ExitPolicy:
    """Thresholds, one per exit, under which each exit takes `keep` times as many inputs as the one before.

    That is how Huang et al. (2018, section 5.2) set the thresholds of MSDNet for a budget. An exit as deep as the last
    one is closed.

    Parameters
    ----------
    network
        Its policy is not changed.
    images
        Held-out images that the shares are met on.
    keep
        Above 0.
    """
    certainty = ExitPolicy(CLOSED).certainty(all_logits(network, images)).numpy()
    used = np.array(exit_costs(network)) < AS_DEEP
    used[-1] = True
    shares = np.where(used, keep ** (np.cumsum(used) - 1.0), 0)
    shares /= shares.sum()
    waiting, thresholds = np.ones(len(images), dtype=bool), []
    for exit in range(network.num_exits - 1):
        threshold = CLOSED
        if used[exit]:
            here = np.sort(certainty[waiting, exit])[::-1]
            threshold = float(here[min(round(shares[exit] * len(images)), len(here)) - 1])
        thresholds.append(threshold)
        waiting &= certainty[:, exit] < threshold
    return ExitPolicy(thresholds)
