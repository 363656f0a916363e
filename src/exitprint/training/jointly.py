"""Training an architecture that was born with several exits: all of it at once, on a weighted sum of its losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData
from exitprint.networks import MultiExitNetwork
from exitprint.training.backbone import fit
from exitprint.training.checkpoint import Checkpoint
from exitprint.training.compute import reduced_precision
from exitprint.training.recipe import BackboneRecipe

LAST_OF_BRANCHYNET = 0.3
"""Teerapittayanon et al. 2016."""


def exit_weights(network: MultiExitNetwork) -> list[float]:
    """Weight of each exit's loss: all 1 (MSDNet, Huang et al. 2018); for a BranchyNet 0.3 at its last exit."""
    last = LAST_OF_BRANCHYNET if network.architecture and network.architecture.family == "branchynet" else 1.0
    return [*[1.0] * (network.num_exits - 1), last]


def train_jointly(
    network: MultiExitNetwork,
    data: ImageData,
    recipe: BackboneRecipe,
    seed: int,
    checkpoint: Checkpoint | None = None,
    weights: Sequence[float] | None = None,
) -> None:
    """Train stages and all exits, in place, on the sum of the exits' cross-entropies.

    Parameters
    ----------
    network, data, recipe, seed, checkpoint
        As in `train_backbone`.
    weights
        One for each exit's loss, by default those of `exit_weights`.

    Raises
    ------
    Interrupted
        On Ctrl-C; the text says whether a rerun continues.
    ExitprintError
        If the loss is not finite any more.
    """
    w = torch.tensor(weights or exit_weights(network), device=network.mean.device)

    def loss_of(x: Tensor, labels: Tensor) -> Tensor:
        with reduced_precision(network, training=True):
            logits = network(x)
        wanted = labels[:, None].expand(-1, network.num_exits)
        return (F.cross_entropy(logits.float().transpose(1, 2), wanted, reduction="none").mean(0) * w).sum()

    fit(network, network.parameters(), loss_of, data, recipe, seed, checkpoint)
