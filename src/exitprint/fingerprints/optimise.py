"""What every crafting shares: pixels as an unbounded variable, and Adam over the samples that are not done yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from exitprint.data import eight_bit, unit_range
from exitprint.networks import MultiExitNetwork
from exitprint.progress import progress
from exitprint.threads import single_thread, too_small_for_threads

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
INSIDE = 1 - 1e-6

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Goal = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Crafted:
    """What an optimisation over images gave.

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


@contextmanager
def frozen(network: MultiExitNetwork) -> Iterator[None]:
    """Evaluation mode and no gradients for weights while the block runs."""
    training = network.training
    wanted = [p.requires_grad for p in network.parameters()]
    network.eval().requires_grad_(False)
    try:
        yield
    finally:
        network.train(training)
        for parameter, flag in zip(network.parameters(), wanted, strict=True):
            parameter.requires_grad_(flag)


def optimise(
    network: MultiExitNetwork,
    x: Tensor,
    loss: Loss,
    goal: Goal,
    learning_rate: float,
    steps: int,
    stop_early: bool = True,
) -> Crafted:
    """Change images by Adam until each meets its goal as an 8-bit image.

    Carlini and Wagner's change of variable x′ = (tanh w + 1) / 2 keeps pixels in [0, 1]. A sample that is done
    leaves the batch and costs nothing more; since samples do not interact, the others go on as if nothing happened.

    Parameters
    ----------
    network
        The owner's network.
    x
        Images in [0, 1], float32, shape (samples, channels, height, width).
    loss
        From (x′, logits of every exit, indices into `x`) to one loss per sample, shape (still crafted,).
    goal
        From (logits of every exit, indices into `x`) to whether each sample meets its goal, bool.
    learning_rate, steps
        Of Adam; the most steps for a sample.
    stop_early
        False takes all the steps for every sample, as the paper does.
    """
    w = torch.atanh((2 * x - 1) * INSIDE)
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    samples = eight_bit(x)
    reached = torch.zeros(len(x), dtype=torch.bool)
    taken = torch.full((len(x),), steps)
    active = torch.arange(len(x))
    passes = 0

    alone = single_thread(too_small_for_threads(network.input_shape))
    with alone, frozen(network), progress("crafting (steps)", steps) as advance:
        for step in range(steps):
            w = w.detach().requires_grad_()
            x_crafted = (torch.tanh(w) + 1) / 2
            logits = network(x_crafted)
            passes += len(active)
            done = torch.zeros(len(active), dtype=torch.bool)
            if stop_early and (near := goal(logits.detach(), active)).any():
                rounded = eight_bit(x_crafted.detach()[near])
                done[near] = _meets(network, rounded, goal, active[near])
                passes += len(rounded)
                samples[active[done]] = rounded[done[near]]
                reached[active[done]] = True
                taken[active[done]] = step
                if done.all():
                    active = active[~done]
                    break
            (gradient,) = torch.autograd.grad(loss(x_crafted, logits, active)[~done].sum(), w)
            active, w, gradient = active[~done], w.detach()[~done], gradient[~done]
            m = BETA_1 * m[~done] + (1 - BETA_1) * gradient
            v = BETA_2 * v[~done] + (1 - BETA_2) * gradient**2
            m_hat, v_hat = m / (1 - BETA_1 ** (step + 1)), v / (1 - BETA_2 ** (step + 1))
            w = w - learning_rate * m_hat / (v_hat.sqrt() + EPSILON)
            advance(1)
        if len(active):
            samples[active] = eight_bit((torch.tanh(w) + 1) / 2)
            reached[active] = _meets(network, samples[active], goal, active)
            passes += len(active)
    return Crafted(samples, reached, taken, passes)


@torch.no_grad()
def _meets(network: MultiExitNetwork, pixels: Tensor, goal: Goal, indices: Tensor) -> Tensor:
    return goal(network(unit_range(pixels)), indices)
