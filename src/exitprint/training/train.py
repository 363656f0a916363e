"""The whole way from an architecture and images to a calibrated multi-exit network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from exitprint.data import ImageData
from exitprint.networks import Architecture, ExitHead, MultiExitNetwork
from exitprint.networks.architectures.architecture import BORN_MULTI_EXIT
from exitprint.networks.policy import Criterion, ExitRule
from exitprint.threads import single_thread, too_small_for_threads
from exitprint.training.backbone import train_backbone
from exitprint.training.checkpoint import Checkpoint, digest
from exitprint.training.compute import best_device
from exitprint.training.evaluate import calibrated_policy
from exitprint.training.heads import train_heads
from exitprint.training.jointly import train_jointly
from exitprint.training.recipe import Recipe


def train_network(
    arch: Architecture,
    data: ImageData,
    recipe: Recipe,
    seed: int = 0,
    rad: float = 5,
    checkpoint: Path | None = None,
    criterion: Criterion | None = None,
) -> MultiExitNetwork:
    """Train backbone, then internal classifiers, then calibrate the exit policy.

    An architecture that was born with several exits is trained as a whole instead, see `train_jointly`.

    Parameters
    ----------
    arch
        What to build.
    data
        Images; the network keeps their mean and standard deviation as its normalisation.
    recipe
        How to train.
    seed
        Of initial weights, order and augmentation.
    rad
        Relative accuracy drop, in per cent, that the policy is calibrated for.
    checkpoint
        File that keeps the state while training, so that a killed training goes on; removed at the end.
    criterion
        The criterion of the policy; by default that of the architecture: entropy for a BranchyNet, else confidence.

    Returns
    -------
    MultiExitNetwork
        In evaluation mode, on the CPU.

    Raises
    ------
    Interrupted
        On Ctrl-C.
    """
    network = MultiExitNetwork.build(arch, seed, mean=data.mean, std=data.std).to(best_device())
    record = training_record(data, recipe, seed)
    state = Checkpoint(checkpoint, digest({**record, "architecture": arch.model_dump()})) if checkpoint else None
    with single_thread(too_small_for_threads(network.input_shape)):
        if arch.family in BORN_MULTI_EXIT:
            train_jointly(network, data, recipe.backbone, seed, state)
        else:
            train_backbone(network, data, recipe.backbone, seed, state)
            train_heads(network, data, recipe.heads, seed)
        used = criterion or ("entropy" if arch.family == "branchynet" else "confidence")
        network.policy = calibrated_policy(network, data.calibration, rad, ExitRule(used))
    network.history = [record, {"step": "calibrated", "rad": rad, "criterion": used}]
    if state:
        state.remove()
    return network.cpu()


def training_record(data: ImageData, recipe: Recipe, seed: int) -> dict[str, Any]:
    """What a network's history says of its training."""
    return {
        "step": "trained",
        "data": data.name,
        "images": len(data.train),
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
    }


def new_exits(network: MultiExitNetwork) -> list[int]:
    """The internal classifiers that are SDN heads, and not the module's or the architecture's own."""
    return [exit for exit, head in enumerate(list(network.heads)[:-1]) if isinstance(head, ExitHead)]
