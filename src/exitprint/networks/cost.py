"""What an exit costs: FLOPs up to it, counted by PyTorch's own counter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from exitprint.networks.walk import evaluating

if TYPE_CHECKING:
    from exitprint.networks.network import MultiExitNetwork


@torch.no_grad()
def exit_flops(network: MultiExitNetwork) -> tuple[int, ...]:
    """FLOPs that one input costs when it leaves at each exit: all stages and heads up to and including it."""
    black = torch.zeros(1, *network.input_shape, device=network.mean.device)
    flops: list[int] = []
    with evaluating(network), FlopCounterMode(display=False) as counter:
        for place in network.walk(black):
            network.heads[place.exit](place.shown_to(network.heads[place.exit]))
            flops.append(counter.get_total_flops())
    return tuple(flops)


def exit_costs(network: MultiExitNetwork) -> tuple[float, ...]:
    """`exit_flops` as a share of the last exit's: ascending, the last is 1."""
    flops = exit_flops(network)
    return tuple(count / flops[-1] for count in flops)
