"""Training internal classifiers on a frozen backbone: its pooled features are computed once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment, unit_range
from exitprint.errors import Interrupted
from exitprint.networks import ExitHead, MultiExitNetwork
from exitprint.progress import progress
from exitprint.training.backbone import epoch_generator
from exitprint.training.compute import memory_format, reduced_precision
from exitprint.training.recipe import HeadRecipe

CACHE_BYTES = 6_000_000_000
FEATURE_BATCH = 256

Pooled = list[tuple[Tensor, ...]]


@torch.no_grad()
def pooled_features(
    network: MultiExitNetwork, data: ImageData, exits: Sequence[int], views: int = 1, seed: int = 0
) -> Pooled:
    """What the heads of these `exits` need of every training image, computed in one pass per view.

    Returns
    -------
    list
        For each exit what `ExitHead.pool` gives, bf16, each tensor (views × images, features).
    """
    network.eval()
    device = network.mean.device
    pixels = data.train.pixels.to(device)
    parts: list[list[tuple[Tensor, ...]]] = [[] for _ in exits]
    batches = -(-len(pixels) // FEATURE_BATCH)
    with (
        progress("computing features (batches)", views * batches) as advance,
        reduced_precision(network, training=False),
    ):
        for view in range(views):
            generator = epoch_generator(seed, view)
            for chunk in pixels.split(FEATURE_BATCH):
                shown = augment(chunk, data.flips, generator) if views > 1 else chunk
                x = unit_range(shown).contiguous(memory_format=memory_format(network))
                for exit, features in enumerate(network.features(x)):
                    if exit in exits:
                        pooled = cast(ExitHead, network.heads[exit]).pool(features)
                        parts[exits.index(exit)].append(tuple(p.flatten(1).bfloat16() for p in pooled))
                    if exit >= max(exits):
                        break
                advance(1)
    return [tuple(torch.cat(column) for column in zip(*part, strict=True)) for part in parts]


def train_heads(
    network: MultiExitNetwork,
    data: ImageData,
    recipe: HeadRecipe,
    seed: int,
    exits: Sequence[int] | None = None,
) -> None:
    """Train internal classifiers in place; the backbone and its final classifier stay as they are.

    Features of so many exits are kept at once as fit into 6 GB; the rest takes further passes.

    Parameters
    ----------
    network
        The network, left in evaluation mode.
    data
        Its `train` part is used.
    recipe
        Epochs, learning rate, batch, augmented views.
    seed
        Of the order of images and of augmentation.
    exits
        The internal classifiers to train, by default all.

    Raises
    ------
    Interrupted
        On Ctrl-C; nothing was written, a rerun starts clean.
    """
    wanted = list(range(network.exits - 1) if exits is None else exits)
    if not wanted:
        return
    try:
        for group in _groups(network, wanted, recipe.views * len(data.train)):
            pooled = pooled_features(network, data, group, recipe.views, seed)
            labels = data.train.labels.repeat(recipe.views).to(network.mean.device)
            fit_heads([cast(ExitHead, network.heads[exit]) for exit in group], pooled, labels, recipe, seed)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            "stopped while training internal classifiers, no network was written: "
            "run the same command again; the backbone is not trained again if its checkpoint was kept."
        ) from stop


def fit_heads(heads: Sequence[ExitHead], pooled: Pooled, labels: Tensor, recipe: HeadRecipe, seed: int) -> None:
    """Train heads on features they were pooled for, all at once: Adam on the sum of their cross-entropies."""
    parameters = [p for head in heads for p in head.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=recipe.learning_rate, fused=True)
    steps = max(1, len(labels) // recipe.batch)
    with progress("training internal classifiers (epochs)", recipe.epochs) as advance:
        for epoch in range(recipe.epochs):
            order = torch.randperm(len(labels), generator=epoch_generator(seed, epoch)).to(labels.device)
            for step in range(steps):
                batch = order[step * recipe.batch : (step + 1) * recipe.batch]
                for group in optimiser.param_groups:
                    group["lr"] = recipe.rate(epoch + step / steps)
                losses = [
                    F.cross_entropy(head.classify(tuple(p[batch].float() for p in features)), labels[batch])
                    for head, features in zip(heads, pooled, strict=True)
                ]
                optimiser.zero_grad()
                torch.stack(losses).sum().backward()
                optimiser.step()
            advance(1)


def _groups(network: MultiExitNetwork, exits: Sequence[int], images: int) -> list[list[int]]:
    groups: list[list[int]] = [[]]
    size = 0
    for exit in exits:
        head = cast(ExitHead, network.heads[exit])
        needed = images * head.linear.in_features * 2 * (2 if head.kernel > 1 else 1)
        if groups[-1] and size + needed > CACHE_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(exit)
        size += needed
    return groups
