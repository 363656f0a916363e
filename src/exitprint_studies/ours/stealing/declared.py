"""The victims of `study stealing`, and the methods that rob them."""

from __future__ import annotations

from exitprint.networks import architecture
from exitprint.stealing import SubstituteRecipe
from exitprint.training import BackboneRecipe
from exitprint_studies.ours.third_party import Adopted
from exitprint_studies.ours.victims import Victim, declared
from exitprint_studies.population.declare import Source
from exitprint_studies.study import Preset

SINGLE = "Knockoff Nets, one exit"
CONVENTIONAL = "Knockoff Nets, then an SDN, one threshold"
AT_COST = "the same, its one threshold set for the victim's cost"
"""The conventional substitute of a thief who measures the victim's mean time and nothing else of its strategy."""
LABELS = "label-only distillation, one threshold"
OURS = "ours"
NO_SEARCH = "ours without search"
NO_STRATEGY = "ours without strategy loss"
TRUE_EXITS = "ours with the true exits"
EXITS_ALONE = "a classifier of exits, nothing else"
"""What the queries tell of where an image leaves, asked of a network that has nothing else to learn."""
ANEW = "the victim trained again by its owner, from another seed"
"""How alike two networks are that differ by chance only: same images, labels, settings and rule for thresholds; the
mean of its further victims where it has some."""
SCAN: dict[str, dict[str, float | bool]] = {
    "strategy 0": {"strategy": 0.0},
    "strategy 0.1": {"strategy": 0.1},
    "as it is: strategy 0.3, early 0.5, damped": {},
    "strategy 1": {"strategy": 1.0},
    "early 0": {"early": 0.0},
    "early 1": {"early": 1.0},
    "not damped": {"damp": False},
    "not damped, early 0.1": {"damp": False, "early": 0.1},
}
"""Weights of the two losses that are compared, each a change to the recipe."""


def _recipe(epochs: int, rate: float, crops: bool, batch: int = 64) -> SubstituteRecipe:
    optimiser = BackboneRecipe(epochs=epochs, learning_rate=rate, batch=batch, weight_decay=5e-4)
    return SubstituteRecipe(optimiser=optimiser, crops=crops)


def victims(preset: Preset) -> list[Victim]:
    """Whom this study steals from at this size."""
    digits = Source(name="digits", limit=500)
    small, large = Source(name="cifar10", limit=20_000), Source(name="cifar10", limit=24_000, seed=1)
    fashion = tuple(Source(name="fashion-mnist", limit=20_000, seed=seed) for seed in (0, 1))
    few = (0, 2, 4, 6)
    on_digits = [
        Victim(
            f"digits, {name}",
            declared(architecture(family, (1, 8, 8), 10, depth, width), digits),
            Source(name="digits"),
            queries=790,
            tested=500,
            arch="resnet20",
            width=16,
            recipe=_recipe(100, 0.1, crops=True),
            shares=(0.125, 0.25, 0.5) if family == "resnet" else (),
            scanned=family == "resnet",
            again=() if family == "msdnet" else (4, 5, 6, 7, 8),
        )
        for name, family, depth, width in (
            ("ResNet-14", "resnet", 14, 8),
            ("MSDNet", "msdnet", 4, 8),
            ("BranchyNet", "branchynet", None, 16),
        )
    ]
    if preset == "gpu":
        whole, pool = Source(name="cifar10", limit=30_000), Source(name="cifar10", seed=1)
        return [
            *on_digits,
            *(
                Victim(
                    f"CIFAR-10, {name}",
                    declared(architecture(name, (3, 32, 32), 10), whole),
                    pool,
                    queries=15_000,
                    tested=10_000,
                    arch=thief,
                    width=width,
                    recipe=_recipe(60, 0.05, crops=True, batch=128),
                    shares=(0.0625, 0.125, 0.25, 0.5),
                )
                for name, thief, width in (("resnet56", "resnet110", 16), ("vgg16", "vgg19", 64))
            ),
            Victim(
                "Fashion-MNIST, ResNet-20",
                declared(architecture("resnet20", (1, 28, 28), 10), fashion[0]),
                fashion[1],
                queries=15_000,
                tested=10_000,
                arch="resnet32",
                width=16,
                recipe=_recipe(40, 0.05, crops=True, batch=128),
            ),
        ]
    return [
        *on_digits,
        Victim(
            "CIFAR-10, VGG-11",
            declared(architecture("vgg11", (3, 32, 32), 10, width=16).model_copy(update={"exits": few}), small),
            large,
            queries=10_000,
            tested=3000,
            arch="vgg13",
            width=12,
            recipe=_recipe(10, 0.05, crops=False),
            shares=(0.4,),
        ),
        Victim(
            "CIFAR-10, ResNet-20",
            declared(architecture("resnet20", (3, 32, 32), 10, width=8), small),
            large,
            queries=4000,
            tested=3000,
            arch="vgg13",
            width=12,
            recipe=_recipe(30, 0.05, crops=True),
        ),
        Victim(
            "CIFAR-10, a third party's ResNet-20",
            Adopted(),
            large,
            queries=10_000,
            tested=3000,
            arch="vgg13",
            width=12,
            recipe=_recipe(30, 0.05, crops=True),
        ),
        Victim(
            "Fashion-MNIST, ResNet-14",
            declared(architecture("resnet14", (1, 28, 28), 10, width=8), fashion[0]),
            fashion[1],
            queries=4000,
            tested=3000,
            arch="vgg13",
            width=12,
            recipe=_recipe(8, 0.05, crops=False),
        ),
    ]
