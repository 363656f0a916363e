"""Training the backbone: stages and final classifier, SGD, the whole data set in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment
from exitprint.errors import Interrupted
from exitprint.networks import MultiExitNetwork
from exitprint.training.checkpoint import Checkpoint
from exitprint.training.compute import reduced_precision
from exitprint.training.descend import descend, shown
from exitprint.training.recipe import BackboneRecipe


def final_logits(network: MultiExitNetwork, x: Tensor) -> Tensor:
    """Logits (batch, classes) of the last exit alone; no internal classifier is computed."""
    for features in network.features(x):
        last = features
    logits: Tensor = network.heads[-1](last)
    return logits


def train_backbone(
    network: MultiExitNetwork,
    data: ImageData,
    recipe: BackboneRecipe,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train stages and final classifier, in place.

    Parameters
    ----------
    network
        The network; it is left in evaluation mode. Its internal classifiers are not touched.
    data
        Its `train` part is used, augmented by random crops and, where the data allows, mirroring.
    recipe
        Epochs, learning rate, batch and weight decay.
    seed
        Of the order and the augmentation of images.
    checkpoint
        Where to keep the state after each epoch, to go on from there after an interruption.

    Raises
    ------
    Interrupted
        On Ctrl-C; the text says whether a rerun continues.
    ExitprintError
        If the loss is not finite any more.
    """

    def final_loss(x: Tensor, labels: Tensor) -> Tensor:
        with reduced_precision(network, training=True):
            logits = final_logits(network, x)
        return F.cross_entropy(logits.float(), labels)

    fit(network, network.backbone_parameters(), final_loss, data, recipe, seed, checkpoint)


def fit(
    network: MultiExitNetwork,
    parameters: Iterable[torch.nn.Parameter],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    data: ImageData,
    recipe: BackboneRecipe,
    seed: int,
    checkpoint: Checkpoint | None,
) -> None:
    """Train these parameters on a loss of (images in [0, 1], labels), with momentum, as the recipe says."""
    optimiser = recipe.optimiser(parameters)
    done = checkpoint.resume(network, optimiser) if checkpoint else 0
    device = network.mean.device
    pixels, labels = data.train.pixels.to(device), data.train.labels.to(device)

    def batch_loss(chosen: Tensor, generator: torch.Generator, _: float) -> Tensor:
        return loss_of(shown(network, augment(pixels[chosen], data.flips, generator)), labels[chosen])

    def keep(epochs: int) -> None:
        nonlocal done
        done = epochs
        if checkpoint:
            checkpoint.keep(network, optimiser, epochs)

    try:
        descend(
            network,
            optimiser,
            batch_loss,
            len(labels),
            recipe,
            seed,
            "training the backbone",
            done=done,
            after_epoch=keep,
        )
    except KeyboardInterrupt as stop:
        again = f"continues after epoch {done}" if checkpoint and done else "starts clean"
        raise Interrupted(
            f"stopped in epoch {done + 1} of {recipe.epochs}, no network was written: "
            f"run the same command again and it {again}."
        ) from stop
