"""Small networks that differ in their seed only, trained in one stacked computation.

Each sees its own order of images, augmentation, initial weights and dropout, as it would alone, so the weights come out
the same but for rounding. Training amplifies that: after many epochs they agree like runs on two machines, and not in
every bit. (On a GPU the dropout of VGG is drawn from another stream.)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from exitprint.data import ImageData, augment, unit_range
from exitprint.errors import ExitprintError, Interrupted
from exitprint.networks import Architecture, ExitHead, MultiExitNetwork
from exitprint.networks.stack import Stack
from exitprint.progress import progress
from exitprint.training.backbone import epoch_generator, epoch_seed, sgd, stopped
from exitprint.training.checkpoint import Checkpoint, digest
from exitprint.training.compute import best_device, fast_bf16, reduced_precision, repeatable
from exitprint.training.evaluate import calibrated_policy
from exitprint.training.heads import FEATURE_BATCH, epoch_order, groups_of_exits, standardised
from exitprint.training.recipe import BackboneRecipe, HeadRecipe, Recipe
from exitprint.training.train import training_record


def train_together(
    arch: Architecture,
    data: ImageData,
    recipe: Recipe,
    seeds: Sequence[int],
    rad: float = 5,
    checkpoint: Path | None = None,
) -> list[MultiExitNetwork]:
    """`train_network` for several seeds at once: pays where a network is so small that its time goes into calls.

    Parameters
    ----------
    arch, data, recipe, rad
        As in `train_network`.
    seeds
        One for each network.
    checkpoint
        File that keeps the state of all of them while training; removed at the end.

    Returns
    -------
    list
        The networks in the order of `seeds`, in evaluation mode, on the CPU. Their records name all the seeds.

    Raises
    ------
    ExitprintError
        If there are no seeds or some are the same, or one of the trainings diverges.
    Interrupted
        On Ctrl-C.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ExitprintError(f"networks trained together need one seed each, all different, and not {list(seeds)}.")
    networks = [MultiExitNetwork.build(arch, s, mean=data.mean, std=data.std).to(best_device()) for s in seeds]
    records = [{**training_record(data, recipe, seed), "together": list(seeds)} for seed in seeds]
    state = Checkpoint(checkpoint, digest({**records[0], "architecture": arch.model_dump()})) if checkpoint else None
    stack = Stack(networks)
    train_backbones(stack, networks[0], data, recipe.backbone, seeds, state)
    stack.give(networks)
    train_heads_together(stack, networks, data, recipe.heads, seeds)
    for network, record in zip(networks, records, strict=True):
        network.policy = calibrated_policy(network.eval(), data.calibration, rad)
        network.history = [record, {"step": "calibrated", "rad": rad, "criterion": "confidence"}]
    if state:
        state.remove()
    return [network.cpu() for network in networks]


def train_backbones(
    stack: Stack,
    one: MultiExitNetwork,
    data: ImageData,
    recipe: BackboneRecipe,
    seeds: Sequence[int],
    checkpoint: Checkpoint | None = None,
) -> None:
    """`train_backbone` for all networks of a stack, in place; `one` of them says which number format pays."""
    optimiser = sgd(stack.parameters(), recipe)
    done = checkpoint.resume(stack, optimiser) if checkpoint else 0
    device = stack.mean.device
    pixels, labels = data.train.pixels.to(device), data.train.labels.to(device)
    steps = max(1, len(labels) // recipe.batch)
    stack.train()
    try:
        with progress(f"training {len(seeds)} backbones (epochs)", recipe.epochs) as advance, repeatable():
            advance(done)
            for epoch in range(done, recipe.epochs):
                generators = [epoch_generator(seed, epoch) for seed in seeds]
                stack.draw_dropout_from([epoch_seed(seed, epoch) for seed in seeds])
                orders = torch.stack([torch.randperm(len(labels), generator=g) for g in generators]).to(device)
                for step in range(steps):
                    batch = orders[:, step * recipe.batch : (step + 1) * recipe.batch]
                    for group in optimiser.param_groups:
                        group["lr"] = recipe.rate(epoch + step / steps)
                    x = _shown(pixels, batch, data.flips, generators)
                    with reduced_precision(one, training=True):
                        logits = stack(x)
                    losses = _cross_entropies(logits.float(), labels[batch])
                    optimiser.zero_grad()
                    losses.sum().backward()
                    optimiser.step()
                if not losses.isfinite().all():
                    wild = seeds[int(losses.isfinite().int().argmin())]
                    raise ExitprintError(
                        f"training diverged in epoch {epoch + 1} for seed {wild}: use a smaller learning rate or "
                        "preset paper."
                    )
                done = epoch + 1
                if checkpoint:
                    checkpoint.keep(stack, optimiser, done)
                advance(1)
    except KeyboardInterrupt as stop:
        raise stopped(done, recipe.epochs, kept=checkpoint is not None) from stop
    finally:
        stack.eval()


def train_heads_together(
    stack: Stack, networks: Sequence[MultiExitNetwork], data: ImageData, recipe: HeadRecipe, seeds: Sequence[int]
) -> None:
    """`train_heads` for the networks that a trained stack was made of, in place."""
    labels = data.train.labels.to(stack.mean.device)
    internal = range(networks[0].exits - 1)
    try:
        for exits in groups_of_exits(networks[0], internal, len(networks) * recipe.views * len(labels)):
            heads = [[cast(ExitHead, network.heads[exit]) for network in networks] for exit in exits]
            pooled = _pooled(stack, networks[0], heads, exits, data, recipe.views, seeds)
            _fit(heads, pooled, labels, recipe, seeds)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            "stopped while training internal classifiers, no network was written: run the same command again."
        ) from stop


@torch.no_grad()
def _pooled(
    stack: Stack,
    one: MultiExitNetwork,
    heads: Sequence[Sequence[ExitHead]],
    exits: Sequence[int],
    data: ImageData,
    views: int,
    seeds: Sequence[int],
) -> list[Tensor]:
    """For each exit `pooled_features` of all networks, bf16, shape (networks, views × images, pooled features)."""
    pixels = data.train.pixels.to(stack.mean.device)
    parts: list[list[Tensor]] = [[] for _ in exits]
    with reduced_precision(one, training=False):
        for view in range(views):
            generators = [epoch_generator(seed, view) for seed in seeds]
            for rows in torch.arange(len(pixels), device=pixels.device).split(FEATURE_BATCH):
                same = rows.expand(stack.size, -1)
                x = _shown(pixels, same, data.flips, generators) if views > 1 else unit_range(pixels[same])
                for exit, features in enumerate(stack.features(x)):
                    if exit in exits:
                        place = exits.index(exit)
                        pooled = heads[place][0].pool(features.flatten(0, 1)).unflatten(0, (stack.size, -1))
                        parts[place].append(pooled.bfloat16())
                    if exit >= max(exits):
                        break
    return [torch.cat(part, 1) for part in parts]


def _fit(
    heads: Sequence[Sequence[ExitHead]],
    pooled: Sequence[Tensor],
    labels: Tensor,
    recipe: HeadRecipe,
    seeds: Sequence[int],
) -> None:
    """`fit_heads` for all networks: `heads[exit][network]`, and each exit's features of all networks."""
    steps = max(1, len(labels) // recipe.batch)
    number = pooled[0].dtype if fast_bf16(labels.device) else torch.float32
    with ExitStack() as undo:
        if recipe.standardise:
            for of_exit, features in zip(heads, pooled, strict=True):
                for head, of_network in zip(of_exit, features, strict=True):
                    undo.enter_context(standardised(head, of_network))
        learned = [_Heads(of_exit) for of_exit in heads]
        optimiser = torch.optim.Adam(
            [p for several in learned for p in several.parameters()], lr=recipe.learning_rate, fused=True
        )
        advance = undo.enter_context(progress("training internal classifiers (epochs)", recipe.epochs))
        which = torch.arange(len(seeds), device=labels.device)[:, None]
        for epoch in range(recipe.epochs):
            drawn = [epoch_order(len(labels), recipe.views, seed, epoch) for seed in seeds]
            orders, rows = (torch.stack(parts).to(labels.device) for parts in zip(*drawn, strict=True))
            for step in range(steps):
                batch = slice(step * recipe.batch, (step + 1) * recipe.batch)
                for group in optimiser.param_groups:
                    group["lr"] = recipe.rate(epoch + step / steps)
                wanted = labels[orders[:, batch]]
                losses = [
                    _cross_entropies(several(features[which, rows[:, batch]].to(number)), wanted)
                    for several, features in zip(learned, pooled, strict=True)
                ]
                optimiser.zero_grad()
                torch.stack(losses).sum().backward()
                optimiser.step()
            advance(1)
        for several, of_exit in zip(learned, heads, strict=True):
            several.give(of_exit)


class _Heads(torch.nn.Module):
    """The heads of one exit of several networks."""

    def __init__(self, heads: Sequence[ExitHead]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.stack([head.linear.weight.detach() for head in heads]))
        self.bias = torch.nn.Parameter(torch.stack([head.linear.bias.detach() for head in heads]))
        mixes = [head.mix.detach() for head in heads if head.mix is not None]
        self.mix = torch.nn.Parameter(torch.stack(mixes)) if mixes else None

    def forward(self, pooled: Tensor) -> Tensor:
        """`ExitHead.classify` of all: logits (networks, batch, classes) from (networks, batch, pooled features)."""
        weight: Tensor = self.weight
        if self.mix is not None:
            mix = self.mix[:, None, None]
            weight = torch.cat([mix * weight, (1 - mix) * weight], 2)
        return torch.bmm(pooled, weight.to(pooled.dtype).transpose(1, 2)).float() + self.bias[:, None]

    @torch.no_grad()
    def give(self, heads: Sequence[ExitHead]) -> None:
        """Put what was learned back into the heads."""
        for index, head in enumerate(heads):
            head.linear.weight.copy_(self.weight[index])
            head.linear.bias.copy_(self.bias[index])
            if head.mix is not None and self.mix is not None:
                head.mix.copy_(self.mix[index])


def _shown(pixels: Tensor, rows: Tensor, flips: bool, generators: Sequence[torch.Generator]) -> Tensor:
    """Augmented images (networks, batch, channels, height, width), each network's drawn from its own generator."""
    shown = [augment(pixels[own], flips, generator) for own, generator in zip(rows, generators, strict=True)]
    return unit_range(torch.stack(shown))


def _cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """Each network's mean cross-entropy, shape (networks,)."""
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels).mean(1)
