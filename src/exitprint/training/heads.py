"""Training internal classifiers on a frozen backbone: its pooled features are computed once and kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment, batch_size
from exitprint.errors import ExitprintError, when_stopped
from exitprint.networks import ExitHead, MultiExitNetwork
from exitprint.progress import progress
from exitprint.training.compute import fast_bf16, reduced_precision
from exitprint.training.descend import descend, epoch_generator, shown
from exitprint.training.recipe import HeadRecipe

CACHE_BYTES = 6_000_000_000
"""Features of at most so many bytes are kept between epochs, else computed again."""
CACHE_BYTES_OF_LARGE_SET = 1_500_000_000
"""Of images that do not fit into memory, features take so much less of it."""
SAMPLED_ROWS = 4096
"""Rows by which the mean and the spread of features are told."""
LEAST_SPREAD = 0.1
"""A feature that spreads over less than this share of the mean spread is not blown up further."""
STOPPED = (
    "stopped while training internal classifiers, no network was written: run the same command again; the backbone is "
    "not trained again if its checkpoint was kept."
)


@torch.no_grad()
def pooled_features(
    network: MultiExitNetwork, data: ImageData, exits: Sequence[int], views: int = 1, seed: int = 0
) -> list[Tensor]:
    """What the heads of these `exits` need of every training image, computed in one pass per view.

    Returns
    -------
    list
        For each exit what `ExitHead.pool` gives, bf16, shape (views × images, pooled features).
    """
    network.eval()
    device = network.mean.device
    pixels = data.train.pixels.to(device)
    kept: dict[int, Tensor] = {}
    done = 0
    batch = batch_size(network.input_shape)
    batches = -(-len(pixels) // batch)
    with (
        progress("computing features (batches)", views * batches) as advance,
        reduced_precision(network, training=False),
    ):
        for view in range(views):
            generator = epoch_generator(seed, view)
            for chunk in pixels.split(batch):
                x = shown(network, augment(chunk, data.flips, generator) if views > 1 else chunk)
                for exit, features in enumerate(network.features(x)):
                    if exit in exits:
                        pooled = cast(ExitHead, network.heads[exit]).pool(features)
                        if exit not in kept:
                            rows = views * len(pixels)
                            kept[exit] = pooled.new_empty(rows, pooled.shape[1], dtype=torch.bfloat16)
                        kept[exit][done : done + len(x)] = pooled
                    if exit >= max(exits):
                        break
                done += len(x)
                advance(1)
    return [kept[exit] for exit in exits]


def train_heads(
    network: MultiExitNetwork,
    data: ImageData,
    recipe: HeadRecipe,
    seed: int,
    exits: Sequence[int] | None = None,
) -> None:
    """Train internal classifiers in place; the backbone and its final classifier stay as they are.

    Features of so many exits are kept at once as fit into 6 GB (1.5 GB beside images that do not fit into memory); the
    rest takes further passes.

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
    ExitprintError
        If an exit's classifier is the architecture's own.
    Interrupted
        On Ctrl-C; nothing was written, a rerun starts clean.
    """
    wanted = list(range(network.num_exits - 1) if exits is None else exits)
    if not wanted:
        return
    if any(not isinstance(network.heads[exit], ExitHead) for exit in wanted):
        raise ExitprintError("these exits are the architecture's own: they are trained with the rest (train_jointly).")
    with when_stopped(STOPPED):
        labels = data.train.labels.to(network.mean.device)
        most = CACHE_BYTES if isinstance(data.train.pixels, Tensor) else CACHE_BYTES_OF_LARGE_SET
        for group in _groups_of_exits(network, wanted, recipe.views * len(data.train), most):
            pooled = pooled_features(network, data, group, recipe.views, seed)
            fit_heads(network, group, pooled, labels, recipe, seed)


def fit_heads(
    network: MultiExitNetwork,
    exits: Sequence[int],
    pooled: Sequence[Tensor],
    labels: Tensor,
    recipe: HeadRecipe,
    seed: int,
) -> None:
    """Train the heads of these exits in place, all at once: Adam on the sum of their cross-entropies.

    For each head `pooled` is what `pooled_features` gives, rows view after view; standardised in place where the recipe
    says so. Labels are of shape (images,): an epoch shows every image once, in one of its views.
    """
    heads = [cast(ExitHead, network.heads[exit]) for exit in exits]
    number = pooled[0].dtype if fast_bf16(labels.device) else torch.float32

    def loss_of(chosen: Tensor, generator: torch.Generator, _: float) -> Tensor:
        view = torch.randint(recipe.views, chosen.shape, generator=generator).to(chosen.device)
        rows = chosen + len(labels) * view
        losses = [
            F.cross_entropy(head.classify(features.index_select(0, rows).to(number)), labels[chosen])
            for head, features in zip(heads, pooled, strict=True)
        ]
        return torch.stack(losses).sum()

    parameters = [p for head in heads for p in head.parameters()]
    with ExitStack() as stack:
        for head, features in zip(heads, pooled, strict=True) if recipe.standardise else ():
            stack.enter_context(standardised(head, features))
        descend(
            network,
            torch.optim.Adam(parameters, lr=recipe.learning_rate, fused=True),
            loss_of,
            len(labels),
            recipe,
            seed,
            "training internal classifiers",
        )


@contextmanager
def standardised(head: ExitHead, pooled: Tensor) -> Iterator[None]:
    """Centre `pooled` and divide it by its spread, in place, while `head` learns weights for it.

    Outside the block the head is what it was for the original features; inside Adam's steps are of one size for
    every feature, which saves it most of the epochs.
    """
    with torch.no_grad():
        sample = pooled[:: -(-len(pooled) // SAMPLED_ROWS)].float()
        mean, spread = sample.mean(0).to(pooled.dtype), sample.std(0, correction=0)
        spread = spread.view(-1, head.linear.in_features).mean(0)
        rate = spread.clamp_min(max(LEAST_SPREAD * float(spread.mean()), 1e-6)).reciprocal().to(pooled.dtype)
        pooled.sub_(mean).mul_(rate.repeat(len(mean) // len(rate)))
        head.linear.bias.add_(head.pooled_weight() @ mean.float())
        head.linear.weight.div_(rate)
    try:
        yield
    finally:
        with torch.no_grad():
            head.linear.weight.mul_(rate)
            head.linear.bias.sub_(head.pooled_weight() @ mean.float())


def _groups_of_exits(network: MultiExitNetwork, exits: Sequence[int], images: int, most: int) -> list[list[int]]:
    """The exits in groups whose pooled features of so many images take `most` bytes together."""
    groups: list[list[int]] = [[]]
    size = 0
    for exit in exits:
        head = cast(ExitHead, network.heads[exit])
        needed = images * head.linear.in_features * 2 * (2 if head.kernel > 1 else 1)
        if groups[-1] and size + needed > most:
            groups.append([])
            size = 0
        groups[-1].append(exit)
        size += needed
    return groups
