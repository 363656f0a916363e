"""What a network does on labelled images: logits of every exit, accuracy, and thresholds for a wanted RAD."""

from __future__ import annotations

import torch
from torch import Tensor

from exitprint.data import Images
from exitprint.networks import ExitPolicy, MultiExitNetwork, calibrate
from exitprint.networks.policy import Answer, Criterion
from exitprint.training.compute import on_best_device

BATCH = 256


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
