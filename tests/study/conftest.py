"""A declared population so small that it is made in seconds."""

from __future__ import annotations

import pytest

from exitprint.networks import architecture
from exitprint.study import Calibrated, Source, Spec, Tampered, Trained
from exitprint.training import BackboneRecipe, HeadRecipe, Recipe

RECIPE = Recipe(
    backbone=BackboneRecipe(epochs=2, learning_rate=0.1, batch=64, weight_decay=5e-4),
    heads=HeadRecipe(epochs=1, learning_rate=5e-3, batch=128),
)


def small(seed: int) -> Trained:
    """A network that trains in a fraction of a second."""
    return Trained(
        architecture=architecture("resnet8", (1, 8, 8), 10, width=4),
        data=Source(name="digits", limit=400),
        recipe=RECIPE,
        seed=seed,
    )


@pytest.fixture
def specs() -> list[Spec]:
    """Two trained networks, a chain of copies, and a policy."""
    heads = RECIPE.heads.model_dump()
    pruned = Tampered(parent=small(0), kind="prune", parameters={"rate": 0.2, "heads": heads}, seed=1)
    return [
        Calibrated(parent=pruned, rad=15),
        Tampered(parent=pruned, kind="quantise", parameters={"heads": heads}, seed=2),
        Tampered(parent=small(0), kind="remove-exits", parameters={"every": 2}),
        small(1),
    ]
