"""What `study strength` crafts fingerprints for, and which networks it knows to be independent."""

from __future__ import annotations

from dataclasses import dataclass

from exitprint.networks import architecture
from exitprint.training import recipe
from exitprint_studies.ours.makers import of_the_maker
from exitprint_studies.ours.third_party import Adopted
from exitprint_studies.population.declare import Source, Trained

SAMPLES = 200
FASHION, DIGITS = Source(name="fashion-mnist", limit=12_000), Source(name="digits")
WIDTH = {"msdnet": 8, "branchynet": 16}

Network = Adopted | Trained


@dataclass(frozen=True)
class Case:
    """One fingerprint.

    Attributes
    ----------
    name
        In tables.
    target
        Whose fingerprint it is.
    references, strangers
        Networks known to be independent, and independents that crafting does not see.
    samples
        Of the fingerprint.
    new_exits
        On how many sets of new exits it is crafted as well.
    """

    name: str
    target: Network
    references: tuple[Network, ...]
    strangers: tuple[Network, ...]
    samples: int = SAMPLES
    new_exits: int = 0


def born(family: str, seed: int) -> Trained:
    """A network with exits of its own, trained on Fashion-MNIST from this seed."""
    arch = architecture(family, (1, 28, 28), 10, 5, WIDTH[family])
    return Trained(architecture=arch, data=FASHION, recipe=recipe("fast", family, FASHION.name, 6), seed=seed)


def small(seed: int, name: str = "resnet20") -> Trained:
    """A network trained on digits from this seed."""
    how = recipe("fast", "resnet", DIGITS.name)
    return Trained(architecture=architecture(name, (1, 8, 8), 10, width=8), data=DIGITS, recipe=how, seed=seed)


def cases() -> list[Case]:
    """What is fingerprinted.

    The BranchyNet of seed 2 is the target because it is right on 85 % and the others are just below.
    """
    resnet20, resnet32, resnet44 = (of_the_maker(depth) for depth in (20, 32, 44))
    msdnets = [born("msdnet", seed) for seed in range(4)]
    branchynets = [born("branchynet", seed) for seed in (2, 0, 1, 3, 4, 5, 6)]
    resnets = [small(seed) for seed in range(5)]
    others = (*resnets[3:], small(5, "resnet14"), small(6, "resnet14"))
    msdnet = (msdnets[0], (msdnets[1],), (*msdnets[2:], *branchynets[1:4]))
    branchynet = (branchynets[0], (branchynets[1],), (*branchynets[2:], *msdnets[:2]))
    return [
        Case("digits ResNet-20, two references", resnets[0], tuple(resnets[1:3]), others, samples=100),
        Case("ResNet-20, no reference", resnet20, (), (resnet32, resnet44)),
        Case("ResNet-20, one reference", resnet20, (resnet32,), (resnet44,)),
        Case("BranchyNet, one reference", *branchynet),
        Case("BranchyNet, one reference, on new exits", *branchynet, new_exits=2),
        Case("MSDNet, one reference", *msdnet, samples=100),
        Case("MSDNet, one reference, on new exits", *msdnet, samples=100, new_exits=2),
    ]


def name_of(spec: Network) -> str:
    """In tables."""
    if isinstance(spec, Adopted):
        return f"ResNet-{spec.depth}"
    depth = f"-{spec.architecture.depth}" if spec.architecture.family == "resnet" else ""
    return f"{spec.architecture.family}{depth}, seed {spec.seed}"
