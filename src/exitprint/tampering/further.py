"""What a thief does to a copy's backbone by training it further: fine-tuning and adversarial training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment
from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.networks.walk import evaluating
from exitprint.tampering.exits import exits_again
from exitprint.tampering.rebuild import interruptible, needs_float, shared, working_copy
from exitprint.training import HeadRecipe
from exitprint.training.backbone import final_logits
from exitprint.training.compute import reduced_precision
from exitprint.training.descend import descend, shown
from exitprint.training.recipe import Schedule

Perturbation = Callable[[MultiExitNetwork, Tensor, Tensor, torch.Generator], Tensor]
LEARNING_RATE = 1e-3
BATCH = 128
EPSILON = 8 / 256
PGD_STEPS = 10
"""Training of a copy, by default, and the attack of adversarial training: images change by ε = 8/256 in L∞ at most, in
so many steps (Dong et al., sections 4.1 and A)."""
FOLLOW_UPS = ("exits retrained", "calibrated")


@interruptible
def finetune(
    network: MultiExitNetwork,
    data: ImageData,
    *,
    epochs: int = 16,
    share: float = 1.0,
    learning_rate: float = LEARNING_RATE,
    retrain_heads: bool = True,
    heads: HeadRecipe | None = None,
    rad: float | None = 5,
    seed: int = 0,
) -> MultiExitNetwork:
    """Train the backbone further on benign images with Adam (sections 4.1 and A: 0.001, up to 16 epochs).

    Fine-tuning a fine-tuned network with the same seed goes on where that left off, but for Adam's moments, which
    begin anew; `tamper_in_steps` is that.

    Parameters
    ----------
    network
        The stolen network; it is not changed.
    data
        The thief's images.
    epochs
        How long.
    share
        Share of the training images that the thief has.
    learning_rate
        Adam's.
    retrain_heads
        Whether the internal classifiers are trained from scratch afterwards, as in the paper.
    heads, rad, seed
        As in `retrain_exits`.

    Raises
    ------
    ExitprintError
        If a parameter is out of range, the loss is not finite any more, or the network runs in integers.
    Interrupted
        On Ctrl-C.
    """
    details = {"epochs": epochs, "share": share, "learning_rate": learning_rate, "seed": seed}
    return _further(network, data, "finetuned", details, None, retrain_heads, heads, rad)


@interruptible
def adversarial_training(
    network: MultiExitNetwork,
    data: ImageData,
    *,
    epochs: int = 6,
    share: float = 1.0,
    learning_rate: float = LEARNING_RATE,
    epsilon: float = EPSILON,
    steps: int = PGD_STEPS,
    retrain_heads: bool = True,
    heads: HeadRecipe | None = None,
    rad: float | None = 5,
    seed: int = 0,
) -> MultiExitNetwork:
    """Train the backbone further on adversarial images (sections 4.1 and A: PGD, 10 steps, ε = 8/256, Adam 0.001).

    Parameters
    ----------
    epsilon
        Largest change of a pixel, pixels in [0, 1].
    steps
        Steps of PGD.
    network, data, epochs, share, learning_rate, retrain_heads, heads, rad, seed
        As in `finetune`.

    Raises
    ------
    ExitprintError
        If a parameter is out of range, the loss is not finite any more, or the network runs in integers.
    Interrupted
        On Ctrl-C.
    """
    if not 0 < epsilon <= 1 or steps < 1:
        raise ExitprintError(f"PGD needs ε in (0, 1] and at least one step, and not ε = {epsilon} and {steps} steps.")
    details = {
        "epochs": epochs,
        "share": share,
        "learning_rate": learning_rate,
        "epsilon": epsilon,
        "steps": steps,
        "seed": seed,
    }

    def perturb(attacked: MultiExitNetwork, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        return pgd(attacked, x, labels, epsilon, steps, generator)

    return _further(network, data, "adversarially trained", details, perturb, retrain_heads, heads, rad)


def pgd(
    network: MultiExitNetwork, x: Tensor, labels: Tensor, epsilon: float, steps: int, generator: torch.Generator
) -> Tensor:
    """Images (batch, channels, height, width) within ±`epsilon` of `x` that raise the last exit's cross-entropy.

    Projected gradient descent from a random start (Madry et al. 2018), step size 2.5 ε / steps, in evaluation mode.
    """
    alpha = 2.5 * epsilon / steps
    noise = torch.rand(x.shape, generator=generator).to(x.device)
    adversarial = (x + epsilon * (2 * noise - 1)).clamp(0, 1)
    with evaluating(network):
        for _ in range(steps):
            adversarial.requires_grad_()
            loss = F.cross_entropy(final_logits(network, adversarial).float(), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, adversarial)
            moved = adversarial.detach() + alpha * gradient.sign()
            adversarial = moved.clamp(x - epsilon, x + epsilon).clamp(0, 1)
    return adversarial


def _further(
    network: MultiExitNetwork,
    data: ImageData,
    step: str,
    details: dict[str, Any],
    perturb: Perturbation | None,
    retrain_heads: bool,
    heads: HeadRecipe | None,
    rad: float | None,
) -> MultiExitNetwork:
    needs_float(network, "train")
    epochs, learning_rate, seed = details["epochs"], details["learning_rate"], details["seed"]
    if epochs < 1 or not learning_rate > 0:
        raise ExitprintError(f"epochs and learning rate must be above 0, and not {epochs} and {learning_rate}.")
    copy = working_copy(network)
    train = shared(data, details["share"], seed).train
    pixels, labels = train.pixels.to(copy.mean.device), train.labels.to(copy.mean.device)
    first = _epochs_done(copy.history, step, seed)

    def loss_of(chosen: Tensor, generator: torch.Generator, _: float) -> Tensor:
        x = shown(copy, augment(pixels[chosen], data.flips, generator))
        with reduced_precision(copy, training=True):
            if perturb is not None:
                x = perturb(copy, x, labels[chosen], generator)
            logits = final_logits(copy, x)
        return F.cross_entropy(logits.float(), labels[chosen])

    descend(
        copy,
        torch.optim.Adam(copy.backbone_parameters(), lr=learning_rate),
        loss_of,
        len(labels),
        Schedule(epochs=first + epochs, learning_rate=learning_rate, batch=BATCH, milestones=()),
        seed,
        "training the backbone further",
        done=first,
        incomplete=True,
    )
    copy.record(step, data=data.name, **details)
    return exits_again(copy, data, retrain_heads, heads, rad, seed, details["share"])


def _epochs_done(history: list[dict[str, Any]], step: str, seed: int) -> int:
    done = 0
    for entry in reversed(history):
        if entry["step"] in FOLLOW_UPS:
            continue
        if entry["step"] != step or entry["seed"] != seed:
            break
        done += entry["epochs"]
    return done
