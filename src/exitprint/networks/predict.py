"""What a multi-exit network answers: each image at the exit that it takes, and nothing computed behind that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from exitprint.errors import ExitprintError, told
from exitprint.networks.heads import ExitHead
from exitprint.networks.walk import Features, evaluating

if TYPE_CHECKING:
    from exitprint.networks.network import MultiExitNetwork


@dataclass(frozen=True)
class Prediction:
    """What a network answers for a batch.

    Attributes
    ----------
    labels
        Predicted class, int64, shape (batch,).
    probabilities
        Softmax probabilities at the exit taken, at the policy's temperature, shape (batch, classes).
    exits
        The exit each input took, counted from 0, int64, shape (batch,).
    """

    labels: Tensor
    probabilities: Tensor
    exits: Tensor


def predict_one(network: MultiExitNetwork, x: Tensor) -> Prediction:
    """The answer for one image, shape (1, channels, height, width), in as few calls as can be."""
    certainty, limits = network.policy.certainty_of_one, network.policy.limits(network.num_exits - 1)
    heads = list(network.heads)
    for place in network.walk(x):
        head, exit = heads[place.exit], place.exit
        logits = head.of_one(place.seen) if isinstance(head, ExitHead) else head(place.shown_to(head))[0]
        if exit == len(limits) or certainty(logits) >= limits[exit]:
            break
    return Prediction(
        logits.argmax(0)[None], network.policy.probabilities(logits)[None], torch.full((1,), exit, device=x.device)
    )


def predict_batch(network: MultiExitNetwork, x: Tensor) -> Prediction:
    """The answers for a batch, which shrinks as images leave."""
    policy, limits = network.policy, network.policy.limits(network.num_exits - 1)
    waiting = torch.arange(len(x), device=x.device)
    taken: list[tuple[Tensor, Tensor, Tensor]] = []
    before: Tensor | None = None
    for place in network.walk(x):
        exit = place.exit
        head = network.heads[exit]
        logits = head(place.shown_to(head))[:, None]
        if policy.remembers and before is not None:
            logits = torch.cat([before, logits], 1)
        last = exit == len(limits)
        leaves = waiting >= 0 if last else policy.certainty(logits)[:, -1] >= limits[exit]
        leaving, staying = leaves.nonzero()[:, 0], (~leaves).nonzero()[:, 0]
        answers = policy.answers(logits)[leaving, -1]
        taken.append((waiting[leaving], answers, torch.full_like(leaving, exit)))
        if not len(staying):
            break
        before = logits
        if len(leaving):
            waiting, before = waiting[staying], logits[staying]
            place.features = _rows(place.features, staying)
    order, logits, exits = (torch.cat(parts) for parts in zip(*taken, strict=True))
    order = order.argsort()
    return Prediction(logits.argmax(1)[order], policy.probabilities(logits)[order], exits[order])


def _rows(features: Features, index: Tensor) -> Features:
    """The features of some of the inputs."""
    return features[index] if isinstance(features, Tensor) else tuple(part[index] for part in features)


@torch.no_grad()
def classes_of_heads(network: MultiExitNetwork) -> int:
    """The number of classes that a network's heads tell for a black image.

    Raises `ExitprintError` if a head does not answer logits (batch, classes), or they tell different numbers.
    """
    found: set[int] = set()
    black = torch.zeros(2, *network.input_shape, device=network.mean.device)
    with evaluating(network), told(f"stages and heads do not take images of shape {network.input_shape}: {{why}}"):
        for place in network.walk(black):
            head = network.heads[place.exit]
            logits = head(place.shown_to(head))
            if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 2:
                kind = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
                raise ExitprintError(f"exit {place.exit} answers {kind} where logits (batch, classes) are needed.")
            found.add(logits.shape[1])
    if len(found) > 1 or min(found) < 2:
        numbers = ", ".join(map(str, sorted(found)))
        raise ExitprintError(f"the heads tell {numbers} classes, and they have to tell the same, two or more.")
    return found.pop()
