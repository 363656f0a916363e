"""Training the backbone: stages and final classifier, SGD, the whole data set in memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment, unit_range
from exitprint.errors import ExitprintError, Interrupted
from exitprint.networks import MultiExitNetwork
from exitprint.progress import progress
from exitprint.training.checkpoint import Checkpoint
from exitprint.training.compute import memory_format, reduced_precision
from exitprint.training.recipe import BackboneRecipe

Perturbation = Callable[[MultiExitNetwork, Tensor, Tensor], Tensor]


def final_logits(network: MultiExitNetwork, x: Tensor) -> Tensor:
    """Logits (batch, classes) of the last exit alone; no internal classifier is computed."""
    features = network.normalised(x)
    for stage in network.stages:
        features = stage(features)
    logits: Tensor = network.heads[-1](features)
    return logits


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Generator of one epoch's randomness: a resumed training sees what an undisturbed one saw."""
    return torch.Generator().manual_seed(seed * 100_003 + epoch)


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
    parameters = list(network.backbone_parameters())
    optimiser = torch.optim.SGD(parameters, lr=recipe.learning_rate, momentum=recipe.momentum,
                                weight_decay=recipe.weight_decay, nesterov=recipe.milestones is None)  # fmt: skip
    first = _resume(network, optimiser, parameters, checkpoint)
    network.to(memory_format=memory_format(network))  # type: ignore[call-overload]
    device = network.mean.device
    pixels, labels = data.train.pixels.to(device), data.train.labels.to(device)
    steps = max(1, len(labels) // recipe.batch)
    done = first
    try:
        with (
            progress("training the backbone (epochs)", recipe.epochs) as advance,
            torch.random.fork_rng(devices=[]),
        ):
            advance(first)
            for epoch in range(first, recipe.epochs):
                torch.manual_seed(seed * 100_003 + epoch)
                generator = epoch_generator(seed, epoch)
                order = torch.randperm(len(labels), generator=generator).to(device)
                network.train()
                for step in range(steps):
                    batch = order[step * recipe.batch : (step + 1) * recipe.batch]
                    x = unit_range(augment(pixels[batch], data.flips, generator))
                    for group in optimiser.param_groups:
                        group["lr"] = recipe.rate(epoch + step / steps)
                    with reduced_precision(network, training=True):
                        logits = final_logits(network, x.contiguous(memory_format=memory_format(network)))
                    loss = F.cross_entropy(logits.float(), labels[batch])
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                if not loss.isfinite():
                    raise ExitprintError(
                        f"training diverged in epoch {epoch + 1}: use a smaller learning rate or preset paper."
                    )
                done = epoch + 1
                _keep(network, optimiser, parameters, checkpoint, done)
                advance(1)
    except KeyboardInterrupt as stop:
        again = (
            f"run the same command again and it continues after epoch {done}"
            if checkpoint and done
            else "run the same command again and it starts clean"
        )
        raise Interrupted(f"stopped in epoch {done + 1} of {recipe.epochs}, no network was written: {again}.") from stop
    finally:
        network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def _keep(
    network: MultiExitNetwork,
    optimiser: torch.optim.SGD,
    parameters: list[torch.nn.Parameter],
    checkpoint: Checkpoint | None,
    epochs: int,
) -> None:
    if checkpoint is None:
        return
    momenta = {f"momentum.{i}": optimiser.state[p]["momentum_buffer"] for i, p in enumerate(parameters)}
    checkpoint.write(epochs, {**{f"network.{k}": v for k, v in network.state_dict().items()}, **momenta})


def _resume(
    network: MultiExitNetwork,
    optimiser: torch.optim.SGD,
    parameters: list[torch.nn.Parameter],
    checkpoint: Checkpoint | None,
) -> int:
    kept = checkpoint.read() if checkpoint else None
    if kept is None:
        return 0
    epochs, tensors = kept
    network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
    for index, parameter in enumerate(parameters):
        optimiser.state[parameter]["momentum_buffer"] = tensors[f"momentum.{index}"].to(parameter.device)
    return epochs
