"""The one training loop: stochastic gradient descent over shuffled images, epoch by epoch, repeatable from a seed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from exitprint.data import unit_range
from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.progress import progress
from exitprint.training.compute import memory_format, repeatable
from exitprint.training.recipe import Schedule

LossOf = Callable[[Tensor, torch.Generator, float], Tensor]
"""The loss of a batch from the numbers of its images, the epoch's generator, and how many epochs are done."""

EPOCHS_APART = 100_003
"""More epochs than are ever trained, so that no epoch of two seeds draws the same."""


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Generator of one epoch's order and augmentation: a resumed training sees what an undisturbed one saw."""
    return torch.Generator().manual_seed(seed * EPOCHS_APART + epoch)


def shown(network: MultiExitNetwork, pixels: Tensor) -> Tensor:
    """8-bit images as `network` trains on them: in [0, 1], in the memory format that is fast for it."""
    return unit_range(pixels).contiguous(memory_format=memory_format(network))


def descend(
    network: MultiExitNetwork,
    optimiser: torch.optim.Optimizer,
    loss_of: LossOf,
    images: int,
    schedule: Schedule,
    seed: int,
    what: str,
    *,
    done: int = 0,
    incomplete: bool = False,
    after_epoch: Callable[[int], None] = lambda done: None,
) -> None:
    """Train in place; the network is left in evaluation mode and in its own memory layout, also after an error.

    Raises `ExitprintError` if the loss is not finite any more.

    Parameters
    ----------
    network
        What is trained.
    optimiser
        Over those of its parameters that are to change.
    loss_of
        The loss of a batch; image numbers come on the network's device.
    images
        How many there are.
    schedule
        Its epochs, learning rate at each time, and images in one step; all of them where there are fewer.
    seed
        Of everything random: the order, what `loss_of` draws from the generator, and dropout.
    what
        Is being done: for the progress bar and the error.
    done
        So many of the epochs are done already.
    incomplete
        Whether an epoch ends with a smaller batch of the images that are left over; a single one is left out, because
        batch normalisation needs two.
    after_epoch
        Called with the number of finished epochs after each.
    """
    network.to(memory_format=memory_format(network))  # type: ignore[call-overload]
    steps = max(1, images // schedule.batch)
    try:
        with progress(f"{what} (epochs)", schedule.epochs) as advance, torch.random.fork_rng(devices=[]), repeatable():
            advance(done)
            for epoch in range(done, schedule.epochs):
                torch.manual_seed(seed * EPOCHS_APART + epoch)
                generator = epoch_generator(seed, epoch)
                order = torch.randperm(images, generator=generator).to(network.mean.device)
                network.train()
                for step, chosen in enumerate(order.split(schedule.batch)):
                    if step >= steps and (not incomplete or len(chosen) == 1):
                        break
                    now = epoch + step / steps
                    for group in optimiser.param_groups:
                        group["lr"] = schedule.rate(now)
                    loss = loss_of(chosen, generator, now)
                    optimiser.zero_grad()
                    loss.backward()
                    optimiser.step()
                if not loss.isfinite():
                    raise ExitprintError(f"{what} diverged in epoch {epoch + 1}: use a smaller learning rate.")
                after_epoch(epoch + 1)
                advance(1)
    finally:
        network.to(memory_format=network.layout).eval()  # type: ignore[call-overload]
