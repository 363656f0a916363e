"""What all tampering shares: a copy to work on, new exits for it, and a policy calibrated again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from exitprint.data import ImageData, Images, batch_size, split, unit_range
from exitprint.errors import ExitprintError, when_stopped
from exitprint.networks import Architecture, ExitHead, MultiExitNetwork
from exitprint.networks.architectures.architecture import BORN_MULTI_EXIT
from exitprint.networks.exported import Exported, ExportedStage
from exitprint.networks.exported.fresh import fresh_head
from exitprint.networks.integer import quantise_layers
from exitprint.networks.policy import Criterion
from exitprint.networks.walk import stage_shapes
from exitprint.training import HeadRecipe, best_device, calibrated_policy, recipe, train_heads
from exitprint.training.own_heads import train_own_heads

HeadKind = Literal["own", "sdn"]
RANGE_IMAGES = 512
"""Images by which the ranges of activations are set."""

interruptible = when_stopped("stopped, no network was written: run the same command again.")
"""For functions that make a network: Ctrl-C inside them is told in a sentence."""


def working_copy(network: MultiExitNetwork) -> MultiExitNetwork:
    """A copy in evaluation mode, on the best device; integer layers stay on the CPU, which has kernels for them."""
    device = torch.device("cpu") if network.integers else best_device()
    return network.copy().eval().to(device)


def needs_float(network: MultiExitNetwork, action: str) -> None:
    """Refuse to change weights that are integers."""
    if network.integers:
        raise ExitprintError(f"this network's weights are 8-bit integers already: {action} it before quantising it.")


def shared(data: ImageData, share: float, seed: int) -> ImageData:
    """`data` with a stratified, seeded `share` of its training images.

    Raises `ExitprintError` if the share is not in (0, 1], or leaves too few images.
    """
    if not 0 < share <= 1:
        raise ExitprintError(f"the share of the training images must be above 0 and at most 1, and not {share}.")
    return data if share == 1 else replace(data, train=split(data.train, share, seed)[1])


def with_exits(network: MultiExitNetwork, heads: Sequence[tuple[int, nn.Module]]) -> MultiExitNetwork:
    """The stages of `network` with these heads, one threshold per exit: that of before, above 1 where it is new."""
    before = dict(zip(network.exit_stages, network.policy.for_exits(network.num_exits - 1), strict=False))
    stages = tuple(stage for stage, _ in heads[:-1])
    thresholds = network.policy.thresholds
    if len(thresholds) > 1 or any(stage not in before for stage in stages):
        thresholds = tuple(before.get(stage, 2.0) for stage in stages) or thresholds[:1]
    arch = network.architecture
    return network.with_heads(heads, thresholds, arch.model_copy(update=_exits(arch, heads[:-1])) if arch else None)


def _exits(arch: Architecture | Exported, heads: Sequence[tuple[int, nn.Module]]) -> dict[str, tuple[int, ...]]:
    """What the architecture's record says of these internal classifiers."""
    exits: dict[str, tuple[int, ...]] = {"exits": tuple(stage for stage, _ in heads)}
    if arch.family in BORN_MULTI_EXIT or isinstance(arch, Exported):
        own = arch.heads if isinstance(arch, Exported) else exits["exits"]
        exits["sdn"] = tuple(stage for stage, head in heads if isinstance(head, ExitHead) and stage in own)
    return exits


def with_fresh_heads(
    network: MultiExitNetwork, stages: Sequence[int], seed: int, kind: HeadKind = "sdn"
) -> MultiExitNetwork:
    """`network` with freshly initialised heads after these `stages`, beside or in place of those it has.

    With ``own`` a head that is the architecture's or the captured module's own becomes one of the same kind; all others
    are SDN heads.
    """
    shapes = stage_shapes(list(network.stages), network.input_shape)
    heads: dict[int, nn.Module] = dict(zip(network.exit_stages, network.heads, strict=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        own = _own_heads(network, stages) if kind == "own" else {}
        for stage in stages:
            heads[stage] = own[stage] if stage in own else ExitHead(shapes[stage], network.classes)
    return with_exits(network, sorted(heads.items(), key=lambda item: item[0]))


def _own_heads(network: MultiExitNetwork, stages: Sequence[int]) -> dict[int, nn.Module]:
    """New heads of the kind that the network has after these stages, where they are not SDN heads."""
    arch = network.architecture
    present = {s: head for s, head in zip(network.exit_stages, network.heads, strict=True) if s in stages}
    wanted = [stage for stage, head in present.items() if not isinstance(head, ExitHead)]
    if arch is None or not wanted:
        return {}
    if not isinstance(arch, Exported):
        return {stage: head for stage, head in arch.backbone().classifiers.items() if stage in wanted}
    before = [cast(ExportedStage, stage) for stage in network.stages]
    return {s: fresh_head(arch.heads[s], before[: s + 1], cast(ExportedStage, present[s])) for s in wanted}


def train_new_heads(
    network: MultiExitNetwork, stages: Sequence[int], data: ImageData, heads: HeadRecipe | None, seed: int
) -> HeadRecipe:
    """Train the heads after these `stages` in place, quantise them where the network is, and return the recipe used."""
    arch = network.architecture
    used = heads or recipe("fast", arch.family if arch else "resnet", data.name, images=len(data.train)).heads
    exits = [network.exit_stages.index(stage) for stage in stages]
    sdn = [exit for exit in exits if isinstance(network.heads[exit], ExitHead)]
    train_heads(network, data, used, seed, sdn)
    train_own_heads(network, data, used, seed, [exit for exit in exits if exit not in sdn])
    if network.integers:
        quantise_layers(network, range_images(data.train))
    return used


def range_images(images: Images) -> Iterator[Tensor]:
    """The images that the range of a layer's inputs is taken from, in [0, 1], batch by batch."""
    pixels = images.part(slice(RANGE_IMAGES)).pixels
    return (unit_range(part) for part in pixels.split(batch_size(pixels.shape)))


def calibrated(
    network: MultiExitNetwork, data: ImageData, rad: float | None, criterion: Criterion | None = None
) -> MultiExitNetwork:
    """`network`, on the CPU, its policy calibrated for this RAD (left as it is where that is None), and recorded."""
    if rad is not None:
        rule = network.policy.rule._replace(criterion=criterion or network.policy.criterion)
        network.policy = calibrated_policy(network, data.calibration, rad, rule)
        network.record("calibrated", rad=rad, criterion=rule.criterion)
    return network.cpu()
