"""How deep a victim's exits are, in cost: its times, read against those of a network of which both are known."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exitprint.networks import Architecture, ExitPolicy, MultiExitNetwork, exit_costs
from exitprint.networks.policy import CLOSED
from exitprint.progress import progress
from exitprint.suspects import InProcess
from exitprint.suspects.suspect import Clock
from exitprint.timing.inquiry import Inquiry

Array = NDArray[np.float64]

ROUNDS = 40
"""How often the thief's own network is timed at each of its exits."""

ENOUGH = 10.0
"""Seconds after which it is timed no more, once it was `FEWEST` times."""

FEWEST = 5
"""Rounds, after which the quickest of each exit changes little."""

MOST_COPIES = 32
"""Images in a batch from which the time of one no longer falls."""


def victim_depths(inquiry: Inquiry, arch: Architecture, seed: int = 0) -> Array:
    """Cost of each of a victim's exits as a share of the deepest one's, as its times tell.

    On a cost model times are costs. Measured times are not: small layers take longer than their FLOPs say, and
    the more so the fewer images are sent at once. So the thief times a network of his own on his machine, and takes the
    victim's exit for as costly as his own network is at the same share of its time.

    Parameters
    ----------
    inquiry
        What the victim was asked, and the exits in its times; the thief's network is timed with the same images.
    arch
        The thief's network; it is timed with an exit wherever it has room for one.
    seed
        Of the order.

    Returns
    -------
    ndarray
        Ascending, the last 1, shape (K,).
    """
    seconds, costs = timed_costs(arch, inquiry.queries, inquiry.clock, inquiry.copies, seed)
    return costs_at(inquiry.relative_times, seconds, costs)


def costs_at(relative_times: Array, seconds: Array, costs: Array) -> Array:
    """Relative cost at each relative time from 0 to 1, on a network that takes these seconds to exits of these costs.

    Interpolated between the network's own exits, of which the last is its deepest, and from 0 to the first; the shape
    is that of `relative_times`, (K,).
    """
    times = np.maximum.accumulate(seconds)
    return np.interp(relative_times, np.append(0, times / times[-1]), np.append(0, costs / costs[-1]))


def timed_costs(
    arch: Architecture, images: Tensor, clock: Clock, copies: int = 1, seed: int = 0
) -> tuple[Array, Array]:
    """Seconds to each exit that a network of this architecture has room for, and FLOPs as a share of all; shape (E,).

    The quickest of many runs counts, so that other work on the machine does not. On a cost model times are the shares.

    Parameters
    ----------
    arch
        Weights do not matter: each exit is made to take every image.
    images
        In [0, 1], shape (images, channels, height, width).
    clock
        The victim's.
    copies
        How often an image is in a batch; more than `MOST_COPIES` are not needed.
    seed
        Of the order.
    """
    network = MultiExitNetwork.build(arch.model_copy(update={"exits": None}), seed).eval()
    costs = np.array(exit_costs(network))
    if clock == "cost-model":
        return costs, costs
    copied = images[:ROUNDS].repeat_interleave(min(copies, MOST_COPIES), 0)
    batches = copied.split(min(copies, MOST_COPIES))
    suspect, rng = InProcess(network), np.random.default_rng(seed)
    quickest, start = np.full(network.num_exits, np.inf), perf_counter()
    with progress("timing a network of one's own (rounds)", ROUNDS) as advance, torch.inference_mode():
        for number in range(ROUNDS):
            for exit in rng.permutation(network.num_exits):
                network.policy = ExitPolicy([0.0 if i == exit else CLOSED for i in range(network.num_exits - 1)])
                seconds = suspect.ask(batches[number % len(batches)]).seconds[0]
                quickest[exit] = min(quickest[exit], seconds)
            advance(1)
            if number + 1 >= FEWEST and perf_counter() - start > ENOUGH:
                break
    return quickest, costs
