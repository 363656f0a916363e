"""Training internal classifiers that are an architecture's or a module's own, on a frozen backbone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment
from exitprint.networks import MultiExitNetwork
from exitprint.training.compute import reduced_precision
from exitprint.training.descend import descend, shown
from exitprint.training.recipe import HeadRecipe


def train_own_heads(
    network: MultiExitNetwork, data: ImageData, recipe: HeadRecipe, seed: int, exits: Sequence[int]
) -> None:
    """Train these internal classifiers in place, whatever they consist of; the rest of the network stays as it is.

    The backbone runs again in every epoch: what such a head learns may begin with a convolution, so nothing smaller
    than its features could be kept. With more than one view in the recipe, images are augmented in every epoch. One
    without parameters of its own stays as it is. Raises `ExitprintError` if the loss is not finite any more.
    """
    heads = {exit: network.heads[exit] for exit in exits}
    parameters = [p for head in heads.values() for p in head.parameters()]
    if not parameters:
        return
    device = network.mean.device
    pixels, labels = data.train.pixels.to(device), data.train.labels.to(device)

    def loss_of(chosen: Tensor, generator: torch.Generator, _: float) -> Tensor:
        network.eval()
        batch = pixels[chosen]
        x = shown(network, augment(batch, data.flips, generator) if recipe.views > 1 else batch)
        with reduced_precision(network, training=True):
            with torch.no_grad():
                seen = list(islice(network.features(x), max(heads) + 1))
            logits = [head.train()(seen[exit]).float() for exit, head in heads.items()]
        return torch.stack([F.cross_entropy(each, labels[chosen]) for each in logits]).sum()

    descend(
        network,
        torch.optim.Adam(parameters, lr=recipe.learning_rate),
        loss_of,
        len(labels),
        batch=recipe.batch,
        epochs=range(recipe.epochs),
        seed=seed,
        what="training internal classifiers",
        rate=recipe.rate,
        incomplete=True,
    )
