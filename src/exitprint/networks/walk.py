"""The way through a network, stage after stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Features = Tensor | tuple[Tensor, ...]
"""What one stage gives and the next takes, batch first: a tensor, or several of which an exit sees the first."""


@dataclass(slots=True)
class Place:
    """Where on the way: behind a stage.

    Attributes
    ----------
    stage
        Its number, counted from 0.
    features
        What it gave. What is put in their place here goes on instead, such as those of the inputs that stay.
    exit
        Number of the exit, where one is meant.
    """

    stage: int
    features: Features
    exit: int = -1

    @property
    def seen(self) -> Tensor:
        """What an exit sees here."""
        return self.features if isinstance(self.features, Tensor) else self.features[0]

    def shown_to(self, head: nn.Module) -> Features:
        """What this head takes here: what an exit sees, or all of it where the head is cut out of a user's module."""
        return self.features if getattr(head, "takes_all", False) else self.seen


def walk(stages: Iterable[nn.Module], features: Features) -> Iterator[Place]:
    """Every stage in order, each run when the place behind it is asked for."""
    place = Place(-1, features)
    for place.stage, stage in enumerate(stages):
        place.features = stage(place.features)
        yield place


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Modules are in evaluation mode while the block runs, and afterwards each part in the mode that it was in."""
    modes = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


@torch.no_grad()
def stage_shapes(stages: Sequence[nn.Module], input_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shape of what an exit sees of one input after each stage, from one dry run on a black image."""
    black = torch.zeros(1, *input_shape, device=next((p.device for s in stages for p in s.parameters()), None))
    with evaluating(*stages):
        return [tuple(place.seen.shape[1:]) for place in walk(stages, black)]
