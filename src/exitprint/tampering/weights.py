"""What a thief does to the weights of a copy's backbone without training it: prune and quantise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from exitprint.data import ImageData
from exitprint.errors import ExitprintError
from exitprint.networks import MultiExitNetwork
from exitprint.networks.integer import float_layers, quantise_layers
from exitprint.tampering.exits import exits_again
from exitprint.tampering.rebuild import interruptible, needs_float, range_images, working_copy
from exitprint.training import HeadRecipe


@interruptible
def prune(
    network: MultiExitNetwork,
    data: ImageData,
    *,
    rate: float,
    retrain_heads: bool = True,
    heads: HeadRecipe | None = None,
    rad: float | None = 5,
    seed: int = 0,
) -> MultiExitNetwork:
    """Set the smallest weights of the backbone to zero, all layers weighed together (section 4.1: rates 0.1 to 0.4).

    Parameters
    ----------
    network
        The stolen network; it is not changed.
    data
        The thief's images, for new internal classifiers and calibration.
    rate
        Share of the convolutions' and linear layers' weights that becomes zero.
    retrain_heads
        Whether the internal classifiers are trained from scratch afterwards, as in the paper.
    heads, rad, seed
        As in `retrain_exits`.

    Raises
    ------
    ExitprintError
        If the rate is not in (0, 1), or the network runs in integers.
    Interrupted
        On Ctrl-C.
    """
    if not 0 < rate < 1:
        raise ExitprintError(f"the pruning rate must be between 0 and 1, and not {rate}.")
    needs_float(network, "prune")
    copy = working_copy(network)
    zero_smallest(backbone_weights(copy), rate)
    copy.record("pruned", rate=rate)
    return exits_again(copy, data, retrain_heads, heads, rad, seed)


@interruptible
def quantise(
    network: MultiExitNetwork,
    data: ImageData,
    *,
    retrain_heads: bool = True,
    heads: HeadRecipe | None = None,
    rad: float | None = 5,
    seed: int = 0,
) -> MultiExitNetwork:
    """Turn every convolution and linear layer into one that runs in 8-bit integers (see `networks.integer`).

    Weights are rounded per output channel, inputs of a layer to the range that they have on 512 training images. New
    internal classifiers are trained on the quantised backbone, then quantised as well.

    Parameters
    ----------
    network
        The stolen network; it is not changed.
    data
        The thief's images.
    retrain_heads, heads, rad, seed
        As in `prune`.

    Raises
    ------
    ExitprintError
        If the network runs in integers already.
    Interrupted
        On Ctrl-C.
    """
    if network.integers:
        raise ExitprintError("the weights of this network are 8-bit integers already.")
    copy = network.copy().eval().cpu()
    quantise_layers(copy, range_images(data.train))
    if copy.architecture:
        copy.architecture = copy.architecture.model_copy(update={"integers": True})
    copy.record("quantised", bits=8)
    return exits_again(copy, data, retrain_heads, heads, rad, seed)


def backbone_weights(network: MultiExitNetwork) -> list[Tensor]:
    """Weights of the backbone's convolutions and linear layers, the final classifier's included."""
    backbone = nn.ModuleList([*network.stages, network.heads[-1]])
    return [layer.weight for _, _, layer in float_layers(backbone)]


@torch.no_grad()
def zero_smallest(weights: list[Tensor], rate: float) -> None:
    """Set the share `rate` of all numbers in `weights` to zero, in place, those smallest by magnitude."""
    magnitudes = torch.cat([weight.abs().flatten() for weight in weights])
    kept = torch.ones_like(magnitudes)
    kept[magnitudes.argsort(stable=True)[: round(rate * len(magnitudes))]] = 0
    for weight, mask in zip(weights, kept.split([weight.numel() for weight in weights]), strict=True):
        weight.mul_(mask.view_as(weight))
