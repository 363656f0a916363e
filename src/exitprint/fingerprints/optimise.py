"""What every crafting shares: images that are changed step by step, each until it meets its goal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from exitprint.data import batch_size, eight_bit, unit_range
from exitprint.networks import MultiExitNetwork
from exitprint.networks.walk import evaluating
from exitprint.progress import progress
from exitprint.suspects.through import Through
from exitprint.threads import single_thread, too_small_for_threads

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
INSIDE = 1 - 0.9 / 255
"""Where tanh starts, as a share of the range: black and white pixels, at which it would be flat, can then be left, and
all are the same as before when rounded."""
MOMENTUM = 0.75
"""Share of the last direction in the next; with it steps do not swing between the sides of a valley."""

STOPPED = "stopped while crafting, no fingerprint was written: a rerun starts clean."

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Goal = Callable[[Tensor, Tensor], Tensor]
Pull = Callable[[Tensor, Tensor, int], Tensor]
Spare = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
Look = Callable[[Tensor], Tensor]
"""From images in [0, 1] to the logits of exits, (images, exits, classes)."""


class Variable(Protocol):
    """What is optimised in place of the pixels, one entry per image still being crafted."""

    def images(self) -> Tensor:
        """The images x′ in [0, 1] that it stands for."""

    def step(self, gradient: Tensor) -> None:
        """Move by the gradient of the loss at the images, (crafted, channels, height, width)."""

    def keep(self, kept: Tensor) -> None:
        """Forget all images but these, bool, shape (crafted,)."""


class AdamOnTanh:
    """x′ = (tanh w + 1) / 2, Carlini and Wagner's change of variable, and Adam on w, as the paper crafts."""

    def __init__(self, x: Tensor, learning_rate: float) -> None:
        self.w = torch.atanh((2 * x - 1) * INSIDE)
        self.learning_rate = learning_rate
        self.m, self.v = torch.zeros_like(self.w), torch.zeros_like(self.w)
        self.t = 0

    def images(self) -> Tensor:
        """Images in [0, 1]."""
        self._tanh = torch.tanh(self.w)
        return (self._tanh + 1) / 2

    def step(self, gradient: Tensor) -> None:
        """One step of Adam."""
        self.t += 1
        gradient = gradient * (1 - self._tanh**2) / 2
        self.m.lerp_(gradient, 1 - BETA_1)
        self.v.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        v_hat = self.v / (1 - BETA_2**self.t)
        self.w.addcdiv_(self.m, v_hat.sqrt_().add_(EPSILON), value=-self.learning_rate / (1 - BETA_1**self.t))

    def keep(self, kept: Tensor) -> None:
        """Forget all other images."""
        self.w, self.m, self.v, self._tanh = self.w[kept], self.m[kept], self.v[kept], self._tanh[kept]


class StepsOfLength:
    """Steps of one length in L2 along the gradient's direction, with momentum, clipped to [0, 1].

    Adam makes all pixels move alike, which suits a bound on the largest change of a pixel; a step along the gradient
    goes where it pays, and reaches a goal with a smaller L2.
    """

    def __init__(self, x: Tensor, length: float) -> None:
        self.w = x.clone()
        self.length = length
        self.direction = torch.zeros_like(x)

    def images(self) -> Tensor:
        """Images in [0, 1]."""
        return self.w

    def step(self, gradient: Tensor) -> None:
        """One step of the given length."""
        self.direction.lerp_(_unit(gradient), 1 - MOMENTUM)
        self.w = (self.w - self.length * _unit(self.direction)).clamp_(0, 1)

    def keep(self, kept: Tensor) -> None:
        """Forget all other images."""
        self.w, self.direction = self.w[kept], self.direction[kept]


def looks(network: Look, through: Sequence[Through]) -> list[Look]:
    """What the network makes of an image as sent, and behind each way through a front door."""
    return [network, *((lambda x, way=way: network(way(x))) for way in through)]


def _unit(direction: Tensor) -> Tensor:
    return direction / direction.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Crafted:
    """What an optimisation over images gave, on the CPU.

    Attributes
    ----------
    samples
        uint8, shape (samples, channels, height, width).
    reached
        Whether the rounded sample meets the goal, bool, shape (samples,).
    steps
        Steps taken for each sample, int64, shape (samples,).
    passes
        Images that went forward through the network in all, those of the checks included.
    """

    samples: Tensor
    reached: Tensor
    steps: Tensor
    passes: int

    def only(self, kept: Tensor) -> Crafted:
        """Some of the samples alone: indices, or whether each is kept."""
        return Crafted(self.samples[kept], self.reached[kept], self.steps[kept], self.passes)


@contextmanager
def frozen(*networks: MultiExitNetwork) -> Iterator[None]:
    """Evaluation mode and no gradients for weights while the block runs."""
    wanted = [(p, p.requires_grad) for network in networks for p in network.parameters()]
    try:
        with evaluating(*networks):
            for network in networks:
                network.requires_grad_(False)
            yield
    finally:
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)


def optimise(
    network: MultiExitNetwork,
    variable: Variable,
    loss: Loss,
    goal: Goal,
    steps: int,
    stop_early: bool = True,
    pull: Pull | None = None,
    seen: Sequence[Look] = (),
    spare: Spare | None = None,
) -> Crafted:
    """Change images until each meets its goal as an 8-bit image.

    Each pass judges the images rounded to 8 bits, and its gradient moves the images themselves: that an image meets its
    goal is seen by the pass that the next step would need anyway. A sample that is done leaves the batch and costs
    nothing more; since samples do not interact, the others go on as if nothing happened.

    Parameters
    ----------
    network
        The owner's network.
    variable
        Stands for the images to change, on the network's device.
    loss
        From (x′, logits of every exit, indices of the images) to one loss per sample, shape (still crafted,).
    goal
        From (logits of every exit, indices of the images) to whether each sample meets its goal, bool.
    steps
        The most steps for a sample.
    stop_early
        False takes all the steps for every sample and rounds at the end, as the paper does.
    pull
        From (x′, indices of the images, number of the step), for images that are not done, to a gradient that is added
        to that of the loss.
    seen
        What the goal has to be met by, all at once, with losses added up; by default the network's own logits of the
        images as they are.
    spare
        From (8-bit samples, which have met their goal, x′ of those that are not done, their indices) to which of the
        latter are not needed any more, bool, shape (not done,). They leave the batch as the images they began as.
    """
    seen = seen or [network]
    x = variable.images()
    device = x.device
    samples = eight_bit(x)
    reached = torch.zeros(len(x), dtype=torch.bool, device=device)
    taken = torch.full((len(x),), steps, device=device)
    active = torch.arange(len(x), device=device)
    passes = 0

    alone = single_thread(too_small_for_threads(network.input_shape))
    with alone, frozen(network), progress("crafting (steps)", steps) as advance:
        for step in range(steps):
            images = variable.images()
            pixels = eight_bit(images)
            gradient, done = torch.zeros_like(images), torch.zeros_like(active, dtype=torch.bool)
            for part in torch.arange(len(active), device=device).split(batch_size(network.input_shape)):
                x_crafted = (unit_range(pixels[part]) if stop_early else images[part]).clone().requires_grad_()
                met = torch.ones_like(done[part])
                for look in seen:
                    logits = look(x_crafted)
                    here = goal(logits.detach(), active[part]) & stop_early
                    met &= here
                    if not here.all():
                        missing = loss(x_crafted, logits, active[part])[~here].sum()
                        gradient[part] += torch.autograd.grad(missing, x_crafted)[0]
                done[part] = met
            passes += len(active) * len(seen)
            samples[active[done]] = pixels[done]
            reached[active[done]] = True
            gone = done.clone()
            if spare is not None and done.any():
                gone[~done] = spare(samples, reached, images[~done], active[~done])
            taken[active[gone]] = step
            if gone.all():
                active = active[~gone]
                break
            if gone.any():
                variable.keep(~gone)
                active, gradient = active[~gone], gradient[~gone]
            if pull is not None:
                gradient += pull(unit_range(pixels[~gone]) if stop_early else images[~gone], active, step)
            variable.step(gradient)
            advance(1)
        if len(active):
            samples[active] = eight_bit(variable.images())
            with torch.no_grad():
                for part in active.split(batch_size(network.input_shape)):
                    x_rounded = unit_range(samples[part])
                    reached[part] = torch.stack([goal(look(x_rounded), part) for look in seen]).all(0)
            passes += len(active) * len(seen)
    return Crafted(samples.cpu(), reached.cpu(), taken.cpu(), passes)
