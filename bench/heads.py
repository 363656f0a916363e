"""Training internal classifiers on cached features against full passes through the frozen backbone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from bench.compare import row, seconds
from bench.subjects import data, described, network
from exitprint.data import augment, unit_range
from exitprint.networks import MultiExitNetwork
from exitprint.training import HeadRecipe, exit_accuracies, recipe, train_heads
from exitprint.training.compute import memory_format, reduced_precision


def rows() -> list[dict[str, Any]]:
    """The paper's recipe on both sides, and our default recipe against the paper's."""
    paper = recipe("paper", "resnet", "cifar10").heads.model_copy(update={"views": 1})
    default = recipe("fast", "resnet", "cifar10").heads
    usual_s, usual = _trained(lambda fresh: full_passes(fresh, paper))
    cached_s, cached = _trained(lambda fresh: train_heads(fresh, data(), paper, seed=1))
    default_s, short = _trained(lambda fresh: train_heads(fresh, data(), default, seed=1))
    return [
        row(f"IC training: {paper.epochs} epochs on both sides", "≥ 5", [cached_s], [usual_s], _note(cached, usual)),
        row(
            f"IC training: our default {default.epochs} epochs against the paper's {paper.epochs}",
            "≥ 15",
            [default_s],
            [usual_s],
            _note(short, usual),
        ),
    ]


def full_passes(trained: MultiExitNetwork, how: HeadRecipe) -> None:
    """The ordinary way: every batch of every epoch, augmented, goes through the backbone, in our number format."""
    images, generator = data().train, torch.Generator().manual_seed(1)
    heads = trained.heads[:-1]
    optimiser = torch.optim.Adam(heads.parameters(), lr=how.learning_rate, fused=True)
    layout = memory_format(trained)
    for epoch in range(how.epochs):
        order = torch.randperm(len(images), generator=generator)
        for group in optimiser.param_groups:
            group["lr"] = how.rate(epoch)
        for batch in order.split(how.batch):
            x = unit_range(augment(images.pixels[batch], data().flips, generator)).contiguous(memory_format=layout)
            with torch.no_grad(), reduced_precision(trained, training=False):
                features = list(trained.features(x))
            losses = [
                F.cross_entropy(head(f.float()), images.labels[batch]) for head, f in zip(heads, features, strict=False)
            ]
            optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            optimiser.step()


def _trained(train: Callable[[MultiExitNetwork], None]) -> tuple[float, float]:
    """Seconds, and mean accuracy of the internal classifiers on test images, from fresh ones on."""
    fresh = network().copy()
    assert fresh.architecture is not None
    blank = MultiExitNetwork.build(fresh.architecture, seed=9)
    for exit in range(fresh.num_exits - 1):
        fresh.heads[exit] = blank.heads[exit]
    fresh.eval()
    taken = seconds(lambda: train(fresh))
    accuracies = exit_accuracies(fresh, data().test)[:-1]
    return taken, sum(accuracies) / len(accuracies)


def _note(ours: float, peer: float) -> str:
    return f"{described()}; mean IC accuracy {ours:.3f} against {peer:.3f}"
