"""Training internal classifiers that are an architecture's or a module's own, on a frozen backbone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment, batch_size
from exitprint.networks import MultiExitNetwork
from exitprint.training.compute import reduced_precision
from exitprint.training.descend import descend, shown
from exitprint.training.heads import CACHE_BYTES, CACHE_BYTES_OF_LARGE_SET
from exitprint.training.recipe import HeadRecipe


def train_own_heads(
    network: MultiExitNetwork, data: ImageData, recipe: HeadRecipe, seed: int, exits: Sequence[int]
) -> None:
    """Train these internal classifiers in place, whatever they consist of; the rest of the network stays as it is.

    What such a head learns may begin with a convolution, so nothing smaller than its features can be kept. Where they
    fit into 6 GB (1.5 GB beside images that do not fit into memory), they are computed once; else, and with more than
    one view in the recipe, for images are then augmented in every epoch, the backbone runs again in every epoch. A
    head without parameters of its own stays as it is. Raises `ExitprintError` if the loss is not finite any more.
    """
    heads = {exit: network.heads[exit] for exit in exits}
    parameters = [p for head in heads.values() for p in head.parameters()]
    if not parameters:
        return
    device = network.mean.device
    pixels, labels = data.train.pixels.to(device), data.train.labels.to(device)
    kept = _features(network, data, list(heads)) if recipe.views == 1 else None

    def seen(chosen: Tensor, generator: torch.Generator) -> dict[int, Any]:
        if kept:
            return {exit: features[chosen] for exit, features in kept.items()}
        batch = pixels[chosen]
        return _seen(network, augment(batch, data.flips, generator) if recipe.views > 1 else batch, list(heads))

    def loss_of(chosen: Tensor, generator: torch.Generator, _: float) -> Tensor:
        network.eval()
        with reduced_precision(network, training=True):
            features = seen(chosen, generator)
            logits = [head.train()(features[exit]).float() for exit, head in heads.items()]
        return torch.stack([F.cross_entropy(each, labels[chosen]) for each in logits]).sum()

    descend(
        network,
        torch.optim.Adam(parameters, lr=recipe.learning_rate),
        loss_of,
        len(labels),
        recipe,
        seed,
        "training internal classifiers",
        incomplete=True,
    )


@torch.no_grad()
def _seen(network: MultiExitNetwork, pixels: Tensor, exits: Sequence[int]) -> dict[int, Any]:
    """What each of these exits' heads takes of 8-bit images."""
    features = list(islice(network.features(shown(network, pixels)), max(exits) + 1))
    return {exit: features[exit] for exit in exits}


def _features(network: MultiExitNetwork, data: ImageData, exits: Sequence[int]) -> dict[int, Tensor] | None:
    """The same of every training image, computed once; None where it is more than one tensor or does not fit."""
    network.eval()
    pixels = data.train.pixels.to(network.mean.device)
    most = CACHE_BYTES if isinstance(data.train.pixels, Tensor) else CACHE_BYTES_OF_LARGE_SET
    kept: dict[int, Tensor] = {}
    done = 0
    with reduced_precision(network, training=True):
        for chunk in pixels.split(batch_size(network.input_shape)):
            seen = _seen(network, chunk, exits)
            if not all(isinstance(each, Tensor) for each in seen.values()):
                return None
            if not kept:
                if len(pixels) * sum(each[0].nbytes for each in seen.values()) > most:
                    return None
                kept = {exit: each.new_empty(len(pixels), *each.shape[1:]) for exit, each in seen.items()}
            for exit, each in seen.items():
                kept[exit][done : done + len(chunk)] = each
            done += len(chunk)
    return kept
