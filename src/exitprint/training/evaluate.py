"""What a network does on labelled images: logits of every exit, accuracy, and thresholds for a wanted RAD."""

from __future__ import annotations

import torch
from torch import Tensor

from exitprint.data import Images
from exitprint.errors import ExitprintError
from exitprint.networks import ExitPolicy, MultiExitNetwork, calibrate, exit_costs
from exitprint.networks.policy import CLOSED, Answer, Criterion
from exitprint.training.compute import on_best_device

BATCH = 256
HALF = 0.5


@torch.inference_mode()
def all_logits(network: MultiExitNetwork, images: Images) -> Tensor:
    """Every exit's logits, (images, exits, classes), float32 on the CPU, computed on a GPU if there is one."""
    network.eval()
    working = on_best_device(network)
    device = working.mean.device
    parts = [working(images[i : i + BATCH].x.to(device)).float().cpu() for i in range(0, len(images), BATCH)]
    return torch.cat(parts)


def exit_accuracies(network: MultiExitNetwork, images: Images) -> list[float]:
    """Accuracy of each exit alone, on all images."""
    correct = all_logits(network, images).argmax(2) == images.labels[:, None]
    return [float(value) for value in correct.double().mean(0)]


def policy_accuracy(network: MultiExitNetwork, images: Images) -> float:
    """Accuracy of the answers given under the network's policy."""
    logits = all_logits(network, images)
    return float((network.policy.answered(logits) == images.labels).double().mean())


def calibrated_policy(
    network: MultiExitNetwork,
    images: Images,
    rad: float,
    criterion: Criterion = "confidence",
    answer: Answer = "exit",
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
    criterion, answer
        The criterion of the policy, and whose answer inputs get.
    """
    logits = all_logits(network, images)
    policy = ExitPolicy(2.0, criterion, answer)
    correct = policy.answers(logits).argmax(2) == images.labels[:, None]
    return calibrate(policy.certainty(logits), correct, rad, criterion, answer)


def leaving_policy(
    network: MultiExitNetwork,
    images: Images,
    share: float,
    criterion: Criterion = "confidence",
    answer: Answer = "exit",
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
    criterion, answer
        The criterion of the policy, and whose answer inputs get.

    Raises
    ------
    ExitprintError
        If the share is out of range.
    """
    if not 0 < share < 1:
        raise ExitprintError(f"the share of images that leave lies between 0 and 1, and not at {share}.")
    first_half = max(1, sum(cost <= HALF for cost in exit_costs(network)[:-1]))
    certainty = ExitPolicy(CLOSED, criterion, answer).certainty(all_logits(network, images))
    T_c = certainty[:, :first_half].amax(1).double().quantile(1 - share)
    return ExitPolicy(float(T_c), criterion, answer)
