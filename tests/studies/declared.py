"""Networks declared so small that each is made in a fraction of a second."""

from __future__ import annotations

from exitprint.networks import architecture
from exitprint.training import BackboneRecipe, HeadRecipe, Recipe
from exitprint_studies import Source, Trained

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
