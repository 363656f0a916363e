"""Training the backbone: stages and final classifier, SGD, the whole data set in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment, unit_range
from exitprint.errors import ExitprintError, Interrupted
from exitprint.networks import MultiExitNetwork
from exitprint.networks.network import seen
from exitprint.progress import progress
from exitprint.training.checkpoint import Checkpoint
from exitprint.training.compute import memory_format, reduced_precision, repeatable
from exitprint.training.recipe import BackboneRecipe


def final_logits(network: MultiExitNetwork, x: Tensor) -> Tensor:
    """Logits (batch, classes) of the last exit alone; no internal classifier is computed."""
    features: Tensor | tuple[Tensor, ...] = network.normalised(x)
    for stage in network.stages:
        features = stage(features)
    logits: Tensor = network.heads[-1](seen(features))
    return logits


def epoch_seed(seed: int, epoch: int) -> int:
    """Seed of one epoch's randomness: a resumed training sees what an undisturbed one saw."""
    return seed * 100_003 + epoch


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Generator of one epoch's order and augmentation."""
    return torch.Generator().manual_seed(epoch_seed(seed, epoch))


def sgd(parameters: Iterable[torch.nn.Parameter], recipe: BackboneRecipe) -> torch.optim.SGD:
    """The recipe's optimiser."""
    return torch.optim.SGD(
        parameters,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.milestones is None,
    )


def stopped(done: int, epochs: int, kept: bool) -> Interrupted:
    """What to say when Ctrl-C came after `done` of so many epochs."""
    again = f"continues after epoch {done}" if kept and done else "starts clean"
    return Interrupted(
        f"stopped in epoch {done + 1} of {epochs}, no network was written: run the same command again and it {again}."
    )


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

    descend(network, network.backbone_parameters(), final_loss, data, recipe, seed, checkpoint)


def descend(
    network: MultiExitNetwork,
    parameters: Iterable[torch.nn.Parameter],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    data: ImageData,
    recipe: BackboneRecipe,
    seed: int,
    checkpoint: Checkpoint | None,
) -> None:
    """Stochastic gradient descent on a loss of (images in [0, 1], labels), over these parameters of a network."""
    optimiser = sgd(parameters, recipe)
    first = checkpoint.resume(network, optimiser) if checkpoint else 0
    network.to(memory_format=memory_format(network))  # type: ignore[call-overload]
    device = network.mean.device
    pixels, labels = data.train.pixels.to(device), data.train.labels.to(device)
    steps = max(1, len(labels) // recipe.batch)
    done = first
    try:
        with (
            progress("training the backbone (epochs)", recipe.epochs) as advance,
            torch.random.fork_rng(devices=[]),
            repeatable(),
        ):
            advance(first)
            for epoch in range(first, recipe.epochs):
                torch.manual_seed(epoch_seed(seed, epoch))
                generator = epoch_generator(seed, epoch)
                order = torch.randperm(len(labels), generator=generator).to(device)
                network.train()
                for step in range(steps):
                    batch = order[step * recipe.batch : (step + 1) * recipe.batch]
                    x = unit_range(augment(pixels[batch], data.flips, generator))
                    for group in optimiser.param_groups:
                        group["lr"] = recipe.rate(epoch + step / steps)
                    loss = loss_of(x.contiguous(memory_format=memory_format(network)), labels[batch])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                if not loss.isfinite():
                    raise ExitprintError(
                        f"training diverged in epoch {epoch + 1}: use a smaller learning rate or preset paper."
                    )
                done = epoch + 1
                if checkpoint:
                    checkpoint.keep(network, optimiser, done)
                advance(1)
    except KeyboardInterrupt as stop:
        raise stopped(done, recipe.epochs, kept=checkpoint is not None) from stop
    finally:
        network.to(memory_format=network.layout).eval()  # type: ignore[call-overload]
