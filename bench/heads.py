"""Training internal classifiers on cached features against full passes through the frozen backbone."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import torch
from torch.nn import functional as F

from bench.compare import row
from bench.subjects import data, described, network
from exitprint.data import unit_range
from exitprint.networks import MultiExitNetwork
from exitprint.training import HeadRecipe, exit_accuracies, recipe, train_heads

EPOCHS = 10
USUAL = HeadRecipe(epochs=EPOCHS, learning_rate=1e-3, batch=128)


def rows() -> list[dict[str, Any]]:
    """The same epochs on both sides, and our default recipe against the usual epochs at the same accuracy."""
    usual_s, usual = _timed(lambda n: full_passes(n, USUAL))
    cached_s, cached = _timed(lambda n: train_heads(n, data(), USUAL, seed=1))
    quick = recipe("fast", "resnet", data().name).heads
    quick_s, fast = _timed(lambda n: train_heads(n, data(), quick, seed=1))
    paper_s = usual_s * 25 / EPOCHS
    return [
        row("IC training: same epochs", "≥ 5", [cached_s], [usual_s], _note(cached, usual)),
        row(
            "IC training: same accuracy, the paper's 25 epochs",
            "≥ 15",
            [quick_s],
            [paper_s],
            f"{_note(fast, usual)}; 25 epochs of full passes from {EPOCHS} measured",
        ),
    ]


def full_passes(trained: MultiExitNetwork, how: HeadRecipe) -> None:
    """The ordinary way: every batch of every epoch goes through the backbone."""
    images, generator = data().train, torch.Generator().manual_seed(1)
    parameters = [p for head in trained.heads[:-1] for p in head.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=how.learning_rate, fused=True)
    for epoch in range(how.epochs):
        order = torch.randperm(len(images), generator=generator)
        for group in optimiser.param_groups:
            group["lr"] = how.rate(epoch)
        for batch in order.split(how.batch):
            with torch.no_grad():
                features = list(trained.features(unit_range(images.pixels[batch])))
            logits = [head(f) for head, f in zip(trained.heads[:-1], features, strict=False)]
            loss = torch.stack([F.cross_entropy(each, images.labels[batch]) for each in logits]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def _fresh() -> MultiExitNetwork:
    target = network().copy()
    assert target.architecture is not None
    blank = MultiExitNetwork.build(target.architecture, seed=9)
    for exit in range(target.exits - 1):
        target.heads[exit] = blank.heads[exit]
    return target.eval()


def _timed(train: Any) -> tuple[float, list[float]]:
    fresh = _fresh()
    start = perf_counter()
    train(fresh)
    return perf_counter() - start, exit_accuracies(fresh, data().test)[:-1]


def _note(ours: list[float], peer: list[float]) -> str:
    mean = [sum(side) / len(side) for side in (ours, peer)]
    return f"{described()}; mean IC accuracy {mean[0]:.3f} against {mean[1]:.3f}"
