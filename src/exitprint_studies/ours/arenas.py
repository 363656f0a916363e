"""Who forges and who is claimed: cohorts of small networks, and one maker's well trained ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exitprint.networks import ExitPolicy, MultiExitNetwork, architecture
from exitprint.training import BackboneRecipe, HeadRecipe, Recipe, leaving_policy, recipe
from exitprint_studies.ours.forgers import Forger
from exitprint_studies.ours.makers import DEPTHS, RADS, Workshop, of_the_maker
from exitprint_studies.ours.third_party import has_weights
from exitprint_studies.population.declare import Source, Trained, realise
from exitprint_studies.study import Run

AT_HAND, SUSPECTS, OWN_REFERENCES = 10, 20, 2
COPIES = (None, "fine-tuned 2 epochs, new ICs")
"""What the forger has of each of the maker's networks: itself, and copies whose backbones differ."""
LEAVE = (0.4, 0.7)
"""Shares of images that leave in the first half of a small network: RAD says nothing where all exits are right."""
STRICT = f"{LEAVE[0]:.0%} leave early"


Asked = dict[str, tuple[MultiExitNetwork, dict[str, ExitPolicy]]]


@dataclass(frozen=True)
class Cohort:
    """Small networks on one data set, all trained independently of each other.

    Attributes
    ----------
    name
        In tables.
    data
        What they are trained on.
    shape
        Of an image.
    kinds
        Family, depth and width, in turn.
    recipe
        How.
    seed
        Of the first one.
    images
        So many test images the forger chooses from.
    """

    name: str
    data: Source
    shape: tuple[int, int, int]
    kinds: tuple[tuple[str, int, int], ...]
    recipe: Recipe
    seed: int
    images: int

    def networks(self) -> list[Trained]:
        """The forger's own, those at hand, the suspects, and the verifier's references."""
        return [self._network(number) for number in range(1 + AT_HAND + SUSPECTS + OWN_REFERENCES)]

    def _network(self, number: int) -> Trained:
        family, depth, width = self.kinds[number % len(self.kinds)]
        return Trained(
            architecture=architecture(family, self.shape, 10, depth, width),
            data=self.data,
            recipe=self.recipe,
            seed=self.seed + number,
        )


DIGITS = Cohort(
    "digits, 8×8",
    Source(name="digits"),
    (1, 8, 8),
    (("resnet", 8, 8), ("resnet", 8, 16), ("resnet", 14, 8), ("resnet", 14, 12)),
    recipe("fast", "resnet", "digits"),
    100,
    10_000,
)
FASHION = Cohort(
    "Fashion-MNIST, 28×28",
    Source(name="fashion-mnist", limit=12_000),
    (1, 28, 28),
    (("vgg", 8, 8), ("vgg", 8, 12), ("vgg", 8, 16)),
    Recipe(
        backbone=BackboneRecipe(epochs=8, learning_rate=0.05, batch=64, weight_decay=5e-4),
        heads=HeadRecipe(epochs=4, learning_rate=1e-2, batch=256, standardise=True),
    ),
    200,
    2000,
)


@dataclass(frozen=True)
class Arena:
    """A forger, those whom he claims, and who verifies.

    Attributes
    ----------
    name
        In tables.
    forger
        With his networks.
    suspects
        Networks that he never saw, by name, with the policies that each is asked under, by name.
    references
        The verifier's own: networks that neither the forger nor a suspect has to do with.
    """

    name: str
    forger: Forger
    suspects: Asked
    references: Asked


def of_a_cohort(cohort: Cohort, run: Run) -> Arena:
    """All of its networks, each under policies with which so many images leave early."""
    data = cohort.data.load(run.data_dir)
    networks = [realise(spec, run.store, run.data_dir) for spec in cohort.networks()]
    policies = [
        {f"{share:.0%} leave early": leaving_policy(network, data.calibration, share) for share in LEAVE}
        for network in networks
    ]
    known, seen = 1 + AT_HAND, 1 + AT_HAND + SUSPECTS
    forger = Forger(
        networks[0], networks[1:known], [own[STRICT] for own in policies[:known]], data.test[: cohort.images]
    )
    others = [(network, rules) for network, rules in zip(networks, policies, strict=True)]
    return Arena(
        cohort.name,
        forger,
        {f"suspect {n}": others[n] for n in range(known, seen)},
        {f"the verifier's {n}": others[n] for n in range(seen, len(others))},
    )


def on_one_maker(run: Run) -> Arena:
    """The forger has two well trained networks and their copies; the suspects are the same maker's third and its.

    No network of that maker is left to be the verifier's reference.
    """
    workshop = Workshop(run.store, run.data_dir)
    kept = [(of_the_maker(depth), theft) for depth in DEPTHS[:2] for theft in COPIES]
    third = [(of_the_maker(DEPTHS[2]), theft) for theft in (*COPIES, "ICs retrained")]
    own, *at_hand = [workshop.network(*each) for each in kept]
    forger = Forger(own, at_hand, [workshop.policies(*each)[0][1] for each in kept], workshop.images(kept[0][0]).test)
    suspects = {
        f"ResNet-{adopted.depth}, {theft or 'as it is'}": (
            workshop.network(adopted, theft),
            dict(zip((f"RAD={rad:g}" for rad in RADS[1:]), workshop.policies(adopted, theft)[0][1:], strict=True)),
        )
        for adopted, theft in third
    }
    return Arena("CIFAR-10, one maker", forger, suspects, {})


def cohorts(data_dir: Path | None) -> list[Cohort]:
    """Those whose images are there; digits always are."""
    return [DIGITS, *([FASHION] if data_dir is not None and (data_dir / FASHION.data.name).is_dir() else [])]


def arenas(run: Run) -> list[Arena]:
    """All that can be made from the folder of data sets."""
    found = [of_a_cohort(cohort, run) for cohort in cohorts(run.data_dir)]
    return [*found, on_one_maker(run)] if has_weights(run.data_dir, DEPTHS[2]) else found
